#include "models/compile/lower_int16.h"

#include <algorithm>
#include <cmath>

#include "models/compile/lower.h"
#include "models/core/ops/int16.h"

namespace lockstep::model {
namespace {

int32_t quantised16(float real, float scale) {
    const float v = std::round(real / scale);
    if (std::isnan(v)) return 0;
    return int32_t(std::min(std::max(v, -32768.0f), 32767.0f));
}

ClampParams clamp16_of(const Node& n, const Value& out) {
    ClampParams c = {INT16_MIN, INT16_MAX};
    if (std::isfinite(n.low)) c.low = quantised16(n.low, out.scale);
    if (std::isfinite(n.high)) c.high = quantised16(n.high, out.scale);
    return c;
}

tl::unexpected<Error> too_small(const Node& n) {
    return fail(ErrorKind::usage, "the output's scale is too small for its inputs in int16", n.name,
                "leave this layer in int8");
}

Status append_channels16(const Graph& g, const Node& n, std::vector<uint8_t>* params) {
    const Value& in = g.values[n.inputs[0]];
    const Value& out = g.values[n.output];
    const size_t channels = n.quantised_bias.size();
    const bool one_scale = n.weight_scale.size() == 1;
    std::vector<int32_t> multiplier(channels), shift(channels);
    for (size_t o = 0; o < channels; ++o) {
        if (n.quantised_bias[o] <= -kWideLimit || n.quantised_bias[o] >= kWideLimit)
            return fail(ErrorKind::usage, "a bias does not fit 48 bits", n.name);
        const float weight_scale = n.weight_scale[one_scale ? 0 : o];
        // The reference multiplies the scales of a fully connected layer with one weight scale in float32,
        // all others in double.
        const double product = n.kind == NodeKind::fully_connected && one_scale
                                   ? double(in.scale * weight_scale)
                                   : double(in.scale) * double(weight_scale);
        const Factor f = factor(product / double(out.scale));
        if (15 - f.shift < kMinWideShift) return too_small(n);
        multiplier[o] = f.multiplier < 0x7fff0000 ? (f.multiplier + (1 << 15)) >> 16 : INT16_MAX;
        shift[o] = 15 - f.shift;
    }
    append(params, n.quantised_bias.data(), channels);
    append(params, multiplier.data(), channels);
    append(params, shift.data(), channels);
    append(params, n.quantised_weights.data(), n.quantised_weights.size());
    return {};
}

// 513 entries over q = -32768, -32640, .., 32768; each moved by half of what a straight line to the next
// would be off in the middle, as TFLite's own tables are.
template <typename Function>
void fill_curve(double input_scale, double output_scale, Function function, int16_t* table) {
    constexpr int32_t kHalf = kCurveSteps / 2;
    const auto at = [&](double q) {
        const double v = double(function(float(q * input_scale))) / output_scale;
        return std::isnan(v) ? 0.0 : std::min(std::max(std::round(v), -65536.0), 65536.0);
    };
    for (int32_t i = 0; i <= kCurveSteps; ++i) {
        const double q = double((i - kHalf) * 128), here = at(q);
        const double off = i == kCurveSteps ? 0 : std::round((here + at(q + 128)) / 2) - at(q + 64);
        table[i] = int16_t(std::min(std::max(here - std::round(off / 2), -32768.0), 32767.0));
    }
}

// The same over octaves of |q|; the entries are the function's own numbers.
template <typename Function>
void fill_octaves(double input_scale, double output_scale, Function function, OctavesParams* p) {
    for (int32_t row = 0; row < 2; ++row)
        for (int32_t i = 0; i < kOctaveEntries; ++i) {
            const int32_t bits = i < 64 ? 0 : i / 32 - 1;
            const double q = double((row == 0 ? 1 : -1) * ((i - bits * 32) << bits));
            const double v = double(function(float(q * input_scale))) / output_scale;
            p->table[row][i] =
                std::isnan(v) ? int16_t(0) : int16_t(std::min(std::max(std::round(v), -32768.0), 32767.0));
        }
}

// A table of the function, in the form that comes closer to it where it is furthest off.
Emitted emit_function(const Node& n, const Value& in, const Value& out) {
    CurveParams curve = {};
    OctavesParams octaves = {};
    fill_curve(double(in.scale), double(out.scale), n.function, curve.table);
    fill_octaves(double(in.scale), double(out.scale), n.function, &octaves);
    int32_t of_curve = 0, of_octaves = 0;
    for (int32_t q = INT16_MIN; q <= INT16_MAX; ++q) {
        const int32_t real = quantised16(n.function(float(q) * in.scale), out.scale);
        of_curve = std::max(of_curve, std::abs(curve_at(curve.table, q) - real));
        of_octaves = std::max(of_octaves, std::abs(octaves_at(octaves, q) - real));
    }
    if (of_octaves < of_curve) return Emitted{kOpOctaves, params_of(octaves), 0};
    return Emitted{kOpCurve, params_of(curve), 0};
}

// TFLite's table of a function over [first, first + span], in float32 as it makes them; output 1/32767.5.
template <typename Function>
void fill_softmax_table(float input_scale, int32_t zero, Function function, int16_t* table) {
    const float low = input_scale * float(INT16_MIN - zero), high = input_scale * float(INT16_MAX - zero);
    const float step = (high - low) / kCurveSteps, half = step / 2;
    const float scale = 2.0f / 65535.0f;
    const float inverse = 65536.0f / (scale * 32767.0f - scale * -32768.0f);
    const auto kept = [](float v) { return int16_t(std::min(std::max(v, -32768.0f), 32767.0f)); };
    for (int32_t i = 0; i < kCurveSteps; ++i) {
        const float x = low + float(i) * step;
        const float here = std::round(function(x) * inverse);
        const float middle = std::round((function(low + float(i + 1) * step) * inverse + here) / 2);
        const float off = middle - std::round(function(x + half) * inverse);
        table[i] = kept(here - std::round(off / 2));
    }
    table[kCurveSteps] = kept(std::round(function(high) * inverse));
}

Result<Softmax16Params> softmax16_params(const Node& n, const Value& in) {
    Softmax16Params p = {};
    const Factor f = factor(double(in.scale) * double(n.beta) / (10.0 / 65535.0));
    if (f.shift > 14) return fail(ErrorKind::usage, "the softmax's input has too large a scale", n.name);
    p.multiplier = f.multiplier;
    p.shift = f.shift;
    fill_softmax_table(
        10.0f / 65535.0f, INT16_MAX, [](float v) { return std::exp(v); }, p.exponential);
    fill_softmax_table(
        1.0f / 65535.0f, INT16_MIN, [](float v) { return 1.0f / (1.0f + v); }, p.reciprocal);
    return p;
}

// Brings the input to 1/12288. A scale of 1/4096, for tanh 1/2048 too, is exact; others keep 15 bits.
Sigmoid16Params sigmoid16_params(const Node& n, const Value& in) {
    const bool tanh = n.squash == Node::Squash::tanh;
    Sigmoid16Params p = {3, 0, tanh ? 1 : 0, 0};
    if (in.scale == 1.0f / 4096) return p;
    if (tanh && in.scale == 1.0f / 2048) {
        p.multiplier = 6;
        return p;
    }
    double real = double(in.scale) * 4096 * 3;
    while (real <= 32767.0 / 2 && p.shift < 30) {
        real *= 2;
        ++p.shift;
    }
    p.multiplier = int32_t(std::min(real, 32767.0));
    return p;
}

Result<AddParams> add16_params(const Graph& g, const Node& n) {
    const Value& out = g.values[n.output];
    const float a = g.values[n.inputs[0]].scale, b = g.values[n.inputs[1]].scale;
    const double twice = 2.0 * double(std::max(a, b));
    AddParams p = {};
    const Factor f[2] = {factor(double(a) / twice), factor(double(b) / twice)};
    const Factor o = factor(twice / (double(1 << kWideAddBits) * double(out.scale)));
    if (o.shift > 0) return too_small(n);
    for (int i = 0; i < 2; ++i) {
        p.multiplier[i] = f[i].multiplier;
        p.shift[i] = f[i].shift;
    }
    p.output_multiplier = o.multiplier;
    p.output_shift = o.shift;
    p.clamp = clamp16_of(n, out);
    p.subtract = n.kind == NodeKind::subtract ? 1 : 0;
    return p;
}

Result<RequantiseParams> requantise_params(const Graph& g, const Node& n) {
    const Value& in = g.values[n.inputs[0]];
    const Value& out = g.values[n.output];
    // The reference divides a ReLU's scales in float32.
    const Factor f = factor(n.kind == NodeKind::unary ? double(in.scale / out.scale)
                                                      : double(in.scale) / double(out.scale));
    // The largest difference, 16 bits and a sign, must not leave 32 bits.
    if (f.shift > 14) return too_small(n);
    RequantiseParams p = {f.multiplier, f.shift, clamp16_of(n, out)};
    if (out.type == ElementType::int8) {
        p.clamp = {-128, 127};
        if (std::isfinite(n.low)) p.clamp.low = quantised(n.low, out.scale, out.zero_point);
        if (std::isfinite(n.high)) p.clamp.high = quantised(n.high, out.scale, out.zero_point);
    }
    return p;
}

template <typename T>
Result<Emitted> with(uint16_t code, const Result<T>& params) {
    if (!params) return tl::make_unexpected(params.error());
    return Emitted{code, params_of(*params), 0};
}

template <typename T>
Result<Emitted> weighted(const Graph& g, const Node& n, uint16_t code, const T& header) {
    Emitted e = {code, params_of(header), 0};
    if (const Status s = append_channels16(g, n, &e.params); !s) return tl::make_unexpected(s.error());
    return e;
}

}  // namespace

bool is_int16(const Graph& g, const Node& n) {
    if (n.kind == NodeKind::requantise) return true;
    const bool moves = n.kind == NodeKind::reshape || n.kind == NodeKind::transpose ||
                       n.kind == NodeKind::pad || n.kind == NodeKind::concat || n.kind == NodeKind::slice ||
                       n.kind == NodeKind::ring;
    return !moves && g.values[n.output].type == ElementType::int16;
}

Result<Emitted> emit_int16(const Graph& g, const Node& n) {
    const Value& in = g.values[n.inputs[0]];
    const Value& out = g.values[n.output];
    switch (n.kind) {
        case NodeKind::conv2d:
            return weighted(g, n, kOpConv2d16, ConvParams{n.window, clamp16_of(n, out), 0, 0});
        case NodeKind::depthwise_conv2d:
            return weighted(g, n, kOpDepthwiseConv2d16, ConvParams{n.window, clamp16_of(n, out), 0, 0});
        case NodeKind::fully_connected:
            return weighted(g, n, kOpFullyConnected16, FullyConnectedParams{clamp16_of(n, out), 0, 0});
        case NodeKind::max_pool:
        case NodeKind::average_pool:
            return Emitted{uint16_t(n.kind == NodeKind::max_pool ? kOpMaxPool16 : kOpAveragePool16),
                           params_of(PoolParams{n.window, clamp16_of(n, out), {}}), 0};
        case NodeKind::mean: {
            const Factor f = factor(double(in.scale) / double(out.scale));
            const uint64_t cells = in.elements() / size_t(in.shape.back());
            if (cells << std::max(f.shift, 0) > kMostWideCells) return too_small(n);
            return Emitted{kOpMean16, params_of(MeanParams{f.multiplier, f.shift, {}}), 0};
        }
        case NodeKind::softmax:
            return with(kOpSoftmax16, softmax16_params(n, in));
        case NodeKind::add:
        case NodeKind::subtract:
            return with(kOpAdd16, add16_params(g, n));
        case NodeKind::mul: {
            const Factor f =
                factor(double(in.scale) * double(g.values[n.inputs[1]].scale) / double(out.scale));
            if (f.shift > 0) return too_small(n);
            return Emitted{kOpMul16, params_of(MulParams{f.multiplier, f.shift, clamp16_of(n, out)}), 0};
        }
        case NodeKind::requantise:
            return with(kOpRequantise, requantise_params(g, n));
        case NodeKind::unary: {
            if (n.clip) return with(kOpRequantise, requantise_params(g, n));
            if (n.squash != Node::Squash::none)
                return Emitted{kOpSigmoid16, params_of(sigmoid16_params(n, in)), 0};
            return emit_function(n, in, out);
        }
        default:
            return fail(ErrorKind::usage, std::string(node_kind_name(n.kind)) + " has no int16 form", n.name,
                        "leave this layer in int8");
    }
}

}  // namespace lockstep::model
