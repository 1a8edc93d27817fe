// A network by hops against the same network by whole windows: random networks, and every score bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "acquisition/event.h"
#include "models/compile/assemble.h"
#include "models/compile/quantiser.h"
#include "models/network/streaming.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"
#include "tests/models_core/fixture.h"

namespace lockstep {
namespace {

using namespace model;

// Random networks over a signal: convolutions, pools, tables, a residual way that is cut to length, and
// what takes a whole window at the end.
class Networks {
  public:
    explicit Networks(uint32_t seed) : random_(seed) {}

    int in(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
    float real() { return std::uniform_real_distribution<float>(-1, 1)(random_); }

    Graph make(int32_t window, bool causal) {
        graph_ = {};
        graph_.name = "random";
        graph_.input = top_ = graph_.add_value("x", {1, 1, window, in(1, 5)});
        causal_ = causal;
        upright_ = in(0, 2) == 0;  // the signal as an image that is `window` high
        if (upright_) turn();
        for (int i = in(1, 4); i > 0; --i)
            layer();
        if (upright_ && in(0, 1) == 0) turn();
        end();
        return graph_;
    }

    // Convolutions that keep the length, one with a way around it.
    Graph around(int32_t window, int32_t channels, bool residual_way) {
        graph_ = {};
        graph_.name = "around";
        graph_.input = top_ = graph_.add_value("x", {1, 1, window, channels});
        for (int i = in(1, 3); i > 0; --i) {
            const size_t x = top_;
            const int32_t reach = in(1, 3), out = residual_way && i == 1 ? shape()[3] : in(1, 5);
            const int32_t from = shape()[3];
            Node& n = add(NodeKind::conv2d, {1, 1, window, out});
            n.window.kernel_w = 2 * reach + 1;
            n.window.pad_left = reach;
            weigh(&n, size_t((2 * reach + 1) * from * out), size_t(out));
            if (residual_way && i == 1) {
                const size_t y = top_;
                add(NodeKind::add, shape()).inputs = {y, x};
            }
        }
        add(NodeKind::mean, {1, 1, 1, shape()[3]});
        graph_.output = top_;
        return graph_;
    }

    // The same on a longer window, and how much later that ends.
    static std::pair<Graph, int32_t> without_padding(Graph g) {
        int32_t lag = 0;
        for (const Node& n : g.nodes)
            lag += n.kind == NodeKind::conv2d ? n.window.pad_left : 0;
        int32_t more = lag;
        g.values[g.input].shape[2] += 2 * more;
        for (size_t i = 0; i < g.nodes.size(); ++i) {
            const size_t out = g.nodes[i].output;
            if (g.nodes[i].kind == NodeKind::conv2d) {
                const size_t x = g.nodes[i].inputs[0];
                more -= g.nodes[i].window.pad_left;
                const int32_t cut = g.nodes[i].window.pad_left;
                g.nodes[i].window.pad_left = 0;
                if (i + 1 < g.nodes.size() && g.nodes[i + 1].kind == NodeKind::add) {
                    Node part;  // what goes around it loses as much at both ends
                    part.kind = NodeKind::slice;
                    part.name = "cut";
                    part.inputs = {x};
                    part.before = {0, 0, cut, 0};
                    part.output = g.add_value("cut", {});
                    g.values[part.output] = g.values[x];
                    g.values[part.output].shape[2] = g.values[x].shape[2] - 2 * cut;
                    g.nodes[i + 1].inputs[1] = part.output;
                    g.nodes.insert(g.nodes.begin() + long(i) + 1, part);
                }
            }
            if (g.nodes[i].kind != NodeKind::mean && g.nodes[i].kind != NodeKind::slice)
                g.values[out].shape[2] += 2 * more;
        }
        return {g, lag};
    }

    std::vector<float> signal(size_t n) {
        std::vector<float> x(n);
        for (float& v : x)
            v = real();
        return x;
    }

  private:
    const Shape& shape() const { return graph_.values[top_].shape; }
    size_t axis() const { return shape()[2] == 1 ? 1 : 2; }
    int32_t time() const { return shape()[axis()]; }

    Node& add(NodeKind kind, Shape to) {
        Node n;
        n.kind = kind;
        n.name = std::string(node_kind_name(kind)) + std::to_string(graph_.nodes.size());
        n.inputs = {top_};
        n.output = top_ = graph_.add_value(n.name + ":out", std::move(to));
        graph_.nodes.push_back(std::move(n));
        return graph_.nodes.back();
    }

    void turn() {
        const Shape s = shape();
        add(NodeKind::transpose, {1, s[2], s[1], s[3]}).axes = {0, 2, 1, 3};
    }

    void weigh(Node* n, size_t count, size_t channels) {
        for (size_t i = 0; i < count; ++i)
            n->weights.push_back(real());
        for (size_t i = 0; i < channels; ++i)
            n->bias.push_back(real());
    }

    // A window over time that still fits; false when there is none.
    bool window(Node* n, bool stretch, bool pad, int32_t* out) {
        const int32_t kernel = in(1, 7), dilation = stretch ? in(1, 3) : 1;
        const int32_t reach = (kernel - 1) * dilation + 1;
        const int32_t stride = std::min(in(0, 3) == 0 ? 2 : 1, reach);
        const int32_t before = pad && causal_ ? reach - stride : 0;
        if (time() + before < reach + 2) return false;
        *out = (time() + before - reach) / stride + 1;
        n->window = {1, 1, 1, 1, 1, 1, 0, 0};
        const bool high = axis() == 1;
        (high ? n->window.kernel_h : n->window.kernel_w) = kernel;
        (high ? n->window.stride_h : n->window.stride_w) = stride;
        (high ? n->window.dilation_h : n->window.dilation_w) = dilation;
        (high ? n->window.pad_top : n->window.pad_left) = before;
        return true;
    }

    void layer() {
        const int32_t channels = shape()[3];
        Node probe;
        int32_t out = 0;
        // Causal networks begin with as many rows as whole windows do where nothing is cut.
        const int causal_kinds[] = {0, 1, 2, 2, 4};
        const int kind = causal_ ? causal_kinds[in(0, 4)] : in(0, 5);
        Shape to = shape();
        if (kind <= 2) {
            if (!window(&probe, true, true, &out)) return;
            to[axis()] = out;
            to[3] = kind == 0 ? channels * in(1, 2) : in(1, 6);
            const auto taps = size_t(probe.window.kernel_h * probe.window.kernel_w);
            Node& n = add(kind == 0 ? NodeKind::depthwise_conv2d : NodeKind::conv2d, to);
            n.window = probe.window;
            weigh(&n, kind == 0 ? taps * size_t(to[3]) : taps * size_t(to[3] * channels), size_t(to[3]));
            if (in(0, 1) == 0) n.low = 0;
        } else if (kind == 3) {
            if (!window(&probe, false, false, &out)) return;
            to[axis()] = out;
            add(in(0, 1) == 0 ? NodeKind::max_pool : NodeKind::average_pool, to).window = probe.window;
        } else if (kind == 4) {
            add(NodeKind::unary, to).function = [](float x) { return x * x; };
        } else {
            residual();
        }
    }

    // y = x[reach - 1:] + conv(x), both of one length.
    void residual() {
        const size_t x = top_;
        Shape to = shape();
        const int32_t kernel = in(2, 4),
                      cut = in(0, 1) == 0 ? 0 : kernel - 1;  // the newest rows, or the oldest
        if (time() < kernel + 3) return;
        to[axis()] -= kernel - 1;
        Node& conv = add(NodeKind::conv2d, to);
        (axis() == 1 ? conv.window.kernel_h : conv.window.kernel_w) = kernel;
        weigh(&conv, size_t(kernel * to[3] * to[3]), size_t(to[3]));
        const size_t y = top_;
        top_ = x;
        Node& part = add(NodeKind::slice, to);
        part.before = {0, 0, 0, 0};
        part.before[axis()] = cut;
        const size_t rest = top_;
        top_ = y;
        add(NodeKind::add, to).inputs = {y, rest};
    }

    void end() {
        const int kind = in(0, 2);
        if (kind == 0) {
            add(NodeKind::mean, {1, 1, 1, shape()[3]});
        } else if (kind == 1) {
            const auto n = int32_t(graph_.values[top_].elements());
            add(NodeKind::reshape, {1, n});
            Node& full = add(NodeKind::fully_connected, {1, 3});
            weigh(&full, size_t(n) * 3, 3);
        } else {
            Node& full = add(NodeKind::fully_connected, {1, 4});
            weigh(&full, graph_.values[full.inputs[0]].elements() * 4, 4);
        }
        graph_.output = top_;
    }

    std::mt19937 random_;
    Graph graph_;
    size_t top_ = 0;
    bool causal_ = false, upright_ = false;
};

std::vector<uint8_t> scores_of(const std::vector<uint8_t>& blob, const std::vector<float>& window) {
    const auto plan = plan_from_bytes(blob);
    EXPECT_TRUE(plan) << plan.error().message();
    const auto stages = run_stages(*plan, window);
    EXPECT_TRUE(stages) << stages.error().message();
    return stages->back().bytes;
}

void compare(bool causal, int networks) {
    int streamed = 0, saved = 0;
    for (int i = 0; i < networks; ++i) {
        Networks make(uint32_t(i + (causal ? 100000 : 0)));
        const int32_t hop = 4 * make.in(1, 4), window = hop * make.in(2, 6);
        Graph graph = make.make(window, causal);
        ASSERT_TRUE(check_graph(graph)) << i << ": " << check_graph(graph).error().message();
        const size_t n = graph.values[graph.input].elements();
        std::vector<std::vector<float>> windows;
        for (int w = 0; w < 4; ++w)
            windows.push_back(make.signal(n));
        QuantiserOptions options;
        options.all_int16 = i % 4 == 0;
        if (i % 4 == 1)  // int8 and int16 meet
            for (const std::string& layer : int16_layers(graph))
                if (make.in(0, 1) == 0) options.int16.insert(layer);
        ASSERT_TRUE(quantise(&graph, windows, options));
        StreamingReport report;
        const auto by_hops = stream_by_hop(graph, hop, false, &report);
        if (!by_hops) {
            EXPECT_NE(by_hops.error().what.find("no layer"), std::string::npos) << by_hops.error().message();
            continue;
        }
        ++streamed;
        saved += report.macs_after < report.macs_before;
        EXPECT_LE(report.macs_after, report.macs_before) << i;
        if (!causal) {
            EXPECT_EQ(report.windows, uint32_t(window / hop)) << i;
        }
        const auto whole = raw_plan(graph, "float32", "{}");
        const auto hops = raw_plan(*by_hops, "float32", "{}", Target::any, {}, uint32_t(window));
        ASSERT_TRUE(whole && hops) << i << ": " << (whole ? hops.error() : whole.error()).message();
        for (const auto& w : windows)
            EXPECT_EQ(scores_of(*whole, w), scores_of(*hops, w)) << "network " << i;
    }
    EXPECT_GT(streamed, networks / 3);
    EXPECT_GT(saved, networks / 4);
}

TEST(Streaming, AnyNetworkHasTheBitsOfWholeWindows) {
    compare(false, 400);
}

// From zeros, as padding gives them; later windows see what came before instead.
TEST(Streaming, ACausalNetworkHasThemFromAFreshStart) {
    compare(true, 400);
}

// The network on a stream of two channels, the first of which it does not take.
Result<std::vector<uint8_t>> on_stream(const Graph& graph, uint32_t window, uint32_t span, uint32_t hop,
                                       bool filter) {
    Preprocessing way;
    way.model = "random";
    PreprocessingInput in;
    const auto channels = uint32_t(graph.values[graph.input].shape[3]);
    in.stream = plan_input({250, channels, window, hop, filter ? 40u : 0u, filter ? 400u : 0u}, "eeg");
    in.stream.span = span;
    in.dims = {1, 1, uint16_t(window), uint16_t(channels)};
    way.inputs = {in};
    way.output_kind = "values";
    for (size_t i = 0; i < graph.values[graph.output].elements(); ++i)
        way.score_names.push_back("s" + std::to_string(i));
    way.score_units.assign(way.score_names.size(), "");
    return stream_plan(graph, way, "{}");
}

using Results = std::map<uint64_t, uint32_t>;  // sample after the window -> hash of the scores

Results results_of(const std::vector<uint8_t>& blob, const std::vector<Block>& blocks) {
    Results results;
    const auto plan = plan_from_bytes(blob);
    BoundRunner bound((*plan)->plan, 200, 0.001f, 0);
    EXPECT_EQ(bound.code, Code::ok);
    const InputSpec spec = (*plan)->plan.input(0);
    WindowResult scratch;
    for (const Block& block : blocks)
        feed(bound.runner, 0, block.view(), &scratch, [&](WindowState state, const WindowResult& r) {
            if (state == WindowState::result)
                results[uint64_t(r.window) * spec.hop + spec.window] = r.output_hash;
        });
    return results;
}

// Blocks of any length with gaps that both sides had or that this side alone had.
std::vector<Block> stream(Networks* random, uint16_t channels) {
    std::vector<Block> blocks;
    uint64_t at = random->in(0, 2) == 0 ? uint64_t(random->in(1, 300)) : 0;
    while (at < 4000) {
        Block b;
        b.first = at;
        b.device_us = at * 4000;
        b.count = uint32_t(random->in(1, 40));
        b.channels = channels;
        b.discontinuity = random->in(0, 40) == 0;
        for (uint32_t i = 0; i < b.count * channels; ++i)
            b.counts.push_back(random->in(-1000, 1000));
        at += b.count + (random->in(0, 30) == 0 ? uint64_t(random->in(1, 90)) : 0);
        blocks.push_back(std::move(b));
    }
    return blocks;
}

TEST(Streaming, EveryWindowOfAStreamHasTheSameResultWithGapsAndFilters) {
    size_t windows = 0;
    for (uint32_t i = 0; i < 60; ++i) {
        Networks make(1000 + i);
        const int32_t hop = 4 * make.in(1, 4), window = hop * make.in(2, 6);
        Graph graph = make.make(window, false);
        const Shape shape = graph.values[graph.input].shape;
        const std::vector<std::vector<float>> typical = {make.signal(size_t(shape[2] * shape[3]))};
        ASSERT_TRUE(quantise(&graph, typical, {}));
        StreamingReport report;
        const auto by_hops = stream_by_hop(graph, hop, false, &report);
        if (!by_hops) continue;
        const bool filter = i % 2 != 0;
        const auto whole = on_stream(graph, uint32_t(window), 0, uint32_t(hop), filter);
        const auto hops = on_stream(*by_hops, uint32_t(hop), uint32_t(window), uint32_t(hop), filter);
        ASSERT_TRUE(whole && hops) << (whole ? hops.error() : whole.error()).message();
        const std::vector<Block> blocks = stream(&make, uint16_t(shape[3] + 1));
        const Results wanted = results_of(*whole, blocks), got = results_of(*hops, blocks);
        EXPECT_EQ(wanted, got) << "network " << i;
        windows += wanted.size();
    }
    EXPECT_GT(windows, 2000u);
}

// Layers that are padded at both ends and wait: what they give of a window are the rows that the same layers
// without padding give of a longer one, which ended later.
TEST(Streaming, LayersThatWaitSeeTheRowsAround) {
    size_t windows = 0;
    for (uint32_t i = 0; i < 40; ++i) {
        Networks make(5000 + i);
        const int32_t hop = make.in(3, 16), window = hop * make.in(2, 6), channels = make.in(1, 4);
        Graph padded = make.around(window, channels, true);
        const std::vector<std::vector<float>> typical = {make.signal(size_t(window * channels))};
        ASSERT_TRUE(quantise(&padded, typical, {}));
        const auto [longer, lag] = Networks::without_padding(padded);
        ASSERT_TRUE(check_graph(longer)) << check_graph(longer).error().message();
        StreamingReport report;
        EXPECT_FALSE(stream_by_hop(padded, hop, false, &report));
        const auto by_hops = stream_by_hop(padded, hop, true, &report);
        ASSERT_TRUE(by_hops) << by_hops.error().message();
        EXPECT_EQ(report.lag, lag);
        const auto length = uint32_t(longer.values[longer.input].shape[2]);
        const auto whole = on_stream(longer, length, 0, 1, false);
        const auto hops = on_stream(*by_hops, uint32_t(hop), uint32_t(window), uint32_t(hop), false);
        ASSERT_TRUE(whole && hops) << (whole ? hops.error() : whole.error()).message();
        const std::vector<Block> blocks = stream(&make, uint16_t(channels + 1));
        const Results got = results_of(*hops, blocks);
        Results wanted = results_of(*whole, blocks);
        for (const auto& [end, hash] : got)
            EXPECT_EQ(hash, wanted[end]) << "network " << i << " at " << end;
        windows += got.size();
    }
    EXPECT_GT(windows, 2000u);
}

}  // namespace
}  // namespace lockstep
