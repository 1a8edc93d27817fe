// fully_connected: FullyConnectedParams of params.h. One row of inputs, one row of outputs.
#include "models/core/kernels/kernels.h"
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    const Code code = check_int8<FullyConnectedParams>(c, 1);
    if (code != Code::ok) return code;
    const FullyConnectedParams& p = header<FullyConnectedParams>(c);
    if (!valid_clamp(p.clamp)) return Code::out_of_range;
    const size_t in = c.input[0]->elements(), out = c.output->elements();
    return check_rows(c.params, sizeof p, p.layout, out, in);
}

}  // namespace

LOCKSTEP_FALLBACK void reference_fully_connected(const OperatorContext& c) {
    const FullyConnectedParams& p = header<FullyConnectedParams>(c);
    const size_t inputs = c.input[0]->elements(), outputs = c.output->elements();
    const ChannelArrays a = channel_arrays(c.params, sizeof(FullyConnectedParams), outputs);
    const int8_t* x = i8(c.input[0]);
    int8_t* y = i8_out(c.output);
    const bool pairs = WeightLayout(p.layout) == WeightLayout::pairs;
    for (size_t o = 0; o < outputs; ++o) {
        int32_t acc = a.bias[o];
        if (pairs)
            for (size_t i = 0; i < inputs; ++i)
                acc += x[i] * paired(a.weights, o, i, inputs);
        else
            for (size_t i = 0; i < inputs; ++i)
                acc += x[i] * a.weights[o * inputs + i];
        y[o] = requantise(acc, a.multiplier[o], a.shift[o], c.output->zero_point, p.clamp.low, p.clamp.high);
    }
}

void eval_fully_connected(const OperatorContext& c) {
    if (!kernels::fully_connected(c)) reference_fully_connected(c);
}

const Operator kFullyConnected = {kOpFullyConnected, "fully_connected", prepare, eval_fully_connected};

}  // namespace lockstep::model
