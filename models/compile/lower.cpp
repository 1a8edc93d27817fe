#include "models/compile/lower.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/compile/lower_int16.h"
#include "models/core/ops/recurrent.h"
#include "models/core/ops/ring.h"

namespace lockstep::model {
namespace {

ClampParams clamp_of(const Node& n, const Value& out) {
    ClampParams c = {-128, 127};
    if (std::isfinite(n.low)) c.low = quantised(n.low, out.scale, out.zero_point);
    if (std::isfinite(n.high)) c.high = quantised(n.high, out.scale, out.zero_point);
    return c;
}

// Weight k of output channel o.
size_t weight_at(const Node& n, size_t o, size_t k, size_t channels, size_t taps) {
    return n.kind == NodeKind::depthwise_conv2d ? k * channels + o : o * taps + k;
}

Status append_channels(const Graph& g, const Node& n, std::vector<uint8_t>* params) {
    const Value& in = g.values[n.inputs[0]];
    const Value& out = g.values[n.output];
    const size_t channels = n.quantised_bias.size();
    const size_t taps = n.quantised_weights.size() / channels;
    std::vector<int32_t> bias(channels), multiplier(channels), shift(channels);
    for (size_t o = 0; o < channels; ++o) {
        const float weight_scale = n.weight_scale[n.weight_scale.size() == 1 ? 0 : o];
        // The reference multiplies the two scales of a fully connected layer in float32, those of a
        // convolution, or of such a layer with a scale for every output, in double. What was quantised here
        // keeps the first way.
        const bool in_float =
            n.kind == NodeKind::fully_connected && (n.weight_scale.size() == 1 || !n.weights.empty());
        const double product =
            in_float ? double(in.scale * weight_scale) : double(in.scale) * double(weight_scale);
        const Factor f = factor(product / double(out.scale));
        if (f.shift > kMaxShift)
            return fail(ErrorKind::usage, "the output's scale is too small for its weights", n.name);
        multiplier[o] = f.multiplier;
        shift[o] = f.shift;
        int64_t sum = 0;
        for (size_t k = 0; k < taps; ++k)
            sum += n.quantised_weights[weight_at(n, o, k, channels, taps)];
        const int64_t folded = int64_t(n.quantised_bias[o]) - in.zero_point * sum;
        if (folded < INT32_MIN || folded > INT32_MAX)
            return fail(ErrorKind::usage, "a bias does not fit 32 bits", n.name);
        bias[o] = int32_t(folded);
    }
    append(params, bias.data(), channels);
    append(params, multiplier.data(), channels);
    append(params, shift.data(), channels);
    append(params, n.quantised_weights.data(), n.quantised_weights.size());
    return {};
}

SoftmaxParams softmax_params(const Value& in, float beta) {
    SoftmaxParams p = {};
    const double real = std::min(double(beta) * double(in.scale) * double(1 << 26), double(INT32_MAX));
    const Factor f = factor(real);
    p.multiplier = f.multiplier;
    p.shift = f.shift;
    p.diff_min = -int32_t(std::floor(31.0 * double(1 << 26) / std::pow(2.0, f.shift)));
    return p;
}

AddParams add_params(const Graph& g, const Node& n) {
    const Value& out = g.values[n.output];
    const float a = g.values[n.inputs[0]].scale, b = g.values[n.inputs[1]].scale;
    const double twice = 2.0 * double(std::max(a, b));
    AddParams p = {};
    const Factor f[2] = {factor(double(a) / twice), factor(double(b) / twice)};
    for (int i = 0; i < 2; ++i) {
        p.multiplier[i] = f[i].multiplier;
        p.shift[i] = f[i].shift;
    }
    const Factor o = factor(twice / (double(1 << 20) * double(out.scale)));
    p.output_multiplier = o.multiplier;
    p.output_shift = o.shift;
    p.clamp = clamp_of(n, out);
    p.subtract = n.kind == NodeKind::subtract ? 1 : 0;
    return p;
}

LookupParams lookup_params(const Graph& g, const Node& n) {
    const Value& in = g.values[n.inputs[0]];
    const Value& out = g.values[n.output];
    LookupParams p = {};
    for (int32_t q = -128; q <= 127; ++q) {
        const float real = n.function(float(q - in.zero_point) * in.scale);
        p.table[q + 128] = int8_t(quantised(std::isnan(real) ? 0.0f : real, out.scale, out.zero_point));
    }
    return p;
}

// The weights of a fully connected layer or a convolution in the target's order; rows when that is not
// possible.
WeightLayout lay_out(const Node& n, Target target, size_t outputs, std::vector<uint8_t>* params) {
    const size_t inputs = n.quantised_weights.size() / outputs;
    if (target != Target::armv7em || inputs % 4 != 0 || outputs % 4 != 0) return WeightLayout::rows;
    for (size_t o = 1; o < outputs; o += 2) {
        int32_t sum = 0;
        for (size_t i = 0; i < inputs; ++i)
            sum += std::abs(int32_t(n.quantised_weights[o * inputs + i]));
        if (sum >= kPairsLimit) return WeightLayout::rows;
    }
    uint8_t* to = params->data() + params->size() - n.quantised_weights.size();
    for (size_t o = 0; o < outputs; ++o)
        for (size_t i = 0; i < inputs; ++i)
            to[pairs_at(o, i, inputs)] =
                uint8_t(n.quantised_weights[o * inputs + i] + (o % 2 == 0 ? 128 : 0));
    return WeightLayout::pairs;
}

// The same for a depthwise convolution.
WeightLayout lay_out_taps(const Node& n, Target target, std::vector<uint8_t>* params) {
    const size_t channels = n.quantised_bias.size(), taps = n.quantised_weights.size() / channels;
    if (target != Target::armv7em || channels % 4 != 0) return WeightLayout::rows;
    const size_t at = params->size() - n.quantised_weights.size();
    params->resize(at);
    params->resize(at + channels * ((taps + 1) / 2 * 2), 0);
    for (size_t o = 0; o < channels; ++o)
        for (size_t t = 0; t < taps; ++t)
            (*params)[at + tap_pairs_at(o, t, taps)] = uint8_t(n.quantised_weights[t * channels + o]);
    return WeightLayout::pairs;
}

// Rows of int8 weights, scaled each by its largest, with biases and factors to Q3.12 (recurrent.h of the
// core).
struct Rows {
    std::vector<int32_t> bias, multiplier, shift;
    std::vector<int8_t> weights;
};

Status quantise_rows(const Node& n, const float* weights, const float* bias, size_t rows, size_t width,
                     double input_scale, int32_t zero_point, Rows* out) {
    for (size_t r = 0; r < rows; ++r) {
        double largest = 0;
        bool number = std::isfinite(bias[r]);
        for (size_t i = 0; i < width; ++i) {
            largest = std::max(largest, std::fabs(double(weights[r * width + i])));
            number = number && std::isfinite(weights[r * width + i]);
        }
        if (!number) return fail(ErrorKind::usage, "a weight or bias is no finite number", n.name);
        // A bias far larger than its weights needs a coarser scale to stay within 32 bits.
        const double for_bias = std::fabs(double(bias[r])) / (input_scale * double(1 << 29));
        const double scale = std::max({largest / 127, for_bias, 1e-12});
        int64_t sum = 0;
        for (size_t i = 0; i < width; ++i) {
            const auto q = int8_t(std::lround(double(weights[r * width + i]) / scale));
            out->weights.push_back(q);
            sum += q;
        }
        const int64_t folded = std::llround(double(bias[r]) / (input_scale * scale)) - zero_point * sum;
        const Factor f = factor(input_scale * scale * 4096);
        if (folded < INT32_MIN / 2 || folded > INT32_MAX / 2 || f.shift > kMaxShift)
            return fail(ErrorKind::usage, "weights or a bias outside what int8 gates can hold", n.name);
        out->bias.push_back(int32_t(folded));
        out->multiplier.push_back(f.multiplier);
        out->shift.push_back(f.shift);
    }
    return {};
}

Result<Emitted> emit_recurrent(const Graph& g, const Node& n) {
    const Value& in = g.values[n.inputs[0]];
    const size_t rows = n.bias.size() / 2, hidden = rows / n.gates(), inputs = size_t(in.shape[3]);
    Rows x, h;
    Status s =
        quantise_rows(n, n.weights.data(), n.bias.data(), rows, inputs, double(in.scale), in.zero_point, &x);
    if (s)
        s = quantise_rows(n, n.weights.data() + rows * inputs, n.bias.data() + rows, rows, hidden,
                          double(kHiddenScale), 0, &h);
    if (!s) return tl::make_unexpected(s.error());
    Emitted e;
    e.code = n.kind == NodeKind::gru ? kOpGru : kOpLstm;
    e.params = params_of(
        RecurrentParams{int32_t(hidden), n.reverse ? 1 : 0, n.last_only ? 1 : 0, n.reset_first ? 1 : 0});
    for (const std::vector<int32_t>* list :
         {&x.bias, &h.bias, &x.multiplier, &x.shift, &h.multiplier, &h.shift})
        append(&e.params, list->data(), list->size());
    append(&e.params, x.weights.data(), x.weights.size());
    append(&e.params, h.weights.data(), h.weights.size());
    e.scratch = recurrent_scratch_bytes(uint32_t(hidden));
    return e;
}

Result<Emitted> emit(const Graph& g, const Node& n, Target target) {
    const Value& in = g.values[n.inputs[0]];
    const Value& out = g.values[n.output];
    if (is_int16(g, n)) return emit_int16(g, n);
    Emitted e;
    switch (n.kind) {
        case NodeKind::conv2d:
        case NodeKind::depthwise_conv2d: {
            e.code = n.kind == NodeKind::conv2d ? kOpConv2d : kOpDepthwiseConv2d;
            ConvParams p = {n.window, clamp_of(n, out), 0, 0};
            e.params = params_of(p);
            if (const Status s = append_channels(g, n, &e.params); !s) return tl::make_unexpected(s.error());
            const auto ic = uint32_t(in.shape.back());
            if (n.kind == NodeKind::conv2d) {
                // One channel's windows overlap: its kernel shares them and takes rows.
                if (!is_temporal(n.window, ic))
                    p.layout = int32_t(lay_out(n, target, n.quantised_bias.size(), &e.params));
                memcpy(e.params.data(), &p, sizeof p);
                e.scratch = conv_scratch_bytes(n.window, ic, uint32_t(out.shape[2]));
                const auto taps = uint32_t(n.window.kernel_h * n.window.kernel_w) * ic;
                if (target == Target::any) e.scratch = std::max(e.scratch, vector_conv_scratch_bytes(taps));
                return e;
            }
            p.layout = int32_t(lay_out_taps(n, target, &e.params));
            memcpy(e.params.data(), &p, sizeof p);
            e.scratch = depthwise_scratch_bytes(uint32_t(n.window.kernel_h * n.window.kernel_w), ic);
            if (target == Target::any)
                e.scratch = std::max(
                    e.scratch, plane_scratch_bytes(n.window, uint32_t(out.shape[1]), uint32_t(out.shape[2])));
            return e;
        }
        case NodeKind::fully_connected: {
            e.code = kOpFullyConnected;
            FullyConnectedParams p = {clamp_of(n, out), 0, 0};
            e.params = params_of(p);
            if (const Status s = append_channels(g, n, &e.params); !s) return tl::make_unexpected(s.error());
            p.layout = int32_t(lay_out(n, target, n.quantised_bias.size(), &e.params));
            memcpy(e.params.data(), &p, sizeof p);
            return e;
        }
        case NodeKind::max_pool:
        case NodeKind::average_pool:
            e.code = n.kind == NodeKind::max_pool ? kOpMaxPool : kOpAveragePool;
            e.params = params_of(PoolParams{n.window, clamp_of(n, out), {}});
            return e;
        case NodeKind::mean: {
            const Factor f = factor(double(in.scale) / double(out.scale));
            e.code = kOpMean;
            e.params = params_of(MeanParams{f.multiplier, f.shift, {}});
            return e;
        }
        case NodeKind::softmax:
            e.code = kOpSoftmax;
            e.params = params_of(softmax_params(in, n.beta));
            return e;
        case NodeKind::reshape:
            e.code = kOpReshape;
            return e;
        case NodeKind::transpose: {
            e.code = kOpTranspose;
            TransposeParams p = {};
            std::copy_n(n.axes.begin(), 4, p.axis);
            e.params = params_of(p);
            return e;
        }
        case NodeKind::pad: {
            e.code = kOpPad;
            PadParams p = {};
            std::copy_n(n.before.begin(), 4, p.before);
            e.params = params_of(p);
            return e;
        }
        case NodeKind::add:
        case NodeKind::subtract:
            e.code = kOpAdd;
            e.params = params_of(add_params(g, n));
            return e;
        case NodeKind::mul: {
            const Factor f =
                factor(double(in.scale) * double(g.values[n.inputs[1]].scale) / double(out.scale));
            e.code = kOpMul;
            e.params = params_of(MulParams{f.multiplier, f.shift, clamp_of(n, out)});
            return e;
        }
        case NodeKind::concat:
            e.code = kOpConcat;
            e.params = params_of(ConcatParams{n.axes[0], {}});
            return e;
        case NodeKind::argmax:
            e.code = kOpArgmax;
            return e;
        case NodeKind::slice: {
            e.code = kOpSlice;
            SliceParams p = {};
            std::copy_n(n.before.begin(), 4, p.begin);
            e.params = params_of(p);
            return e;
        }
        case NodeKind::gru:
        case NodeKind::lstm:
            return emit_recurrent(g, n);
        case NodeKind::ring: {
            const auto axis = size_t(n.axes[0]);
            e.code = kOpRing;
            e.params = params_of(
                RingParams{n.windows, uint32_t(axis),
                           uint32_t(padded_shape(out.shape)[axis] - padded_shape(in.shape)[axis]), 0});
            e.scratch = kRingScratchBytes;
            e.keeps = kRing.keeps;
            return e;
        }
        case NodeKind::unary:
            e.code = kOpLookupTable;
            e.params = params_of(lookup_params(g, n));
            return e;
        case NodeKind::requantise:
            break;  // emit_int16()
    }
    return e;
}

}  // namespace

std::vector<uint16_t> plan_dims(const Shape& shape) {
    return {shape.begin(), shape.end()};
}

Factor factor(double real) {
    if (!(real > 0)) return {};
    int exponent = 0;
    const double mantissa = std::frexp(real, &exponent);
    auto fixed = int64_t(std::round(mantissa * double(int64_t(1) << 31)));
    if (fixed == int64_t(1) << 31) {
        fixed /= 2;
        ++exponent;
    }
    if (exponent < kMinShift) return {};
    return {int32_t(fixed), exponent};
}

int32_t quantised(float real, float scale, int32_t zero_point) {
    const float v = std::round(real / scale);
    if (std::isnan(v)) return zero_point;
    const auto bounded = int32_t(std::min(std::max(v, -1024.0f), 1024.0f));
    return clamp(bounded + zero_point, -128, 127);
}

Result<uint16_t> emit_network(const Graph& g, uint16_t input, PlanBuilder* plan, Target target) {
    for (const Value& v : g.values)
        if (!(v.scale > 0)) return fail(ErrorKind::usage, "a value has no scale", v.name);
    std::vector<uint16_t> tensor(g.values.size(), 0);
    tensor[g.input] = input;
    for (const Node& n : g.nodes) {
        if (n.inputs.size() > kMaxOperatorInputs)
            return fail(ErrorKind::usage, "more than 4 inputs", node_kind_name(n.kind) + (" " + n.name));
        auto e = emit(g, n, target);
        if (!e) return tl::make_unexpected(e.error());
        std::vector<uint16_t> inputs;
        for (const size_t i : n.inputs)
            inputs.push_back(tensor[i]);
        const Value& out = g.values[n.output];
        tensor[n.output] = plan->add_tensor(out.type, plan_dims(out.shape), out.scale, out.zero_point);
        plan->add_operator(e->code, std::move(inputs), tensor[n.output], std::move(e->params), n.name,
                           StageKind::layer, e->scratch, e->keeps);
    }
    return tensor[g.output];
}

}  // namespace lockstep::model
