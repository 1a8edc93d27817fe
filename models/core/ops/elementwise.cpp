// add, mul and lookup_table: AddParams, MulParams and LookupParams of params.h.
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

// Head room of the common scale of an addition; 255 << 20 stays inside 32 bits.
constexpr int32_t kAddBits = 20;

Code prepare_add(const OperatorContext& c) {
    const Code code = check_int8<AddParams>(c, 2);
    if (code != Code::ok) return code;
    const AddParams& p = header<AddParams>(c);
    if (!broadcastable(c)) return Code::invalid;
    if (!valid_clamp(p.clamp) || (p.subtract != 0 && p.subtract != 1)) return Code::out_of_range;
    // The inputs are only ever scaled down, so their sum keeps inside 32 bits.
    for (int i = 0; i < 2; ++i)
        if (!valid_multiplier(p.multiplier[i], p.shift[i]) || p.shift[i] > 0) return Code::out_of_range;
    return valid_multiplier(p.output_multiplier, p.output_shift) ? Code::ok : Code::out_of_range;
}

}  // namespace
void eval_add(const OperatorContext& c) {
    const AddParams& p = header<AddParams>(c);
    const size_t n = c.output->elements(), period = c.input[1]->elements();
    const int8_t* a = i8(c.input[0]);
    const int8_t* b = i8(c.input[1]);
    int8_t* out = i8_out(c.output);
    for (size_t i = 0, j = 0; i < n; ++i, j = j + 1 == period ? 0 : j + 1) {
        const int32_t left = (a[i] - c.input[0]->zero_point) * (1 << kAddBits);
        const int32_t right = (b[j] - c.input[1]->zero_point) * (1 << kAddBits);
        const int32_t x = multiply_quantised(left, p.multiplier[0], p.shift[0]);
        const int32_t y = multiply_quantised(right, p.multiplier[1], p.shift[1]);
        out[i] = requantise(p.subtract != 0 ? x - y : x + y, p.output_multiplier, p.output_shift,
                            c.output->zero_point, p.clamp.low, p.clamp.high);
    }
}
namespace {

Code prepare_mul(const OperatorContext& c) {
    const Code code = check_int8<MulParams>(c, 2);
    if (code != Code::ok) return code;
    const MulParams& p = header<MulParams>(c);
    if (!broadcastable(c)) return Code::invalid;
    return valid_clamp(p.clamp) && valid_multiplier(p.multiplier, p.shift) ? Code::ok : Code::out_of_range;
}

}  // namespace
void eval_mul(const OperatorContext& c) {
    const MulParams& p = header<MulParams>(c);
    const size_t n = c.output->elements(), period = c.input[1]->elements();
    const int8_t* a = i8(c.input[0]);
    const int8_t* b = i8(c.input[1]);
    int8_t* out = i8_out(c.output);
    for (size_t i = 0, j = 0; i < n; ++i, j = j + 1 == period ? 0 : j + 1) {
        const int32_t product = (a[i] - c.input[0]->zero_point) * (b[j] - c.input[1]->zero_point);
        out[i] = requantise(product, p.multiplier, p.shift, c.output->zero_point, p.clamp.low, p.clamp.high);
    }
}
namespace {

Code prepare_lookup(const OperatorContext& c) {
    const Code code = check_int8<LookupParams>(c, 1);
    if (code != Code::ok) return code;
    return c.input[0]->elements() == c.output->elements() ? Code::ok : Code::invalid;
}

}  // namespace
void eval_lookup_table(const OperatorContext& c) {
    const int8_t* table = header<LookupParams>(c).table;
    const int8_t* in = i8(c.input[0]);
    int8_t* out = i8_out(c.output);
    for (size_t i = 0, n = c.output->elements(); i < n; ++i)
        out[i] = table[in[i] + 128];
}

const Operator kAdd = {kOpAdd, "add", prepare_add, eval_add};
const Operator kMul = {kOpMul, "mul", prepare_mul, eval_mul};
const Operator kLookupTable = {kOpLookupTable, "lookup_table", prepare_lookup, eval_lookup_table};

}  // namespace lockstep::model
