// mean: MeanParams of params.h. Input [1][h][w][c], output c values; the global average with its own
// output scale.
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    const Code code = check_int8<MeanParams>(c, 1);
    if (code != Code::ok) return code;
    const Tensor& x = *c.input[0];
    const MeanParams& p = header<MeanParams>(c);
    if (x.rank != 4 || x.dim[0] != 1 || c.output->elements() != x.dim[3]) return Code::invalid;
    const size_t cells = size_t(x.dim[1]) * x.dim[2];
    if (cells == 0 || cells > INT32_MAX / 256) return Code::out_of_range;
    return valid_multiplier(p.multiplier, p.shift) ? Code::ok : Code::out_of_range;
}

}  // namespace

void eval_mean(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const MeanParams& p = header<MeanParams>(c);
    const int32_t cells = int32_t(x.dim[1]) * x.dim[2], channels = x.dim[3];
    int8_t* out = i8_out(c.output);
    for (int32_t ch = 0; ch < channels; ++ch) {
        const int8_t* in = i8(&x) + ch;
        int32_t acc = 0;
        for (int32_t i = 0; i < cells; ++i)
            acc += in[i * channels] - x.zero_point;
        const int64_t scaled = multiply_quantised(acc, p.multiplier, p.shift);
        const int64_t mean = (scaled > 0 ? scaled + cells / 2 : scaled - cells / 2) / cells;
        const int64_t v = mean + c.output->zero_point;
        out[ch] = int8_t(v < -128 ? -128 : v > 127 ? 127 : v);
    }
}

const Operator kMean = {kOpMean, "mean", prepare, eval_mean};

}  // namespace lockstep::model
