// fully_connected over int16: int16.h. One row of inputs, one row of outputs.
#include "models/core/kernels/products16.h"
#include "models/core/ops/check16.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    const Code code = check_int16<FullyConnectedParams>(c, 1);
    if (code != Code::ok) return code;
    const FullyConnectedParams& p = header<FullyConnectedParams>(c);
    if (WeightLayout(p.layout) != WeightLayout::rows) return Code::invalid;
    if (!valid_wide_clamp(p.clamp)) return Code::out_of_range;
    const size_t in = c.input[0]->elements(), out = c.output->elements();
    return check_wide_channels(c.params, sizeof p, out, in, in, 1);
}

template <typename Products>
void run(const OperatorContext& c) {
    const FullyConnectedParams& p = header<FullyConnectedParams>(c);
    const size_t inputs = c.input[0]->elements();
    const auto outputs = int32_t(c.output->elements());
    const WideArrays a = wide_arrays(c.params, sizeof p, size_t(outputs));
    for (int32_t o = 0; o < outputs; o += kSumsAtOnce) {
        int64_t sum[kSumsAtOnce];
        const int32_t count = outputs - o < kSumsAtOnce ? outputs - o : kSumsAtOnce;
        memcpy(sum, a.bias + o, size_t(count) * sizeof *sum);
        Products::rows(a.weights + size_t(o) * inputs, inputs, i16(c.input[0]), inputs, size_t(count), sum);
        requantise_sums(a, o, count, sum, p.clamp, i16_out(c.output));
    }
}

}  // namespace

void eval_fully_connected16(const OperatorContext& c) {
    run<kernels::FastProducts16>(c);
}
void reference_fully_connected16(const OperatorContext& c) {
    run<kernels::PlainProducts16>(c);
}

const Operator kFullyConnected16 = {kOpFullyConnected16, "fully_connected_int16", prepare,
                                    eval_fully_connected16};

}  // namespace lockstep::model
