#include <string.h>

#include "models/core/ops/params.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || !c.params.empty()) return Code::invalid;
    const Tensor& in = *c.input[0];
    if (in.type != ElementType::int8 || c.output->type != ElementType::float32) return Code::invalid;
    if (memcmp(in.dim, c.output->dim, sizeof in.dim) != 0) return Code::invalid;
    if (in.zero_point < -128 || in.zero_point > 127) return Code::out_of_range;
    return Code::ok;
}

}  // namespace

void eval_dequantise(const OperatorContext& c) {
    const Tensor& in = *c.input[0];
    const int8_t* q = static_cast<const int8_t*>(in.data);
    float* out = static_cast<float*>(c.output->data);
    const size_t n = c.output->elements();
    for (size_t i = 0; i < n; ++i)
        out[i] = float(q[i] - in.zero_point) * in.scale;
}

const Operator kDequantise = {kOpDequantise, "dequantise", prepare, eval_dequantise};

}  // namespace lockstep::model
