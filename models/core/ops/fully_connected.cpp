// fully_connected: FullyConnectedParams of params.h. One row of inputs, one row of outputs.
#include "models/core/kernels/kernels.h"
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

int32_t paired(const int8_t* weights, size_t o, size_t i, size_t inputs) {
    const int8_t w = weights[pairs_at(o, i, inputs)];
    return o % 2 == 0 ? int32_t(uint8_t(w)) - 128 : w;
}

Code prepare(const OperatorContext& c) {
    const Code code = check_int8<FullyConnectedParams>(c, 1);
    if (code != Code::ok) return code;
    const FullyConnectedParams& p = header<FullyConnectedParams>(c);
    if (!valid_clamp(p.clamp)) return Code::out_of_range;
    const size_t in = c.input[0]->elements(), out = c.output->elements();
    if (WeightLayout(p.layout) == WeightLayout::rows)
        return check_channels(c.params, sizeof p, out, in,
                              [in](const int8_t* w, size_t o, size_t i) { return int32_t(w[o * in + i]); });
    if (WeightLayout(p.layout) != WeightLayout::pairs || in % 4 != 0 || out % 4 != 0) return Code::invalid;
    const Code weights =
        check_channels(c.params, sizeof p, out, in,
                       [in](const int8_t* w, size_t o, size_t i) { return paired(w, o, i, in); });
    if (weights != Code::ok) return weights;
    const ChannelArrays a = channel_arrays(c.params, sizeof p, out);
    for (size_t o = 1; o < out; o += 2) {
        int64_t sum = 0;
        for (size_t i = 0; i < in; ++i) {
            const int32_t w = paired(a.weights, o, i, in);
            sum += w < 0 ? -w : w;
        }
        if (sum >= kPairsLimit) return Code::out_of_range;
    }
    return Code::ok;
}

}  // namespace

void reference_fully_connected(const OperatorContext& c) {
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
