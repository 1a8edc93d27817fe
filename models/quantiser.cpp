#include "models/quantiser.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/float_executor.h"
#include "models/lower.h"

namespace lockstep::model {
namespace {

struct Range {
    float low = 0, high = 0;  // 0 is always inside: padding and ReLU must be exact
    void include(float v) {
        low = std::min(low, v);
        high = std::max(high, v);
    }
    void include(const Range& r) {
        include(r.low);
        include(r.high);
    }
};

// Values of operators that only move or select data share one scale.
bool keeps_scale(NodeKind kind) {
    return kind == NodeKind::max_pool || kind == NodeKind::average_pool || kind == NodeKind::reshape ||
           kind == NodeKind::transpose || kind == NodeKind::pad || kind == NodeKind::concat;
}

class Groups {
  public:
    explicit Groups(size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), size_t(0)); }
    size_t of(size_t v) {
        while (parent_[v] != v)
            v = parent_[v] = parent_[parent_[v]];
        return v;
    }
    void join(size_t a, size_t b) { parent_[of(a)] = of(b); }

  private:
    std::vector<size_t> parent_;
};

// The range of one window's values without the share that may be clipped.
Range range_of(std::vector<float> values, double clip) {
    Range r;
    if (values.empty()) return r;
    const auto skip = std::min(size_t(clip * double(values.size())), (values.size() - 1) / 2);
    if (skip > 0) {
        std::nth_element(values.begin(), values.begin() + long(skip), values.end());
        const float low = values[skip];
        std::nth_element(values.begin(), values.end() - long(skip) - 1, values.end());
        r.include(low);
        r.include(values[values.size() - 1 - skip]);
        return r;
    }
    for (const float v : values)
        r.include(v);
    return r;
}

void set_scale(const Range& r, Value* value) {
    const float span = r.high - r.low;
    value->scale = span > 1e-30f ? span / 255.0f : 1.0f / 255.0f;
    value->zero_point = clamp(int32_t(std::round(-128.0f - r.low / value->scale)), -128, 127);
}

void quantise_weights(const Graph& g, Node* n) {
    const double in_scale = double(g.values[n->inputs[0]].scale);
    const size_t channels = n->bias.size(), taps = n->weights.size() / channels;
    const auto at = [&](size_t o, size_t k) {
        return n->kind == NodeKind::depthwise_conv2d ? k * channels + o : o * taps + k;
    };
    n->weight_scale.assign(channels, 1.0f);
    n->quantised_bias.assign(channels, 0);
    n->quantised_weights.assign(n->weights.size(), 0);
    for (size_t o = 0; o < channels; ++o) {
        double largest = 0;
        for (size_t k = 0; k < taps; ++k)
            largest = std::max(largest, std::fabs(double(n->weights[at(o, k)])));
        // A bias far larger than its weights needs a coarser scale to stay within 32 bits.
        const double for_bias = std::fabs(double(n->bias[o])) / (in_scale * double(1 << 29));
        const double scale = std::max({largest / 127.0, for_bias, 1e-12});
        n->weight_scale[o] = float(scale);
        for (size_t k = 0; k < taps; ++k)
            n->quantised_weights[at(o, k)] = int8_t(clamp(
                int32_t(std::lround(double(n->weights[at(o, k)]) / double(n->weight_scale[o]))), -127, 127));
        n->quantised_bias[o] =
            int32_t(std::llround(double(n->bias[o]) / (in_scale * double(n->weight_scale[o]))));
    }
}

}  // namespace

Status quantise(Graph* graph, const std::vector<std::vector<float>>& inputs,
                const QuantiserOptions& options) {
    Graph& g = *graph;
    if (inputs.empty()) return fail(ErrorKind::usage, "there are no calibration windows", g.name);
    std::vector<Range> range(g.values.size());
    for (const std::vector<float>& input : inputs) {
        const std::vector<std::vector<float>> values = run_float(g, input);
        for (size_t v = 0; v < values.size(); ++v) {
            for (const float x : values[v])
                if (!std::isfinite(x))
                    return fail(ErrorKind::usage, "not a finite number in the calibration", g.values[v].name);
            range[v].include(range_of(values[v], options.clip));
        }
    }
    Groups groups(g.values.size());
    for (const Node& n : g.nodes)
        if (keeps_scale(n.kind))
            for (const size_t i : n.inputs)
                groups.join(i, n.output);
    for (size_t v = 0; v < range.size(); ++v)
        range[groups.of(v)].include(range[v]);
    for (size_t v = 0; v < range.size(); ++v)
        set_scale(range[groups.of(v)], &g.values[v]);
    for (const Node& n : g.nodes)
        if (n.kind == NodeKind::softmax) {
            if (groups.of(n.output) == groups.of(n.inputs[0]))
                return fail(ErrorKind::usage, "input and output of a softmax share a scale", n.name);
            for (size_t v = 0; v < range.size(); ++v)
                if (groups.of(v) == groups.of(n.output)) {
                    g.values[v].scale = 1.0f / 256.0f;
                    g.values[v].zero_point = -128;
                }
        }
    for (Node& n : g.nodes)
        if (n.has_weights()) quantise_weights(g, &n);
    return {};
}

}  // namespace lockstep::model
