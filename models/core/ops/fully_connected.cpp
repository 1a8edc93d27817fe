// fully_connected: FullyConnectedParams of params.h. One row of inputs, one row of outputs.
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    const Code code = check_int8<FullyConnectedParams>(c, 1);
    if (code != Code::ok) return code;
    if (!valid_clamp(header<FullyConnectedParams>(c).clamp)) return Code::out_of_range;
    const size_t in = c.input[0]->elements();
    return check_channels(c.params, sizeof(FullyConnectedParams), c.output->elements(), in, in, 1);
}

void eval(const OperatorContext& c) {
    const FullyConnectedParams& p = header<FullyConnectedParams>(c);
    const size_t inputs = c.input[0]->elements(), outputs = c.output->elements();
    const ChannelArrays a = channel_arrays(c.params, sizeof(FullyConnectedParams), outputs);
    const int8_t* x = i8(c.input[0]);
    int8_t* y = i8_out(c.output);
    for (size_t o = 0; o < outputs; ++o) {
        const int8_t* weights = a.weights + o * inputs;
        int32_t acc = a.bias[o];
        for (size_t i = 0; i < inputs; ++i)
            acc += x[i] * weights[i];
        y[o] = requantise(acc, a.multiplier[o], a.shift[o], c.output->zero_point, p.clamp.low, p.clamp.high);
    }
}

}  // namespace

const Operator kFullyConnected = {kOpFullyConnected, "fully_connected", prepare, eval};

}  // namespace lockstep::model
