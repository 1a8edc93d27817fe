// resample: features.h.
#include <string.h>

#include "models/core/ops/features.h"

namespace lockstep::model {
namespace {

ResampleParams params_of(const OperatorContext& c) {
    ResampleParams p;
    memcpy(&p, c.params.data(), sizeof p);
    return p;
}

const float* taps_of(const OperatorContext& c) {
    return reinterpret_cast<const float*>(c.params.data() + sizeof(ResampleParams));
}

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || c.input[0] == nullptr || c.output == nullptr) return Code::invalid;
    if (c.params.size() < sizeof(ResampleParams)) return Code::invalid;
    const ResampleParams p = params_of(c);
    const Tensor& in = *c.input[0];
    const Tensor& out = *c.output;
    if (in.type != ElementType::float32 || out.type != ElementType::float32) return Code::invalid;
    if (p.up < 1 || p.up > kMaxResampleFactor || p.down < 1 || p.down > kMaxResampleFactor || p.count < 1 ||
        p.count > kMaxResampleTaps)
        return Code::out_of_range;
    if (in.rank != 4 || in.dim[0] != 1 || in.dim[1] != 1 || out.rank != 4 || out.dim[0] != 1 ||
        out.dim[1] != 1 || out.dim[3] != in.dim[3] || out.dim[2] == 0 ||
        out.dim[2] != resampled_length(in.dim[2], p))
        return Code::invalid;
    if (c.params.size() != sizeof p + 4 * size_t(p.count)) return Code::invalid;
    for (size_t i = 0; i < p.count; ++i)
        if (!finite(taps_of(c)[i])) return Code::out_of_range;
    return Code::ok;
}

}  // namespace

void eval_resample(const OperatorContext& c) {
    const ResampleParams p = params_of(c);
    const float* taps = taps_of(c);
    const size_t channels = c.input[0]->dim[3];
    const auto* x = static_cast<const float*>(c.input[0]->data);
    auto* y = static_cast<float*>(c.output->data);
    for (size_t j = 0; j < c.output->dim[2]; ++j) {
        const size_t end = j * p.down + p.count - 1;  // the place, among spread samples, that tap 0 meets
        for (size_t channel = 0; channel < channels; ++channel) {
            float sum = 0;
            size_t at = end / p.up;
            for (size_t i = end % p.up; i < p.count; i += p.up, --at)
                sum = sum + taps[i] * x[at * channels + channel];
            *y++ = sum;
        }
    }
}

const Operator kResample = {kOpResample, "resample", prepare, eval_resample};

}  // namespace lockstep::model
