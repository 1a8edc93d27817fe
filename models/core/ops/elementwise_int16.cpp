// add and mul over int16: int16.h.
#include "models/core/ops/check16.h"

namespace lockstep::model {
namespace {

bool below_one(int32_t multiplier, int32_t shift) {
    return valid_multiplier(multiplier, shift) && shift <= 0;
}

Code prepare_add(const OperatorContext& c) {
    const Code code = check_int16<AddParams>(c, 2);
    if (code != Code::ok) return code;
    const AddParams& p = header<AddParams>(c);
    if (!broadcastable(c)) return Code::invalid;
    if (!valid_wide_clamp(p.clamp) || (p.subtract != 0 && p.subtract != 1)) return Code::out_of_range;
    return below_one(p.multiplier[0], p.shift[0]) && below_one(p.multiplier[1], p.shift[1]) &&
                   below_one(p.output_multiplier, p.output_shift)
               ? Code::ok
               : Code::out_of_range;
}

Code prepare_mul(const OperatorContext& c) {
    const Code code = check_int16<MulParams>(c, 2);
    if (code != Code::ok) return code;
    const MulParams& p = header<MulParams>(c);
    if (!broadcastable(c)) return Code::invalid;
    return valid_wide_clamp(p.clamp) && below_one(p.multiplier, p.shift) ? Code::ok : Code::out_of_range;
}

}  // namespace

void eval_add16(const OperatorContext& c) {
    const AddParams& p = header<AddParams>(c);
    const size_t n = c.output->elements(), period = c.input[1]->elements();
    const int16_t* a = i16(c.input[0]);
    const int16_t* b = i16(c.input[1]);
    int16_t* out = i16_out(c.output);
    for (size_t i = 0, j = 0; i < n; ++i, j = j + 1 == period ? 0 : j + 1) {
        const int32_t x = multiply_quantised(a[i] * (1 << kWideAddBits), p.multiplier[0], p.shift[0]);
        const int32_t y = multiply_quantised(b[j] * (1 << kWideAddBits), p.multiplier[1], p.shift[1]);
        // Each lies within [-2^30, 2^30 - 2^15]: their sum and difference fit.
        const int32_t sum = p.subtract != 0 ? x - y : x + y;
        out[i] = int16_t(
            clamp(multiply_quantised(sum, p.output_multiplier, p.output_shift), p.clamp.low, p.clamp.high));
    }
}

void eval_mul16(const OperatorContext& c) {
    const MulParams& p = header<MulParams>(c);
    const size_t n = c.output->elements(), period = c.input[1]->elements();
    const int16_t* a = i16(c.input[0]);
    const int16_t* b = i16(c.input[1]);
    int16_t* out = i16_out(c.output);
    for (size_t i = 0, j = 0; i < n; ++i, j = j + 1 == period ? 0 : j + 1)
        out[i] =
            int16_t(clamp(multiply_quantised(a[i] * b[j], p.multiplier, p.shift), p.clamp.low, p.clamp.high));
}

const Operator kAdd16 = {kOpAdd16, "add_int16", prepare_add, eval_add16};
const Operator kMul16 = {kOpMul16, "mul_int16", prepare_mul, eval_mul16};

}  // namespace lockstep::model
