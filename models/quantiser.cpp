#include "models/quantiser.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/core/ops/recurrent.h"
#include "models/lower.h"

namespace lockstep::model {
namespace {

// Values of operators that only move or select data share one scale.
bool keeps_scale(NodeKind kind) {
    return kind == NodeKind::max_pool || kind == NodeKind::average_pool || kind == NodeKind::reshape ||
           kind == NodeKind::transpose || kind == NodeKind::pad || kind == NodeKind::concat ||
           kind == NodeKind::slice;
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

void set_scale(const ValueRange& r, Value* value) {
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
    const std::vector<float> given = n->weight_scale;
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
        n->weight_scale[o] = given.empty() ? float(scale) : given[given.size() == 1 ? 0 : o];
        for (size_t k = 0; k < taps; ++k)
            n->quantised_weights[at(o, k)] = int8_t(clamp(
                int32_t(std::lround(double(n->weights[at(o, k)]) / double(n->weight_scale[o]))), -127, 127));
        n->quantised_bias[o] =
            int32_t(std::llround(double(n->bias[o]) / (in_scale * double(n->weight_scale[o]))));
    }
}

// Element `k` of the weights of output channel `o` meets this element of the input's means.
size_t input_of(const Node& n, size_t o, size_t k, size_t channels, size_t inputs) {
    return n.kind == NodeKind::depthwise_conv2d ? o / (channels / inputs) : k % inputs;
}

void correct_bias(const Graph& g, const std::vector<double>& mean, Node* n) {
    const size_t channels = n->bias.size(), taps = n->weights.size() / channels;
    const double in_scale = double(g.values[n->inputs[0]].scale);
    for (size_t o = 0; o < channels; ++o) {
        const double scale = double(n->weight_scale[o]);
        double error = 0;
        for (size_t k = 0; k < taps; ++k) {
            const size_t at = n->kind == NodeKind::depthwise_conv2d ? k * channels + o : o * taps + k;
            error += (scale * double(n->quantised_weights[at]) - double(n->weights[at])) *
                     mean[input_of(*n, o, k, channels, mean.size())];
        }
        const double moved = double(n->quantised_bias[o]) - error / (in_scale * scale);
        if (std::fabs(moved) < double(1 << 30)) n->quantised_bias[o] = int32_t(std::llround(moved));
    }
}

bool same_scale(const Value& a, const Value& b) {
    return a.scale == b.scale && a.zero_point == b.zero_point;
}

// Operators whose output has one scale only. True for those; `value` gets the scale.
bool fixed_scale(const Node& n, Value* value) {
    if (n.kind != NodeKind::softmax && !n.recurrent()) return false;
    value->scale = n.recurrent() ? kHiddenScale : 1.0f / 256.0f;
    value->zero_point = n.recurrent() ? 0 : -128;
    return true;
}

// A node that keeps scales, between values whose scales are given and differ, gets a conversion before it.
void convert_between(Graph* graph) {
    Graph& g = *graph;
    for (size_t i = 0; i < g.nodes.size(); ++i) {
        const Value out = g.values[g.nodes[i].output];
        if (!keeps_scale(g.nodes[i].kind) || !(out.scale > 0)) continue;
        for (size_t k = 0; k < g.nodes[i].inputs.size(); ++k) {
            const size_t from = g.nodes[i].inputs[k];
            const Value in = g.values[from];
            if (!(in.scale > 0) || same_scale(in, out)) continue;
            Node n;
            n.kind = NodeKind::unary;
            n.name = g.nodes[i].name + ":scale";
            n.inputs = {from};
            n.function = [](float x) { return x; };
            n.output = g.add_value(n.name, in.shape);
            g.values[n.output].scale = out.scale;
            g.values[n.output].zero_point = out.zero_point;
            g.nodes[i].inputs[k] = n.output;
            g.nodes.insert(g.nodes.begin() + long(i), std::move(n));
            ++i;
        }
    }
}

// Another scale that the file states is a table behind it.
void convert_behind_fixed(Graph* graph) {
    Graph& g = *graph;
    for (size_t i = 0; i < g.nodes.size(); ++i) {
        const size_t out = g.nodes[i].output;
        const Value stated = g.values[out];
        Value own_scale;
        if (!fixed_scale(g.nodes[i], &own_scale) || !(stated.scale > 0) || same_scale(stated, own_scale))
            continue;
        Node n;
        n.kind = NodeKind::unary;
        n.name = g.nodes[i].name + ":scale";
        n.function = [](float x) { return x; };
        n.output = out;
        const size_t own = g.add_value(n.name, stated.shape);
        n.inputs = {own};
        g.nodes[i].output = own;
        g.nodes.insert(g.nodes.begin() + long(i) + 1, std::move(n));
    }
}

}  // namespace

Status quantise(Graph* graph, const std::vector<std::vector<float>>& inputs,
                const QuantiserOptions& options) {
    Graph& g = *graph;
    convert_between(graph);
    convert_behind_fixed(graph);
    Groups groups(g.values.size());
    for (const Node& n : g.nodes)
        if (keeps_scale(n.kind))
            for (const size_t i : n.inputs)
                groups.join(i, n.output);
    std::vector<bool> used(g.values.size(), false), given(g.values.size(), false);
    used[g.input] = true;
    for (const Node& n : g.nodes)
        used[n.output] = true;
    for (size_t v = 0; v < g.values.size(); ++v) {
        if (!(g.values[v].scale > 0)) continue;
        Value& leader = g.values[groups.of(v)];
        leader.scale = g.values[v].scale;
        leader.zero_point = g.values[v].zero_point;
        given[groups.of(v)] = true;
    }
    std::vector<bool> fixed(g.values.size(), false);
    for (const Node& n : g.nodes) {
        Value own;
        if (!fixed_scale(n, &own)) continue;
        const size_t group = groups.of(n.output);
        if (group == groups.of(n.inputs[0]) && n.kind == NodeKind::softmax)
            return fail(ErrorKind::usage, "input and output of a softmax share a scale", n.name);
        Value& leader = g.values[group];
        if (fixed[group] && !same_scale(leader, own))
            return fail(ErrorKind::usage,
                        "its output's scale is fixed, and so is another's that it is joined with", n.name);
        leader.scale = own.scale;
        leader.zero_point = own.zero_point;
        given[group] = fixed[group] = true;
    }
    Calibration calibration;
    if (inputs.empty()) {
        std::string open;
        for (size_t v = 0; v < g.values.size(); ++v)
            if (used[v] && !given[groups.of(v)]) open += (open.empty() ? "" : ", ") + g.values[v].name;
        if (!open.empty())
            return fail(ErrorKind::usage, "no calibration windows, and the file states no scale of " + open,
                        g.name, "give --calibration FILE with typical inputs");
    } else {
        auto found = calibrate(g, inputs, options.method, options.clip);
        if (!found) return tl::make_unexpected(found.error());
        calibration = std::move(*found);
        std::vector<ValueRange> range(g.values.size());
        for (size_t v = 0; v < range.size(); ++v)
            range[groups.of(v)].include(calibration.range[v]);
        for (size_t v = 0; v < range.size(); ++v)
            if (groups.of(v) == v && !given[v]) set_scale(range[v], &g.values[v]);
    }
    for (size_t v = 0; v < g.values.size(); ++v) {
        const Value leader = g.values[groups.of(v)];
        g.values[v].scale = leader.scale > 0 ? leader.scale : 1.0f;
        g.values[v].zero_point = leader.zero_point;
    }
    for (Node& n : g.nodes)
        if (n.has_weights()) {
            quantise_weights(g, &n);
            if (options.correct_bias && !inputs.empty()) correct_bias(g, calibration.mean[n.inputs[0]], &n);
        }
    return {};
}

}  // namespace lockstep::model
