// softmax over int16: int16.h. The steps are those of TFLite's reference, since only the same steps give the
// same bits.
#include "models/core/ops/check16.h"

namespace lockstep::model {
namespace {

constexpr int32_t kMaxRow = 511;     // as for int8; the sum of exponentials keeps below 2^24
constexpr int32_t kMaxInShift = 14;  // the largest difference, 65535, keeps within 32 bits

Code prepare(const OperatorContext& c) {
    const Code code = check_int16<Softmax16Params>(c, 1);
    if (code != Code::ok) return code;
    const Softmax16Params& p = header<Softmax16Params>(c);
    if (!same_shape(*c.input[0], *c.output) || c.input[0]->rank != c.output->rank) return Code::invalid;
    const size_t row = last_dim(*c.output);
    if (row == 0 || row > kMaxRow) return Code::out_of_range;
    if (!valid_multiplier(p.multiplier, p.shift) || p.shift > kMaxInShift) return Code::out_of_range;
    for (const int16_t e : p.exponential)
        if (e < 0) return Code::out_of_range;
    // The row's largest alone makes the sum at least 2, so that its reciprocal exists.
    return p.exponential[kCurveSteps - 1] >= 2 && p.exponential[kCurveSteps] >= 2 ? Code::ok
                                                                                  : Code::out_of_range;
}

int32_t clamp16(int32_t v) {
    return clamp(v, INT16_MIN, INT16_MAX);
}

}  // namespace

void eval_softmax16(const OperatorContext& c) {
    const Softmax16Params& p = header<Softmax16Params>(c);
    const size_t row = last_dim(*c.output);
    const int16_t* in = i16(c.input[0]);
    int16_t* out = i16_out(c.output);
    for (size_t left = c.output->elements(); left >= row; left -= row, in += row, out += row) {
        int32_t max = INT16_MIN;
        for (size_t i = 0; i < row; ++i)
            max = in[i] > max ? in[i] : max;
        int32_t sum = 0;  // Q16.15
        for (size_t i = 0; i < row; ++i) {
            const int32_t scaled = multiply_quantised(in[i] - max, p.multiplier, p.shift);
            out[i] = int16_t(curve_at(p.exponential, clamp16(scaled + INT16_MAX)));
            sum += out[i];
        }
        // The sum as 1 + x, x in [0, 1) of 16 bits, around the middle of the table of 1 / (1 + x).
        const int32_t zeros = __builtin_clz(uint32_t(sum));
        const int64_t one = ((int64_t(sum) << (zeros - 1)) + (1 << 13)) >> 14;
        const int32_t scale = curve_at(p.reciprocal, clamp16(int32_t(one) - (1 << 16) - (1 << 15)));
        const int32_t shift = 31 - zeros;
        for (size_t i = 0; i < row; ++i) {
            const int64_t v = (int64_t(out[i]) * scale + (int64_t(1) << (shift - 1))) >> shift;
            out[i] = int16_t(v < 0 ? 0 : v > INT16_MAX ? INT16_MAX : v);
        }
    }
}

const Operator kSoftmax16 = {kOpSoftmax16, "softmax_int16", prepare, eval_softmax16};

}  // namespace lockstep::model
