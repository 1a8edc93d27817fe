#include "models/compile/quantiser.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "models/compile/lower.h"
#include "models/core/ops/recurrent.h"

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

// The largest magnitude is 32767 steps: no value of the range is clipped, and -x is as exact as x.
void set_scale16(const ValueRange& r, Value* value) {
    const float largest = std::max(r.high, -r.low);
    value->scale = largest > 1e-30f ? largest / 32767.0f : 1.0f / 32767.0f;
    value->zero_point = 0;
}

void set_scale(const ValueRange& r, Value* value) {
    if (value->type == ElementType::int16) return set_scale16(r, value);
    const float span = r.high - r.low;
    value->scale = span > 1e-30f ? span / 255.0f : 1.0f / 255.0f;
    value->zero_point = clamp(int32_t(std::round(-128.0f - r.low / value->scale)), -128, 127);
}

// Biases keep below this: far inside int32, or inside the limit for int16.
double bias_limit(const Graph& g, const Node& n) {
    return g.values[n.inputs[0]].type == ElementType::int16 ? double(kWideLimit) / 8 : double(1 << 28);
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
        // A bias far larger than its weights needs a coarser scale to stay within its bits.
        const double for_bias = std::fabs(double(n->bias[o])) / (in_scale * 2 * bias_limit(g, *n));
        const double scale = std::max({largest / 127.0, for_bias, 1e-12});
        n->weight_scale[o] = given.empty() ? float(scale) : given[given.size() == 1 ? 0 : o];
        for (size_t k = 0; k < taps; ++k)
            n->quantised_weights[at(o, k)] = int8_t(clamp(
                int32_t(std::lround(double(n->weights[at(o, k)]) / double(n->weight_scale[o]))), -127, 127));
        n->quantised_bias[o] = std::llround(double(n->bias[o]) / (in_scale * double(n->weight_scale[o])));
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
        if (std::fabs(moved) < 4 * bias_limit(g, *n)) n->quantised_bias[o] = std::llround(moved);
    }
}

bool same_scale(const Value& a, const Value& b) {
    return a.scale == b.scale && a.zero_point == b.zero_point;
}

// Operators whose output has one scale only. True for those; `value`, whose type is known, gets the scale.
bool fixed_scale(const Node& n, Value* value) {
    if (n.kind != NodeKind::softmax && !n.recurrent()) return false;
    const bool wide = value->type == ElementType::int16;
    value->scale = n.recurrent() ? kHiddenScale : wide ? 1.0f / 32768.0f : 1.0f / 256.0f;
    value->zero_point = n.recurrent() || wide ? 0 : -128;
    return true;
}

// Those of int8 alone.
bool only_int8(const Node& n) {
    return n.recurrent() || n.kind == NodeKind::argmax;
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

// The type of every value: that of its group, which is int16 when one of its layers is asked for.
Status set_types(Graph* graph, Groups* groups, const QuantiserOptions& options) {
    Graph& g = *graph;
    if (options.int16.empty() && !options.all_int16) return {};
    for (const Value& v : g.values)
        if (v.scale > 0)
            return fail(ErrorKind::usage,
                        "the file states the quantisation of its values, int16 is no choice", v.name,
                        "convert the float network");
    const std::vector<std::string> known = int16_layers(g);
    for (const std::string& name : options.int16)
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            std::string list;
            for (const std::string& k : known)
                list += (list.empty() ? "" : ", ") + k;
            return fail(ErrorKind::usage, "no layer that could have int16 has this name", name,
                        "one of: " + list);
        }
    std::vector<bool> wide(g.values.size(), false);
    const auto asked = [&](const std::string& name) {
        return options.all_int16 || options.int16.count(name) != 0;
    };
    if (asked(kInputLayer)) wide[groups->of(g.input)] = true;
    for (const Node& n : g.nodes)
        if (!keeps_scale(n.kind) && asked(n.name)) wide[groups->of(n.output)] = true;
    for (const Node& n : g.nodes)
        if (only_int8(n)) wide[groups->of(n.output)] = false;
    for (size_t v = 0; v < g.values.size(); ++v)
        g.values[v].type = wide[groups->of(v)] ? ElementType::int16 : ElementType::int8;
    return {};
}

// Some factors of int16 operators must be below 1 (models/core/ops/int16.h): an output that is far smaller
// than its inputs gets coarser steps, which are still finer than what its inputs' steps let it resolve.
void widen_scales(Graph* graph, Groups* groups) {
    Graph& g = *graph;
    const auto steps = [&](size_t v) {
        const Value& leader = g.values[groups->of(v)];
        return double(leader.scale) / (leader.type == ElementType::int16 ? 1 : 128);
    };
    for (const Node& n : g.nodes) {
        Value& out = g.values[groups->of(n.output)];
        if (out.type != ElementType::int16) continue;
        const double in = steps(n.inputs[0]);
        double least = 0;
        if (n.kind == NodeKind::mean) {
            const Value& x = g.values[n.inputs[0]];
            const size_t cells = x.elements() / size_t(x.shape.back());
            least = in * double(cells) / 32767;
        } else if (n.kind == NodeKind::add || n.kind == NodeKind::subtract) {
            least = std::max(in, steps(n.inputs[1])) / double(1 << 13);
        } else if (n.kind == NodeKind::mul) {
            least = in * steps(n.inputs[1]) * 2;
        }
        if (double(out.scale) < least) out.scale = float(least);
    }
}

// Operators have one type: where they meet another, a conversion stands before them, one for all that need
// it.
void convert_types(Graph* graph, std::vector<ValueRange>& range, Calibration* calibration) {
    Graph& g = *graph;
    std::map<std::pair<size_t, ElementType>, size_t> made;
    for (size_t i = 0; i < g.nodes.size(); ++i) {
        const Node& node = g.nodes[i];
        if (node.kind == NodeKind::argmax) continue;
        const ElementType type = only_int8(node) ? ElementType::int8 : g.values[node.output].type;
        for (size_t k = 0; k < g.nodes[i].inputs.size(); ++k) {
            const size_t from = g.nodes[i].inputs[k];
            if (g.values[from].type == type) continue;
            const auto [at, fresh] = made.try_emplace({from, type}, 0);
            if (fresh) {
                const Value source = g.values[from];
                Node n;
                n.kind = NodeKind::requantise;
                n.name = g.nodes[i].name + (type == ElementType::int16 ? ":int16" : ":int8");
                n.inputs = {from};
                n.output = at->second = g.add_value(n.name, source.shape);
                Value& to = g.values[n.output];
                to.type = type;
                // Every step of int8 is 128 of int16's; the other way the calibrated range decides.
                if (type == ElementType::int16)
                    to.scale = source.scale / 128;
                else
                    set_scale(range[from], &to);
                range.push_back(range[from]);
                if (!calibration->mean.empty()) calibration->mean.push_back(calibration->mean[from]);
                g.nodes.insert(g.nodes.begin() + long(i), std::move(n));
                ++i;
            }
            g.nodes[i].inputs[k] = at->second;
        }
    }
}

}  // namespace

std::vector<std::string> int16_layers(const Graph& g) {
    std::vector<std::string> names = {kInputLayer};
    for (const Node& n : g.nodes)
        if (!keeps_scale(n.kind) && !only_int8(n)) names.push_back(n.name);
    return names;
}

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
    if (Status s = set_types(graph, &groups, options); !s) return s;
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
        own.type = g.values[n.output].type;
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
    std::vector<ValueRange> range(g.values.size());
    if (inputs.empty()) {
        std::string open;
        for (size_t v = 0; v < g.values.size(); ++v)
            if (used[v] && !given[groups.of(v)]) open += (open.empty() ? "" : ", ") + g.values[v].name;
        if (!open.empty())
            return fail(ErrorKind::usage, "no calibration windows, and the file states no scale of " + open,
                        g.name, "give --calibration FILE with typical inputs");
    } else {
        if (options.calibrated != nullptr) {
            calibration = *options.calibrated;
        } else {
            auto found = calibrate(g, inputs, options.method, options.clip);
            if (!found) return tl::make_unexpected(found.error());
            calibration = std::move(*found);
        }
        std::vector<ValueRange> whole(g.values.size());
        for (size_t v = 0; v < range.size(); ++v) {
            range[groups.of(v)].include(calibration.range[v]);
            whole[groups.of(v)].include(calibration.whole[v]);
        }
        for (size_t v = 0; v < range.size(); ++v)
            if (groups.of(v) == v && !given[v])
                set_scale(g.values[v].type == ElementType::int16 ? whole[v] : range[v], &g.values[v]);
        widen_scales(graph, &groups);
    }
    for (size_t v = 0; v < g.values.size(); ++v) {
        const Value leader = g.values[groups.of(v)];
        g.values[v].scale = leader.scale > 0 ? leader.scale : 1.0f;
        g.values[v].zero_point = leader.zero_point;
        range[v] = range[groups.of(v)];
    }
    convert_types(graph, range, &calibration);
    for (Node& n : g.nodes)
        if (n.has_weights()) {
            quantise_weights(g, &n);
            if (options.correct_bias && !inputs.empty()) correct_bias(g, calibration.mean[n.inputs[0]], &n);
        }
    return {};
}

}  // namespace lockstep::model
