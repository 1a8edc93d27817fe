// Operators over int16 activations, for layers where int8 loses too much: zero point 0, int8 weights per
// output channel, after TFLite's 16x8 reference. Each has a code of its own beside its int8 sister, so that a
// firmware or a plan in source form links what it names and no more. Concat, pad, slice, reshape, transpose
// and argmax move or compare numbers only: one code takes every type.
//
// Arithmetic, the contract; sources in docs/model_format.md.
//
// - Accumulators have 64 bits. A plan is refused unless |bias| + sum|w| * 32768 of every channel is below
//   2^47; then requantise_wide() of quant.h, whose multiplier has 15 bits, cannot overflow.
// - add, mul, mean, average and requantise stay in 32 bits and round as int8 does (requantise() of quant.h).
// - Tables of 513 entries, one for each 128 steps of the input and one behind: linear in between,
//   (step * (q & 127) + 64) >> 7.
#pragma once

#include "models/core/ops/params.h"

namespace lockstep::model {

// Beside the numbers of models/core/ops.h; never reused either.
enum WideOperatorCode : uint16_t {
    kOpQuantise16 = 70,
    kOpDequantise16 = 71,
    kOpRequantise = 72,
    kOpConv2d16 = 73,
    kOpDepthwiseConv2d16 = 74,
    kOpFullyConnected16 = 75,
    kOpMaxPool16 = 76,
    kOpAveragePool16 = 77,
    kOpMean16 = 78,
    kOpAdd16 = 79,
    kOpMul16 = 80,
    kOpCurve = 81,
    kOpSigmoid16 = 82,
    kOpSoftmax16 = 83,
    kOpOctaves = 84,
};

// quantise, dequantise: no params; float32 <-> int16, halves away from zero, NaN gives 0.

// requantise: int8 or int16 -> int8 or int16 of as many elements; the only operator where a type changes
// inside a network, and with its bounds the ReLU of int16. (q - zero point) * factor + zero point.
struct RequantiseParams {
    int32_t multiplier, shift;
    ClampParams clamp;
};

// conv2d, depthwise: ConvParams with layout 0, then int64 bias[oc], int32 multiplier[oc], int32 shift[oc] of
// requantise_wide(), int8 weights as for int8. fully_connected: FullyConnectedParams with layout 0, then the
// same. Nothing is folded into the bias; a cell outside the input counts as 0.

// max_pool, average_pool: PoolParams; at most 65535 cells count for an average.

// mean: MeanParams; its sum keeps within 32 bits when (cells << max(shift, 0)) <= kMostWideCells.
constexpr int32_t kMostWideCells = 65535;

// add: AddParams, inputs brought to a common scale with 15 more bits; mul: MulParams. Their factors are all
// below 1.
constexpr int32_t kWideAddBits = 15;

// curve: any function of one number.
constexpr int32_t kCurveSteps = 512;
struct CurveParams {
    int16_t table[kCurveSteps + 1];
};

// octaves: the same for functions that bend most near 0 (log, root): lines whose length grows with the
// number, 32 in each octave of |q| from 32 on, one a step below. Entries of |q| = 0, 1, .., 63, 64, 66, ..,
// 126, 128, 132, .., 32768; the first row is for q >= 0, the second for q < 0.
constexpr int32_t kOctaveEntries = 353;
struct OctavesParams {
    int16_t table[2][kOctaveEntries];
};

// sigmoid and tanh as TFLite's 16-bit reference has them; output scale 1/32768. The input is brought to
// 1/12288 by multiplier / 2^shift, halves up; then a table of sigmoid(i / 24), linear in between.
struct Sigmoid16Params {
    int32_t multiplier, shift;  // 0..32767, 0..30
    int32_t tanh;               // 0 or 1
    int32_t reserved;
};

// softmax over the last dimension; output scale 1/32768. Differences to the row's largest times factor count
// in 1/6553.5; exp is a curve over [-10, 0], 1 / (1 + x) one over [0, 1], both of 1/32767.5.
struct Softmax16Params {
    int32_t multiplier, shift;  // shift at most 14
    int32_t reserved[2];
    int16_t exponential[kCurveSteps + 2];  // 0..32767; the last is 0 and unused
    int16_t reciprocal[kCurveSteps + 2];
};

// int16 q through a table of kCurveSteps + 1 entries.
constexpr int32_t curve_at(const int16_t* table, int32_t q) {
    const int32_t i = (q >> 7) + kCurveSteps / 2;
    return table[i] + (((table[i + 1] - table[i]) * (q & 127) + 64) >> 7);
}

constexpr int32_t octaves_at(const OctavesParams& p, int32_t q) {
    const int16_t* table = p.table[q < 0 ? 1 : 0];
    const int32_t size = q < 0 ? -q : q;
    const int32_t bits = size < 64 ? 0 : 26 - __builtin_clz(uint32_t(size));  // of the line's length
    const int32_t i = bits * 32 + (size >> bits), rest = size & ((1 << bits) - 1);
    if (rest == 0) return table[i];
    return table[i] + (((table[i + 1] - table[i]) * rest + (1 << (bits - 1))) >> bits);
}

void eval_quantise16(const OperatorContext& c);
void eval_dequantise16(const OperatorContext& c);
void eval_requantise(const OperatorContext& c);
void eval_conv2d16(const OperatorContext& c);
void eval_depthwise_conv2d16(const OperatorContext& c);
void eval_fully_connected16(const OperatorContext& c);
void eval_max_pool16(const OperatorContext& c);
void eval_average_pool16(const OperatorContext& c);
void eval_mean16(const OperatorContext& c);
void eval_add16(const OperatorContext& c);
void eval_mul16(const OperatorContext& c);
void eval_curve(const OperatorContext& c);
void eval_sigmoid16(const OperatorContext& c);
void eval_softmax16(const OperatorContext& c);
void eval_octaves(const OperatorContext& c);

// Without fast kernels.
void reference_conv2d16(const OperatorContext& c);
void reference_depthwise_conv2d16(const OperatorContext& c);
void reference_fully_connected16(const OperatorContext& c);

extern const Operator kQuantise16;
extern const Operator kDequantise16;
extern const Operator kRequantise;
extern const Operator kConv2d16;
extern const Operator kDepthwiseConv2d16;
extern const Operator kFullyConnected16;
extern const Operator kMaxPool16;
extern const Operator kAveragePool16;
extern const Operator kMean16;
extern const Operator kAdd16;
extern const Operator kMul16;
extern const Operator kCurve;
extern const Operator kSigmoid16;
extern const Operator kSoftmax16;
extern const Operator kOctaves;

}  // namespace lockstep::model
