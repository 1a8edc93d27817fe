// The parameter sections of the network operators, as they lie in a plan: a header of little-endian
// int32, then the arrays named beside it, in that order and without holes. All tensors are int8, the
// layout is [1][height][width][channels] (rank 4; a 1-D signal has height 1) unless said otherwise.
// Zero points and shapes are the tensors' own; a plan never says a thing twice.
#pragma once

#include "models/core/ops.h"
#include "models/core/quant.h"

namespace lockstep::model {

// Padding below and to the right follows from the output's size.
struct WindowParams {
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
};

// Bounds of the output, in its quantised units: a folded ReLU is low = zero point.
struct ClampParams {
    int32_t low, high;
};

// How the weights of a layer lie; chosen for the target when the plan is made, read by
// every target.
enum class WeightLayout : int32_t {
    rows = 0,   // as the comment above each operator's parameters says
    pairs = 1,  // for Armv7E-M
};

// conv2d:    int32 bias[oc], int32 multiplier[oc], int32 shift[oc], int8 weights[oc][kh][kw][ic], or in
//            pairs as for a fully connected layer of kh * kw * ic inputs
// depthwise: the same, int8 weights[kh][kw][oc], or in pairs of taps, see tap_pairs_at(); output channel o
//            reads input channel o / (oc / ic)
// bias holds bias - input zero point * sum(weights), so that a kernel multiplies the raw bytes; a cell
// outside the input then counts as the input's zero point.
struct ConvParams {
    WindowParams window;
    ClampParams clamp;
    int32_t layout;  // WeightLayout
    int32_t reserved;
};

// fully_connected: int32 bias[out], multiplier[out], shift[out], int8 weights[out][in] or
// [out / 4][in / 4][16], see pairs_at(), out and in multiples of 4; any rank, the input is one row of `in`
// values. bias is folded as above.
struct FullyConnectedParams {
    ClampParams clamp;
    int32_t layout;  // WeightLayout
    int32_t reserved;
};

// Byte of input i and output o in WeightLayout::pairs. A halfword holds an even output's weight + 128 in
// its low byte and the next output's weight in its high byte; four words make four outputs by four inputs:
// outputs 0 and 1 of inputs 0 and 2, of 1 and 3, then outputs 2 and 3 alike. The sums come apart again when
// an odd output's |weights| add up to less than kPairsLimit.
constexpr int32_t kPairsLimit = 1 << 16;
constexpr size_t pairs_at(size_t o, size_t i, size_t inputs) {
    return (o / 4 * (inputs / 4) + i / 4) * 16 + (o % 4 / 2 * 2 + i % 2) * 4 + i % 4 / 2 * 2 + o % 2;
}

// Byte of tap t and output channel o of a depthwise convolution in WeightLayout::pairs:
// [oc / 4][(taps + 1) / 2][8]; oc is a multiple of 4 and what pads an odd number of taps is 0.
constexpr size_t tap_pairs_at(size_t o, size_t t, size_t taps) {
    return o / 4 * ((taps + 1) / 2 * 8) + t / 2 * 8 + o % 4 / 2 * 4 + t % 2 * 2 + o % 2;
}

// Scratch that a convolution's fast kernels want; with less the reference runs.
constexpr bool is_temporal(const WindowParams& w, uint32_t channels) {
    return channels == 1 && w.kernel_h == 1 && w.stride_w == 1 && w.dilation_w == 1 && w.kernel_w % 4 == 0;
}
constexpr uint32_t temporal_row(uint32_t cells, uint32_t taps) {  // words
    return (cells + 3) / 4 * 4 + taps + 2;
}
constexpr uint32_t conv_scratch_bytes(const WindowParams& w, uint32_t channels, uint32_t output_width) {
    const uint32_t taps = uint32_t(w.kernel_h * w.kernel_w) * channels;
    return is_temporal(w, channels) ? 4 * temporal_row(output_width, taps)
                                    : (taps % 4 == 0 ? 20 : 24) * ((taps + 3) / 4);
}
// The same for kernels that take sixteen taps, or a channel's whole plane, at a time.
constexpr uint32_t vector_conv_scratch_bytes(uint32_t taps) {
    return (64 + 16 + 16) * ((taps + 15) / 16);
}
constexpr uint32_t plane_scratch_bytes(const WindowParams& w, uint32_t output_height, uint32_t output_width) {
    const uint32_t width =
        (output_width - 1) * uint32_t(w.stride_w) + uint32_t((w.kernel_w - 1) * w.dilation_w) + 1;
    const uint32_t height =
        (output_height - 1) * uint32_t(w.stride_h) + uint32_t((w.kernel_h - 1) * w.dilation_h) + 1;
    return width * height + 16 + 4 * ((output_height * output_width + 3) / 4 * 4);
}
constexpr uint32_t depthwise_scratch_bytes(uint32_t taps, uint32_t channels) {
    return 4 * (taps + 1) + channels;
}

// max_pool, average_pool: only cells inside the input count; dilation is 1 for the average.
struct PoolParams {
    WindowParams window;
    ClampParams clamp;
    int32_t reserved[2];
};

// mean over height and width, per channel: (sum of (q - zero point)) * factor, then divided by their
// number, rounded away from zero.
struct MeanParams {
    int32_t multiplier, shift;
    int32_t reserved[2];
};

// softmax over the last dimension: input differences times factor are Q5.26.
struct SoftmaxParams {
    int32_t multiplier, shift;
    int32_t diff_min;  // below it exp() counts as 0
    int32_t reserved;
};

// Output = input 0 + input 1, or their difference; each brought to a common scale with 20 more bits.
// The second input has the first one's shape, or is one row of its last dimension.
struct AddParams {
    int32_t multiplier[2], shift[2];
    int32_t output_multiplier, output_shift;
    ClampParams clamp;
    int32_t subtract;  // 0 or 1
    int32_t reserved[3];
};

// Element by element, broadcast as in AddParams.
struct MulParams {
    int32_t multiplier, shift;
    ClampParams clamp;
};

// Axis 0 to 3; int8 or int16, inputs have the output's scale, or float32.
struct ConcatParams {
    int32_t axis;
    int32_t reserved[3];
};

// Cells added before each dimension; filled with the input's zero point. int8 or int16.
struct PadParams {
    int32_t before[4];
};

// Output dimension d is input dimension axis[d]. Any type.
struct TransposeParams {
    int32_t axis[4];
};

// The part of the input that begins at `begin` and has the output's size. int8 or int16.
struct SliceParams {
    int32_t begin[4];
};

// lookup_table: int8 table[256], entry q + 128; any unary function.
struct LookupParams {
    int8_t table[256];
};

// reshape has no parameters.

// What each operator runs, for plans in source form (models/plan/source_plan.h), which link only these.
// REQUIRES: the operator's prepare() accepts the context.
void eval_normalise(const OperatorContext& c);
void eval_quantise(const OperatorContext& c);
void eval_dequantise(const OperatorContext& c);
void eval_conv2d(const OperatorContext& c);
void eval_depthwise_conv2d(const OperatorContext& c);
void eval_fully_connected(const OperatorContext& c);
void eval_max_pool(const OperatorContext& c);
void eval_average_pool(const OperatorContext& c);
void eval_mean(const OperatorContext& c);
void eval_softmax(const OperatorContext& c);
void eval_add(const OperatorContext& c);
void eval_mul(const OperatorContext& c);
void eval_concat(const OperatorContext& c);
void eval_pad(const OperatorContext& c);
void eval_reshape(const OperatorContext& c);
void eval_lookup_table(const OperatorContext& c);
void eval_transpose(const OperatorContext& c);
void eval_slice(const OperatorContext& c);
void eval_argmax(const OperatorContext& c);

// The plain C++ that is the contract; the eval functions above may run a faster twin (kernels/).
void reference_quantise(const OperatorContext& c);
void reference_conv2d(const OperatorContext& c);
void reference_depthwise_conv2d(const OperatorContext& c);
void reference_fully_connected(const OperatorContext& c);
void reference_max_pool(const OperatorContext& c);
void reference_average_pool(const OperatorContext& c);

extern const Operator kConv2d;
extern const Operator kDepthwiseConv2d;
extern const Operator kFullyConnected;
extern const Operator kMaxPool;
extern const Operator kAveragePool;
extern const Operator kMean;
extern const Operator kSoftmax;
extern const Operator kReshape;
extern const Operator kPad;
extern const Operator kAdd;
extern const Operator kMul;
extern const Operator kConcat;
extern const Operator kLookupTable;
extern const Operator kTranspose;
extern const Operator kSlice;
// ops/argmax.cpp: int8 or int16, up to 128 of them -> int8 [1, 1] of scale 1 and zero point 0: the index of
// the largest, of equal ones the first. No params.
extern const Operator kArgmax;

}  // namespace lockstep::model
