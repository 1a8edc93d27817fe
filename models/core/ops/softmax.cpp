// softmax: SoftmaxParams of params.h, over the last dimension; output scale 1/256, zero point -128.
//
// Fixed point Qi.f below means i integer and f = 31 - i fraction bits of an int32. exp() of a Q5.26
// number <= 0 is a polynomial on (-1/4, 0] times a product of constants for the remaining bits; the
// reciprocal is three Newton steps. Constants and order of operations are those of TFLite's reference,
// since only the same steps give the same bits.
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

constexpr int32_t kSumBits = 12;    // the sum of exponentials is Q12.19
constexpr int32_t kMaxRow = 511;    // as many ones keep the last shift inside 31
constexpr int32_t kDiffLimit = 31;  // exp(-31) is 0 for every purpose

// x * 2^n, saturating.
int32_t shift_up(int32_t x, int n) {
    const int64_t v = int64_t(x) * (int64_t(1) << n);
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : int32_t(v);
}

// exp(a) for a in [-1/4, 0), Q0.31: Taylor's series around -1/8.
int32_t exp_small(int32_t a) {
    constexpr int32_t kExpMinusEighth = 1895147668;
    constexpr int32_t kThird = 715827883;
    const int32_t x = a + (1 << 28);
    const int32_t x2 = high_multiply(x, x);
    const int32_t x3 = high_multiply(x2, x);
    const int32_t x4_over_4 = rounding_shift(high_multiply(x2, x2), 2);
    const int32_t higher = rounding_shift(high_multiply(x4_over_4 + x3, kThird) + x2, 1);
    return kExpMinusEighth + high_multiply(kExpMinusEighth, x + higher);
}

// exp(a) as Q0.31, a is Q5.26 in [-31, 0].
int32_t exp_negative(int32_t a) {
    if (a == 0) return INT32_MAX;
    constexpr int32_t kQuarter = 1 << 24;
    // exp(-2^(i-2)), i = 0..6
    constexpr int32_t kFactor[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t fraction = (a & (kQuarter - 1)) - kQuarter;
    const int32_t remainder = fraction - a;
    int32_t result = exp_small(shift_up(fraction, 5));
    for (int i = 0; i < 7; ++i)
        if ((remainder & (1 << (24 + i))) != 0) result = high_multiply(result, kFactor[i]);
    return result;
}

// 1 / (1 + a) as Q0.31 for a in [0, 1), Q0.31.
int32_t reciprocal(int32_t a) {
    constexpr int32_t k48Over17 = 1515870810;  // Q2.29
    constexpr int32_t kMinus32Over17 = -1010580540;
    const int32_t half = int32_t((int64_t(a) + INT32_MAX + 1) / 2);
    int32_t x = k48Over17 + high_multiply(half, kMinus32Over17);
    for (int i = 0; i < 3; ++i) {
        const int32_t rest = (1 << 29) - high_multiply(half, x);
        x += shift_up(high_multiply(x, rest), 2);
    }
    return shift_up(x, 1);
}

Code prepare(const OperatorContext& c) {
    const Code code = check_int8<SoftmaxParams>(c, 1);
    if (code != Code::ok) return code;
    const SoftmaxParams& p = header<SoftmaxParams>(c);
    if (!same_shape(*c.input[0], *c.output) || c.input[0]->rank != c.output->rank) return Code::invalid;
    const size_t row = last_dim(*c.output);
    if (row == 0 || row > kMaxRow) return Code::out_of_range;
    if (!valid_multiplier(p.multiplier, p.shift) || p.shift < 0) return Code::out_of_range;
    // Differences down to diff_min stay inside Q5.26.
    if (p.diff_min > 0 || -int64_t(p.diff_min) * (int64_t(1) << p.shift) > int64_t(kDiffLimit) << 26)
        return Code::out_of_range;
    return Code::ok;
}

}  // namespace

void eval_softmax(const OperatorContext& c) {
    const SoftmaxParams& p = header<SoftmaxParams>(c);
    const size_t row = last_dim(*c.output);
    const int8_t* in = i8(c.input[0]);
    int8_t* out = i8_out(c.output);
    for (size_t left = c.output->elements(); left >= row; left -= row, in += row, out += row) {
        int32_t max = -128;
        for (size_t i = 0; i < row; ++i)
            max = in[i] > max ? in[i] : max;
        const auto exp_at = [&](size_t i) {
            return exp_negative(high_multiply((in[i] - max) * (1 << p.shift), p.multiplier));
        };
        int32_t sum = 0;
        for (size_t i = 0; i < row; ++i)
            if (in[i] - max >= p.diff_min) sum += rounding_shift(exp_at(i), kSumBits);
        const int32_t zeros = __builtin_clz(uint32_t(sum));
        const int32_t scale = reciprocal(int32_t((uint32_t(sum) << zeros) - (uint32_t(1) << 31)));
        const int32_t exponent = kSumBits - zeros + 31 - 8;
        for (size_t i = 0; i < row; ++i) {
            int32_t v = -128;
            if (in[i] - max >= p.diff_min) v += rounding_shift(high_multiply(scale, exp_at(i)), exponent);
            out[i] = int8_t(clamp(v, -128, 127));
        }
    }
}

const Operator kSoftmax = {kOpSoftmax, "softmax", prepare, eval_softmax};

}  // namespace lockstep::model
