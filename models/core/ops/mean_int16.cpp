// mean over int16: int16.h. Input [1][h][w][c], output c values.
#include "models/core/ops/check16.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    const Code code = check_int16<MeanParams>(c, 1);
    if (code != Code::ok) return code;
    const Tensor& x = *c.input[0];
    const MeanParams& p = header<MeanParams>(c);
    if (x.rank != 4 || x.dim[0] != 1 || c.output->elements() != x.dim[3]) return Code::invalid;
    if (!valid_multiplier(p.multiplier, p.shift)) return Code::out_of_range;
    const uint64_t cells = uint64_t(x.dim[1]) * x.dim[2];
    return cells != 0 && cells << (p.shift > 0 ? p.shift : 0) <= kMostWideCells ? Code::ok
                                                                                : Code::out_of_range;
}

}  // namespace

void eval_mean16(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const MeanParams& p = header<MeanParams>(c);
    const int32_t cells = int32_t(x.dim[1]) * x.dim[2], channels = x.dim[3];
    int16_t* out = i16_out(c.output);
    for (int32_t ch = 0; ch < channels; ++ch) {
        const int16_t* in = i16(&x) + ch;
        int32_t acc = 0;
        for (int32_t i = 0; i < cells; ++i)
            acc += in[i * channels];
        const int64_t scaled = multiply_quantised(acc, p.multiplier, p.shift);
        const int64_t mean = (scaled > 0 ? scaled + cells / 2 : scaled - cells / 2) / cells;
        out[ch] = int16_t(mean < INT16_MIN ? INT16_MIN : mean > INT16_MAX ? INT16_MAX : mean);
    }
}

const Operator kMean16 = {kOpMean16, "mean_int16", prepare, eval_mean16};

}  // namespace lockstep::model
