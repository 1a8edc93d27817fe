// fully_connected over int16: int16.h. One row of inputs, one row of outputs.
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

}  // namespace

void eval_fully_connected16(const OperatorContext& c) {
    const FullyConnectedParams& p = header<FullyConnectedParams>(c);
    const size_t inputs = c.input[0]->elements(), outputs = c.output->elements();
    const WideArrays a = wide_arrays(c.params, sizeof p, outputs);
    const int16_t* x = i16(c.input[0]);
    int16_t* y = i16_out(c.output);
    const int8_t* weights = a.weights;
    for (size_t o = 0; o < outputs; ++o, weights += inputs) {
        int64_t acc = a.bias[o];
        for (size_t i = 0; i < inputs; ++i)
            acc += int32_t(x[i]) * weights[i];
        y[o] = requantise_wide(acc, a.multiplier[o], a.shift[o], p.clamp.low, p.clamp.high);
    }
}

const Operator kFullyConnected16 = {kOpFullyConnected16, "fully_connected_int16", prepare,
                                    eval_fully_connected16};

}  // namespace lockstep::model
