#include "models/network/rewrites.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>

#include "models/network/float_executor.h"

namespace lockstep::model {
namespace {

class Rewriter {
  public:
    using Step = bool (Rewriter::*)();
    struct Rewrite {
        RewriteInfo info;
        std::vector<Step> steps;
    };
    static const std::vector<Rewrite>& all();

    Rewriter(Graph* graph, const std::set<std::string>& without) : g_(*graph), without_(without) {}

    std::vector<AppliedRewrite> run() {
        while (once()) {
        }
        return std::move(applied_);
    }

  private:
    bool once() {
        for (const Rewrite& r : all()) {
            if (without_.count(r.info.name) != 0) continue;
            for (const Step step : r.steps)
                if ((this->*step)()) {
                    applied_.push_back({r.info.name, touched_});
                    return true;
                }
        }
        return false;
    }

    // The node that computes the value, when nobody else reads it.
    Node* only_producer(size_t value) {
        if (value == g_.output || g_.consumers(value).size() != 1) return nullptr;
        for (Node& n : g_.nodes)
            if (n.output == value) return &n;
        return nullptr;
    }
    // Looks through reshapes that leave the last dimension alone.
    Node* producer_behind_shape(size_t value, size_t channels) {
        Node* p = only_producer(value);
        while (p != nullptr && p->kind == NodeKind::reshape) {
            if (size_t(g_.values[p->inputs[0]].shape.back()) != channels) return nullptr;
            p = only_producer(p->inputs[0]);
        }
        return p;
    }

    static bool unclamped(const Node& n) { return !std::isfinite(n.low) && !std::isfinite(n.high); }

    bool affine(const Node& n) const {
        const WindowParams& w = n.window;
        return n.kind == NodeKind::depthwise_conv2d && w.kernel_h == 1 && w.kernel_w == 1 &&
               w.stride_h == 1 && w.stride_w == 1 && w.pad_top == 0 && w.pad_left == 0 && unclamped(n) &&
               g_.values[n.inputs[0]].shape == g_.values[n.output].shape;
    }

    void remove(size_t index) {
        const size_t from = g_.nodes[index].output, to = g_.nodes[index].inputs[0];
        touched_ = g_.nodes[index].name;
        // A scale that the file states belongs to what is left.
        if (g_.values[from].scale > 0) {
            g_.values[to].scale = g_.values[from].scale;
            g_.values[to].zero_point = g_.values[from].zero_point;
        }
        for (Node& n : g_.nodes)
            std::replace(n.inputs.begin(), n.inputs.end(), from, to);
        if (g_.output == from) g_.output = to;
        g_.nodes.erase(g_.nodes.begin() + long(index));
    }

    // Whether dropping this node leaves somebody's output shape right: the values agree.
    bool removable(const Node& n) const { return g_.values[n.inputs[0]].shape == g_.values[n.output].shape; }

    // scale and shift after a layer with weights.
    bool fold_affine_back() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            if (!affine(g_.nodes[i])) continue;
            const Node a = g_.nodes[i];
            const size_t channels = a.weights.size();
            Node* p = producer_behind_shape(a.inputs[0], channels);
            if (p == nullptr || !p->has_weights() || !unclamped(*p) || p->bias.size() != channels) continue;
            const size_t taps = p->weights.size() / channels;
            p->weight_scale.clear();
            for (size_t o = 0; o < channels; ++o) {
                for (size_t k = 0; k < taps; ++k)
                    p->weights[p->kind == NodeKind::depthwise_conv2d ? k * channels + o : o * taps + k] *=
                        a.weights[o];
                p->bias[o] = p->bias[o] * a.weights[o] + a.bias[o];
            }
            remove(i);
            return true;
        }
        return false;
    }

    // scale and shift before a layer that sees every input cell: no padding, which would not be shifted.
    bool fold_affine_forward() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            if (!affine(g_.nodes[i]) || g_.nodes[i].output == g_.output) continue;
            const Node a = g_.nodes[i];
            const size_t channels = a.weights.size();
            size_t value = a.output;
            Node* layer = nullptr;
            while (layer == nullptr) {
                const std::vector<size_t> readers = g_.consumers(value);
                if (readers.size() != 1 || value == g_.output) break;
                Node& reader = g_.nodes[readers[0]];
                const bool same_row = size_t(g_.values[reader.output].shape.back()) == channels;
                if (reader.kind == NodeKind::reshape && same_row) {
                    value = reader.output;
                    continue;
                }
                layer = &reader;
            }
            if (layer == nullptr || (layer->kind != NodeKind::fully_connected && !unpadded_conv(*layer)))
                continue;
            const size_t outputs = layer->bias.size(), taps = layer->weights.size() / outputs;
            layer->weight_scale.clear();
            for (size_t o = 0; o < outputs; ++o)
                for (size_t k = 0; k < taps; ++k) {
                    float& w = layer->weights[o * taps + k];
                    layer->bias[o] += w * a.bias[k % channels];
                    w *= a.weights[k % channels];
                }
            remove(i);
            return true;
        }
        return false;
    }
    bool unpadded_conv(const Node& n) const {
        if (n.kind != NodeKind::conv2d || n.window.pad_top != 0 || n.window.pad_left != 0) return false;
        const WindowParams& w = n.window;
        const Shape &in = g_.values[n.inputs[0]].shape, &out = g_.values[n.output].shape;
        return (out[1] - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h < in[1] &&
               (out[2] - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w < in[2];
    }

    // ReLU and clip become the clamp of what they follow.
    bool fold_clip() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            const Node c = g_.nodes[i];
            if (c.kind != NodeKind::unary || !c.clip || !removable(c)) continue;
            Node* p = only_producer(c.inputs[0]);
            const bool clamps = p != nullptr && (p->has_weights() || p->kind == NodeKind::add ||
                                                 p->kind == NodeKind::subtract || p->kind == NodeKind::mul);
            if (!clamps || std::max(p->low, c.low) > std::min(p->high, c.high)) continue;
            p->low = std::max(p->low, c.low);
            p->high = std::min(p->high, c.high);
            remove(i);
            return true;
        }
        return false;
    }

    // Zeros around a convolution are its own padding.
    bool fold_pad() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            const Node p = g_.nodes[i];
            if (p.kind != NodeKind::pad || p.before[0] != 0 || p.before[3] != 0 || p.output == g_.output)
                continue;
            const Shape &in = g_.values[p.inputs[0]].shape, &out = g_.values[p.output].shape;
            const std::vector<size_t> readers = g_.consumers(p.output);
            if (in.size() != 4 || in[3] != out[3] || readers.size() != 1) continue;
            Node& conv = g_.nodes[readers[0]];
            if (conv.kind != NodeKind::conv2d && conv.kind != NodeKind::depthwise_conv2d) continue;
            conv.window.pad_top += p.before[1];
            conv.window.pad_left += p.before[2];
            remove(i);
            return true;
        }
        return false;
    }

    // A dense layer takes its inputs in any order and shape: moves before it go into its weights.
    bool bypass_moves() {
        for (Node& n : g_.nodes) {
            if (n.kind != NodeKind::fully_connected) continue;
            const Node* move = g_.producer(n.inputs[0]);
            if (move == nullptr || (move->kind != NodeKind::reshape && move->kind != NodeKind::transpose))
                continue;
            if (g_.consumers(move->output).size() != 1 || move->output == g_.output) continue;
            const size_t count = g_.values[n.inputs[0]].elements();
            // Where each input of the layer comes from: the move applied to 0, 1, 2, ... (exact: count <
            // 2^24)
            Graph alone;
            alone.values = {g_.values[move->inputs[0]], g_.values[move->output]};
            alone.nodes = {*move};
            alone.nodes[0].inputs = {0};
            alone.nodes[0].output = 1;
            alone.output = 1;
            std::vector<float> places(count);
            std::iota(places.begin(), places.end(), 0.0f);
            places = run_float(alone, places)[1];
            std::vector<float> weights(n.weights.size());
            for (size_t o = 0; o < n.bias.size(); ++o)
                for (size_t k = 0; k < count; ++k)
                    weights[o * count + size_t(places[k])] = n.weights[o * count + k];
            n.weights = std::move(weights);
            touched_ = move->name;
            const size_t gone = move->output;
            n.inputs[0] = move->inputs[0];
            for (size_t i = 0; i < g_.nodes.size(); ++i)
                if (g_.nodes[i].output == gone) {
                    g_.nodes.erase(g_.nodes.begin() + long(i));
                    break;
                }
            return true;
        }
        return false;
    }

    bool merge_reshapes() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            Node& n = g_.nodes[i];
            if (n.kind != NodeKind::reshape) continue;
            if (removable(n)) {
                remove(i);
                return true;
            }
            const Node* p = only_producer(n.inputs[0]);
            if (p == nullptr || p->kind != NodeKind::reshape) continue;
            const size_t middle = n.inputs[0];
            touched_ = p->name;
            n.inputs[0] = p->inputs[0];
            for (size_t k = 0; k < g_.nodes.size(); ++k)
                if (g_.nodes[k].output == middle) {
                    g_.nodes.erase(g_.nodes.begin() + long(k));
                    break;
                }
            return true;
        }
        return false;
    }

    // Two moves that undo each other.
    bool cancel_transposes() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            Node& n = g_.nodes[i];
            if (n.kind != NodeKind::transpose) continue;
            const Node* p = only_producer(n.inputs[0]);
            if (p == nullptr || p->kind != NodeKind::transpose) continue;
            const size_t source = p->inputs[0];
            if (g_.values[source].shape != g_.values[n.output].shape) continue;
            bool identity = true;
            for (size_t d = 0; d < 4; ++d)
                identity = identity && p->axes[size_t(n.axes[d])] == int32_t(d);
            if (!identity) continue;
            const size_t first = n.inputs[0];
            n.inputs[0] = source;
            remove(i);
            erase_producer(first);
            return true;
        }
        return false;
    }

    void erase_producer(size_t value) {
        for (size_t k = 0; k < g_.nodes.size(); ++k)
            if (g_.nodes[k].output == value) {
                g_.nodes.erase(g_.nodes.begin() + long(k));
                return;
            }
    }

    // A temporal filter of one input channel, then a spatial one that spans the height: both are linear, so
    // the spatial one may go first, where it leaves fewer rows to filter.
    bool spatial_first() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            Node& spatial = g_.nodes[i];
            if (spatial.kind != NodeKind::depthwise_conv2d) continue;
            Node* temporal = only_producer(spatial.inputs[0]);
            if (temporal == nullptr || temporal->kind != NodeKind::conv2d || !unclamped(*temporal)) continue;
            const Shape in = g_.values[temporal->inputs[0]].shape;
            const Shape middle = g_.values[temporal->output].shape;
            const Shape out = g_.values[spatial.output].shape;
            const WindowParams t = temporal->window, s = spatial.window;
            const bool along_time = in[3] == 1 && t.kernel_h == 1 && t.stride_h == 1 && t.pad_top == 0;
            const bool across = s.kernel_h == in[1] && s.kernel_w == 1 && s.stride_w == 1 && s.pad_top == 0 &&
                                s.pad_left == 0 && s.dilation_h == 1 && out[1] == 1 && out[2] == middle[2];
            if (!along_time || !across || in[1] == 1) continue;
            const auto rows = size_t(in[1]), taps = size_t(t.kernel_w), filters = size_t(middle[3]),
                       outputs = size_t(out[3]);
            const size_t before = rows * size_t(middle[2]) * filters * taps + rows * size_t(out[2]) * outputs;
            const size_t after = rows * size_t(in[2]) * outputs + size_t(out[2]) * outputs * taps;
            if (after >= before) continue;
            swap_filters(temporal, &spatial, rows, taps, filters, outputs);
            return true;
        }
        return false;
    }
    void swap_filters(Node* temporal, Node* spatial, size_t rows, size_t taps, size_t filters,
                      size_t outputs) {
        const std::vector<float> t = temporal->weights, s = spatial->weights;  // [f][k], [h][o]
        const std::vector<float> t_bias = temporal->bias;
        const WindowParams time = temporal->window;
        std::vector<float> first(outputs * rows), then(taps * outputs), bias(outputs);
        for (size_t o = 0; o < outputs; ++o) {
            const size_t f = o / (outputs / filters);
            float sum = 0;
            for (size_t h = 0; h < rows; ++h) {
                first[o * rows + h] = s[h * outputs + o];
                sum += s[h * outputs + o];
            }
            for (size_t k = 0; k < taps; ++k)
                then[k * outputs + o] = t[f * taps + k];
            bias[o] = spatial->bias[o] + t_bias[f] * sum;
        }
        touched_ = spatial->name;
        std::swap(temporal->name, spatial->name);
        temporal->window = {int32_t(rows), 1, 1, 1, 1, 1, 0, 0};
        temporal->weights = std::move(first);
        temporal->bias.assign(outputs, 0.0f);
        temporal->weight_scale.clear();
        Value& between = g_.values[temporal->output];
        between.shape = {1, 1, g_.values[temporal->inputs[0]].shape[2], int32_t(outputs)};
        between.scale = 0;
        spatial->window = time;
        spatial->weights = std::move(then);
        spatial->bias = std::move(bias);
        spatial->weight_scale.clear();
    }

    // A filter over all rows of a turned signal is a filter over the channels of the signal as it was.
    bool unturn_spatial() {
        for (Node& n : g_.nodes) {
            if (n.kind != NodeKind::conv2d || n.window.kernel_w != 1 || n.window.stride_w != 1 ||
                n.window.pad_top != 0 || n.window.pad_left != 0)
                continue;
            const Shape turned = g_.values[n.inputs[0]].shape;
            if (turned[3] != 1 || n.window.kernel_h != turned[1] || turned[1] == 1) continue;
            size_t value = n.inputs[0];
            std::vector<size_t> gone;
            const Node* p = only_producer(value);
            for (; p != nullptr && p->kind == NodeKind::reshape; p = only_producer(value)) {
                gone.push_back(value);
                value = p->inputs[0];
            }
            if (p == nullptr || p->kind != NodeKind::transpose) continue;
            // [.., time, channels] -> [.., channels, time] however many 1s are around.
            const Shape from = padded_shape(g_.values[p->inputs[0]].shape);
            const Shape to = padded_shape(g_.values[p->output].shape);
            if (from[0] * from[1] != 1 || to[0] * to[1] != 1 || from[2] != turned[2] ||
                from[3] != turned[1] || to[2] != turned[1] || p->axes[2] != 3)
                continue;
            touched_ = p->name;
            const size_t source = p->inputs[0];
            gone.push_back(value);
            const Shape wanted = {1, 1, turned[2], turned[1]};
            n.window = {1, 1, 1, 1, 1, 1, 0, 0};
            if (g_.values[source].shape == wanted) {
                n.inputs[0] = source;
                for (const size_t v : gone)
                    erase_producer(v);
            } else {
                // Keep one of the moves as the change of shape.
                const size_t kept = n.inputs[0];
                for (Node& m : g_.nodes)
                    if (m.output == kept) {
                        m.kind = NodeKind::reshape;
                        m.inputs = {source};
                        m.axes.clear();
                    }
                g_.values[kept].shape = wanted;
                for (const size_t v : gone)
                    if (v != kept) erase_producer(v);
            }
            return true;
        }
        return false;
    }

    // A part of the graph that is one function of one value, number by number: GELU, SiLU and their like
    // come from exporters as five nodes.
    struct Part {
        std::function<float(float)> function;
        std::set<size_t> nodes;  // by output value
    };
    std::optional<Part> as_function(size_t value, size_t x, int* budget) const {
        if (value == x) return Part{[](float v) { return v; }, {}};
        const Node* n = g_.producer(value);
        if (n == nullptr || --*budget < 0 || g_.values[value].shape != g_.values[x].shape)
            return std::nullopt;
        const auto first = as_function(n->inputs[0], x, budget);
        if (!first) return std::nullopt;
        Part part = *first;
        part.nodes.insert(value);
        const auto f = first->function;
        const float low = n->low, high = n->high;
        const auto clamped = [low, high](float v) { return std::min(std::max(v, low), high); };
        if (n->kind == NodeKind::unary) {
            const auto outer = n->function;
            part.function = [f, outer](float v) { return outer(f(v)); };
            return part;
        }
        if (affine(*n)) {
            const float scale = n->weights[0], shift = n->bias[0];
            for (size_t c = 0; c < n->weights.size(); ++c)
                if (n->weights[c] != scale || n->bias[c] != shift) return std::nullopt;
            part.function = [f, scale, shift](float v) { return f(v) * scale + shift; };
            return part;
        }
        const NodeKind kind = n->kind;
        if (kind != NodeKind::add && kind != NodeKind::subtract && kind != NodeKind::mul) return std::nullopt;
        const auto second = as_function(n->inputs[1], x, budget);
        if (!second) return std::nullopt;
        part.nodes.insert(second->nodes.begin(), second->nodes.end());
        const auto h = second->function;
        part.function = [f, h, kind, clamped](float v) {
            const float a = f(v), b = h(v);
            return clamped(kind == NodeKind::add ? a + b : kind == NodeKind::mul ? a * b : a - b);
        };
        return part;
    }
    bool elementwise(const Node& n) const {
        return n.kind == NodeKind::unary || n.kind == NodeKind::add || n.kind == NodeKind::subtract ||
               n.kind == NodeKind::mul || affine(n);
    }
    // A few values that the value may be a function of, the nearest first.
    std::vector<size_t> elementwise_ancestors(size_t value) const {
        constexpr size_t kMost = 16;
        std::vector<size_t> found = {value};
        for (size_t i = 0; i < found.size() && found.size() < kMost; ++i) {
            const Node* n = g_.producer(found[i]);
            if (n == nullptr || !elementwise(*n)) continue;
            for (const size_t in : n->inputs)
                if (g_.values[in].shape == g_.values[value].shape &&
                    std::count(found.begin(), found.end(), in) == 0)
                    found.push_back(in);
        }
        found.erase(found.begin());
        return found;
    }
    bool fuse_functions() {
        for (size_t i = g_.nodes.size(); i-- > 0;) {
            const size_t root = g_.nodes[i].output;
            for (const size_t x : elementwise_ancestors(root)) {
                int budget = 64;
                const auto part = as_function(root, x, &budget);
                // One node alone is worth it when it is no table yet: x * x. A file's own scales mean its
                // arithmetic.
                const bool single = g_.nodes[i].kind == NodeKind::unary || g_.values[root].scale > 0;
                if (!part || (part->nodes.size() < 2 && single) || !only_within(part->nodes, root)) continue;
                touched_ = g_.nodes[i].name;
                Node fused;
                fused.kind = NodeKind::unary;
                fused.name = g_.nodes[i].name;
                fused.inputs = {x};
                fused.output = root;
                fused.function = part->function;
                g_.nodes[i] = std::move(fused);
                for (const size_t value : part->nodes)
                    if (value != root) erase_producer(value);
                return true;
            }
        }
        return false;
    }
    // Nobody else reads what disappears.
    bool only_within(const std::set<size_t>& values, size_t root) const {
        for (const size_t value : values) {
            if (value == root) continue;
            if (value == g_.output || g_.values[value].scale > 0) return false;
            for (const size_t reader : g_.consumers(value))
                if (values.count(g_.nodes[reader].output) == 0) return false;
        }
        return true;
    }

    Graph& g_;
    const std::set<std::string>& without_;
    std::vector<AppliedRewrite> applied_;
    std::string touched_;
};

const std::vector<Rewriter::Rewrite>& Rewriter::all() {
    static const std::vector<Rewrite> list = {
        {{"fold-affine", "batch normalisation and constant scales go into the weights beside them"},
         {&Rewriter::fold_affine_back, &Rewriter::fold_affine_forward}},
        {{"fuse-activation", "ReLU and clip become the clamp of what they follow"}, {&Rewriter::fold_clip}},
        {{"fuse-functions", "functions of one value become one table (GELU, SiLU, squares)"},
         {&Rewriter::fuse_functions}},
        {{"fold-padding", "zeros around a convolution become its own padding"}, {&Rewriter::fold_pad}},
        {{"cancel-transposes", "two moves that undo each other go away"}, {&Rewriter::cancel_transposes}},
        {{"spatial-first", "a spatial filter goes before the temporal one where that saves work"},
         {&Rewriter::spatial_first, &Rewriter::unturn_spatial}},
        {{"bypass-moves", "moves before a dense layer go into the order of its weights"},
         {&Rewriter::bypass_moves}},
        {{"merge-reshapes", "changes of shape in a row become one"}, {&Rewriter::merge_reshapes}},
    };
    return list;
}

// Nodes whose results nobody reads.
void drop_unused(Graph* g) {
    for (size_t i = g->nodes.size(); i-- > 0;)
        if (g->nodes[i].output != g->output && g->consumers(g->nodes[i].output).empty())
            g->nodes.erase(g->nodes.begin() + long(i));
}

}  // namespace

const std::vector<RewriteInfo>& rewrite_list() {
    static const std::vector<RewriteInfo> list = [] {
        std::vector<RewriteInfo> out;
        for (const Rewriter::Rewrite& r : Rewriter::all())
            out.push_back(r.info);
        return out;
    }();
    return list;
}

std::vector<AppliedRewrite> simplify(Graph* graph, const std::set<std::string>& without) {
    drop_unused(graph);
    return Rewriter(graph, without).run();
}

}  // namespace lockstep::model
