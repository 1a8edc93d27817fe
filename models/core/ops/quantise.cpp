#include <string.h>

#include "models/core/kernels/kernels.h"
#include "models/core/ops/params.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || !c.params.empty()) return Code::invalid;
    const Tensor& in = *c.input[0];
    const Tensor& out = *c.output;
    if (in.type != ElementType::float32 || out.type != ElementType::int8) return Code::invalid;
    if (memcmp(in.dim, out.dim, sizeof in.dim) != 0) return Code::invalid;
    if (!(out.scale > 0) || out.zero_point < -128 || out.zero_point > 127) return Code::out_of_range;
    return Code::ok;
}

// Clamped before it becomes an integer: (int)1e20f differs between machines.
int8_t quantised(float x, float scale, int32_t zero_point) {
    const float v = x / scale;
    if (v != v) return int8_t(zero_point);
    const float bounded = v < -512.0f ? -512.0f : v > 512.0f ? 512.0f : v;
    const int32_t whole = int32_t(bounded);
    const float rest = bounded - float(whole);  // exact
    const int32_t q = whole + (rest >= 0.5f) - (rest <= -0.5f) + zero_point;
    return int8_t(q < -128 ? -128 : q > 127 ? 127 : q);
}

}  // namespace

void reference_quantise(const OperatorContext& c) {
    const float* in = static_cast<const float*>(c.input[0]->data);
    int8_t* out = static_cast<int8_t*>(c.output->data);
    const size_t n = c.output->elements();
    for (size_t i = 0; i < n; ++i)
        out[i] = quantised(in[i], c.output->scale, c.output->zero_point);
}

void eval_quantise(const OperatorContext& c) {
    if (!kernels::quantise(c)) reference_quantise(c);
}

const Operator kQuantise = {kOpQuantise, "quantise", prepare, eval_quantise};

}  // namespace lockstep::model
