// quantise and dequantise for int16, and requantise, where types meet: int16.h.
#include "models/core/ops/check16.h"

namespace lockstep::model {
namespace {

Code prepare_quantise(const OperatorContext& c) {
    if (c.input_count != 1 || !c.params.empty()) return Code::invalid;
    if (c.input[0]->type != ElementType::float32 || !int16_tensor(*c.output)) return Code::invalid;
    if (!same_shape(*c.input[0], *c.output)) return Code::invalid;
    return c.output->scale > 0 ? Code::ok : Code::out_of_range;
}

Code prepare_dequantise(const OperatorContext& c) {
    if (c.input_count != 1 || !c.params.empty()) return Code::invalid;
    if (!int16_tensor(*c.input[0]) || c.output->type != ElementType::float32) return Code::invalid;
    return same_shape(*c.input[0], *c.output) ? Code::ok : Code::invalid;
}

Code prepare_requantise(const OperatorContext& c) {
    if (c.input_count != 1 || c.params.size() < sizeof(RequantiseParams)) return Code::invalid;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    if (!int8_tensor(x) && !int16_tensor(x)) return Code::invalid;
    if ((!int8_tensor(y) && !int16_tensor(y)) || x.elements() != y.elements()) return Code::invalid;
    const RequantiseParams& p = header<RequantiseParams>(c);
    const bool fits = y.type == ElementType::int8 ? valid_clamp(p.clamp) : valid_wide_clamp(p.clamp);
    return fits && valid_multiplier(p.multiplier, p.shift) ? Code::ok : Code::out_of_range;
}

// Clamped before it becomes an integer: (int)1e20f differs between machines.
int16_t quantised(float x, float scale) {
    const float v = x / scale;
    if (v != v) return 0;
    const float bounded = v < -65536.0f ? -65536.0f : v > 65536.0f ? 65536.0f : v;
    const int32_t whole = int32_t(bounded);
    const float rest = bounded - float(whole);  // exact
    return int16_t(clamp(whole + (rest >= 0.5f) - (rest <= -0.5f), INT16_MIN, INT16_MAX));
}

template <typename From, typename To>
void requantise_all(const OperatorContext& c) {
    const RequantiseParams& p = header<RequantiseParams>(c);
    const int32_t from = c.input[0]->zero_point, to = c.output->zero_point;
    const From* in = static_cast<const From*>(c.input[0]->data);
    To* out = static_cast<To*>(c.output->data);
    for (size_t i = 0, n = c.output->elements(); i < n; ++i) {
        const int64_t v = int64_t(multiply_quantised(in[i] - from, p.multiplier, p.shift)) + to;
        out[i] = To(v < p.clamp.low ? p.clamp.low : v > p.clamp.high ? p.clamp.high : v);
    }
}

}  // namespace

void eval_quantise16(const OperatorContext& c) {
    const float* in = static_cast<const float*>(c.input[0]->data);
    int16_t* out = i16_out(c.output);
    for (size_t i = 0, n = c.output->elements(); i < n; ++i)
        out[i] = quantised(in[i], c.output->scale);
}

void eval_dequantise16(const OperatorContext& c) {
    const int16_t* in = i16(c.input[0]);
    float* out = static_cast<float*>(c.output->data);
    for (size_t i = 0, n = c.output->elements(); i < n; ++i)
        out[i] = float(in[i]) * c.input[0]->scale;
}

void eval_requantise(const OperatorContext& c) {
    const bool from_byte = c.input[0]->type == ElementType::int8,
               to_byte = c.output->type == ElementType::int8;
    if (from_byte)
        (to_byte ? requantise_all<int8_t, int8_t> : requantise_all<int8_t, int16_t>)(c);
    else
        (to_byte ? requantise_all<int16_t, int8_t> : requantise_all<int16_t, int16_t>)(c);
}

const Operator kQuantise16 = {kOpQuantise16, "quantise_int16", prepare_quantise, eval_quantise16};
const Operator kDequantise16 = {kOpDequantise16, "dequantise_int16", prepare_dequantise, eval_dequantise16};
const Operator kRequantise = {kOpRequantise, "requantise", prepare_requantise, eval_requantise};

}  // namespace lockstep::model
