#include <string.h>

#include "models/core/ops/params.h"

namespace lockstep::model {
namespace {

const float* floats(const OperatorContext& c) {
    return reinterpret_cast<const float*>(c.params.data());
}

// Finite without libm: the exponent is not all ones.
bool finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1) return Code::invalid;
    const Tensor& in = *c.input[0];
    const Tensor& out = *c.output;
    if (in.type != ElementType::float32 || out.type != ElementType::float32) return Code::invalid;
    if (memcmp(in.dim, out.dim, sizeof in.dim) != 0) return Code::invalid;
    const size_t channels = in.dim[in.rank - 1];
    if (c.params.size() != 2 * channels * sizeof(float)) return Code::invalid;
    for (size_t i = 0; i < channels; ++i)
        if (!finite(floats(c)[i]) || !finite(floats(c)[channels + i]) || !(floats(c)[channels + i] > 0))
            return Code::out_of_range;
    return Code::ok;
}

}  // namespace

void eval_normalise(const OperatorContext& c) {
    const size_t channels = c.input[0]->dim[c.input[0]->rank - 1];
    const float* in = static_cast<const float*>(c.input[0]->data);
    float* out = static_cast<float*>(c.output->data);
    const float* mean = floats(c);
    const float* deviation = mean + channels;
    for (size_t n = c.output->elements(); n != 0; n -= channels)
        for (size_t i = 0; i < channels; ++i)
            *out++ = (*in++ - mean[i]) / deviation[i];
}

const Operator kNormalise = {kOpNormalise, "normalise", prepare, eval_normalise};

}  // namespace lockstep::model
