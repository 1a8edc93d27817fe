#include "models/network/pruning.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace lockstep::model {
namespace {

using Channels = std::vector<size_t>;  // by place in a value's last dimension: the pruned layer's channel

size_t last(const Graph& g, size_t value) {
    return size_t(g.values[value].shape.back());
}

// What a layer's output channels become on their way into other layers' weights.
class Reach {
  public:
    Reach(const Graph& g, size_t node) : g_(g) {
        const size_t value = g.nodes[node].output;
        Channels own(last(g, value));
        std::iota(own.begin(), own.end(), size_t(0));
        follow(value, own);
    }
    const std::string& why_not() const { return why_not_; }
    const std::map<size_t, Channels>& values() const { return values_; }

  private:
    void follow(size_t value, const Channels& channels) {
        values_[value] = channels;
        if (value == g_.output) return stop("its channels are the network's output");
        for (const size_t i : g_.consumers(value)) {
            const Node& n = g_.nodes[i];
            const size_t out = last(g_, n.output);
            switch (n.kind) {
                case NodeKind::conv2d:
                case NodeKind::fully_connected:
                    break;  // they end in its weights
                case NodeKind::max_pool:
                case NodeKind::average_pool:
                case NodeKind::unary:
                case NodeKind::mean:
                case NodeKind::pad:
                    if (out != channels.size()) return stop_at(n);
                    follow(n.output, channels);
                    break;
                case NodeKind::reshape:
                case NodeKind::depthwise_conv2d: {
                    // Flattened, channels come again for every cell; a multiplier repeats each of them.
                    if (out % channels.size() != 0) return stop_at(n);
                    const bool flat = n.kind == NodeKind::reshape;
                    Channels further(out);
                    for (size_t k = 0; k < out; ++k)
                        further[k] = channels[flat ? k % channels.size() : k / (out / channels.size())];
                    follow(n.output, further);
                    break;
                }
                default:
                    return stop_at(n);
            }
            if (!why_not_.empty()) return;
        }
    }
    void stop(const std::string& why) { why_not_ = why; }
    void stop_at(const Node& n) {
        stop(std::string("they go into ") + node_kind_name(n.kind) + " \"" + n.name + "\"");
    }

    const Graph& g_;
    std::map<size_t, Channels> values_;
    std::string why_not_;
};

// The channels that stay, in order.
std::vector<bool> strongest(const Node& n, size_t channels, double fraction) {
    const size_t taps = n.weights.size() / channels;
    std::vector<double> sum(channels, 0);
    for (size_t o = 0; o < channels; ++o)
        for (size_t k = 0; k < taps; ++k)
            sum[o] += std::fabs(double(n.weights[o * taps + k]));
    const size_t unit = channels % 4 == 0 ? 4 : 1;
    auto count = size_t(std::ceil(double(channels) * (1 - fraction) / double(unit) - 1e-9)) * unit;
    count = std::clamp(count, unit, channels);
    std::vector<size_t> order(channels);
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sum[a] > sum[b]; });
    std::vector<bool> stays(channels, false);
    for (size_t k = 0; k < count; ++k)
        stays[order[k]] = true;
    return stays;
}

// Keeps the parts of v, cut into parts of `inner`, whose number modulo period has a channel that stays.
void keep(std::vector<float>* v, size_t inner, const Channels& channels, const std::vector<bool>& stays) {
    size_t to = 0;
    for (size_t part = 0; part < v->size() / inner; ++part) {
        if (!stays[channels[part % channels.size()]]) continue;
        std::copy_n(v->begin() + std::ptrdiff_t(part * inner), inner, v->begin() + std::ptrdiff_t(to));
        to += inner;
    }
    v->resize(to);
}

void remove(Graph* g, size_t node, const std::map<size_t, Channels>& values, const std::vector<bool>& stays) {
    Node& own = g->nodes[node];
    const Channels& outputs = values.at(own.output);
    keep(&own.weights, own.weights.size() / outputs.size(), outputs, stays);
    keep(&own.bias, 1, outputs, stays);
    for (Node& n : g->nodes) {
        const auto into = n.inputs.empty() ? values.end() : values.find(n.inputs[0]);
        if (into == values.end()) continue;
        if (n.kind == NodeKind::conv2d || n.kind == NodeKind::fully_connected) {
            // The last dimension of a fully connected layer's input may stand for several cells.
            keep(&n.weights, 1, into->second, stays);
        } else if (n.kind == NodeKind::depthwise_conv2d) {
            keep(&n.weights, 1, values.at(n.output), stays);
            keep(&n.bias, 1, values.at(n.output), stays);
        }
    }
    for (const auto& [value, channels] : values)
        g->values[value].shape.back() = int32_t(
            std::count_if(channels.begin(), channels.end(), [&](size_t channel) { return stays[channel]; }));
}

uint64_t weight_bytes(const Graph& g) {
    uint64_t bytes = 0;
    for (const Node& n : g.nodes)
        if (n.has_weights()) bytes += n.weights.size() + 12 * n.bias.size();
    return bytes;
}

}  // namespace

PruningReport prune(Graph* graph, double fraction) {
    PruningReport report;
    report.fraction = fraction;
    report.macs_before = multiply_accumulates(*graph);
    report.bytes_before = weight_bytes(*graph);
    for (size_t i = 0; i < graph->nodes.size(); ++i) {
        const Node& n = graph->nodes[i];
        if (n.kind != NodeKind::conv2d && n.kind != NodeKind::fully_connected) continue;
        PrunedLayer layer;
        layer.node = n.name;
        layer.channels = layer.kept = n.bias.size();
        const Reach reach(*graph, i);
        layer.why_not = reach.why_not();
        if (last(*graph, n.output) != layer.channels) layer.why_not = "its output is no row of channels";
        if (layer.why_not.empty()) {
            const std::vector<bool> stays = strongest(n, layer.channels, fraction);
            remove(graph, i, reach.values(), stays);
            layer.kept = n.bias.size();
        }
        report.layers.push_back(std::move(layer));
    }
    report.macs_after = multiply_accumulates(*graph);
    report.bytes_after = weight_bytes(*graph);
    return report;
}

}  // namespace lockstep::model
