// Operators that only move bytes: reshape, pad, slice, concat, transpose. Nothing is rescaled.
#include <string.h>

#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

Code prepare_reshape(const OperatorContext& c) {
    if (c.input_count != 1 || c.input[0] == nullptr || c.output == nullptr) return Code::invalid;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    return x.type == y.type && x.elements() == y.elements() && same_quantisation(x, y) ? Code::ok
                                                                                       : Code::invalid;
}

}  // namespace
void eval_reshape(const OperatorContext& c) {
    if (c.output->data != c.input[0]->data) memcpy(c.output->data, c.input[0]->data, c.output->bytes());
}
namespace {

// One input, of the output's type, rank and scale.
template <typename T>
Code check_part(const OperatorContext& c) {
    if (c.input_count != 1 || c.params.size() < sizeof(T)) return Code::invalid;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    return quantised_tensor(x) && x.type == y.type && x.rank == y.rank && same_quantisation(x, y)
               ? Code::ok
               : Code::invalid;
}

// PadParams: before[4] cells of the input's zero point; those after follow from the output's size.
Code prepare_pad(const OperatorContext& c) {
    const Code code = check_part<PadParams>(c);
    if (code != Code::ok) return code;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    for (int d = 0; d < 4; ++d) {
        const int32_t before = header<PadParams>(c).before[d];
        if (before < 0 || before + int64_t(x.dim[d]) > y.dim[d]) return Code::out_of_range;
    }
    return Code::ok;
}

}  // namespace
void eval_pad(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const int32_t* before = header<PadParams>(c).before;
    memset(y.data, uint8_t(int8_t(x.zero_point)), y.bytes());  // int16's is 0
    const size_t each = element_bytes(x.type), row_bytes = x.dim[3] * each;
    const auto* in = static_cast<const uint8_t*>(x.data);
    for (size_t a = 0; a < x.dim[0]; ++a)
        for (size_t b = 0; b < x.dim[1]; ++b)
            for (size_t e = 0; e < x.dim[2]; ++e, in += row_bytes) {
                const size_t row = ((a + size_t(before[0])) * y.dim[1] + b + size_t(before[1])) * y.dim[2];
                const size_t at = (row + e + size_t(before[2])) * y.dim[3] + size_t(before[3]);
                memcpy(static_cast<uint8_t*>(y.data) + at * each, in, row_bytes);
            }
}
namespace {

// SliceParams: begin[4]; the end follows from the output's size.
Code prepare_slice(const OperatorContext& c) {
    const Code code = check_part<SliceParams>(c);
    if (code != Code::ok) return code;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    for (int d = 0; d < 4; ++d) {
        const int32_t begin = header<SliceParams>(c).begin[d];
        if (begin < 0 || begin + int64_t(y.dim[d]) > x.dim[d]) return Code::out_of_range;
    }
    return Code::ok;
}

}  // namespace
void eval_slice(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const int32_t* begin = header<SliceParams>(c).begin;
    const size_t each = element_bytes(x.type), row_bytes = y.dim[3] * each;
    const auto* in = static_cast<const uint8_t*>(x.data);
    auto* out = static_cast<uint8_t*>(y.data);
    for (size_t a = 0; a < y.dim[0]; ++a)
        for (size_t b = 0; b < y.dim[1]; ++b)
            for (size_t e = 0; e < y.dim[2]; ++e, out += row_bytes) {
                const size_t row = ((a + size_t(begin[0])) * x.dim[1] + b + size_t(begin[1])) * x.dim[2];
                const size_t at = (row + e + size_t(begin[2])) * x.dim[3] + size_t(begin[3]);
                memcpy(out, in + at * each, row_bytes);
            }
}
namespace {

// ConcatParams: 1 to 4 inputs along one axis.
Code prepare_concat(const OperatorContext& c) {
    if (c.input_count < 1 || c.input_count > kMaxOperatorInputs || c.output == nullptr) return Code::invalid;
    if (c.params.size() < sizeof(ConcatParams)) return Code::invalid;
    const int32_t axis = header<ConcatParams>(c).axis;
    if (axis < 0 || axis > 3) return Code::out_of_range;
    const Tensor& y = *c.output;
    if (!quantised_tensor(y) && y.type != ElementType::float32) return Code::invalid;
    size_t along = 0;
    for (uint8_t i = 0; i < c.input_count; ++i) {
        if (c.input[i] == nullptr) return Code::invalid;
        const Tensor& x = *c.input[i];
        if (x.type != y.type || !same_quantisation(x, y)) return Code::invalid;
        for (int d = 0; d < 4; ++d)
            if (d != axis && x.dim[d] != y.dim[d]) return Code::invalid;
        along += x.dim[axis];
    }
    return along == y.dim[axis] ? Code::ok : Code::invalid;
}

}  // namespace
void eval_concat(const OperatorContext& c) {
    const int32_t axis = header<ConcatParams>(c).axis;
    size_t outer = 1;
    for (int d = 0; d < axis; ++d)
        outer *= c.output->dim[d];
    auto* out = static_cast<uint8_t*>(c.output->data);
    for (size_t a = 0; a < outer; ++a)
        for (uint8_t i = 0; i < c.input_count; ++i) {
            const size_t run = c.input[i]->bytes() / outer;
            memcpy(out, static_cast<const uint8_t*>(c.input[i]->data) + a * run, run);
            out += run;
        }
}
namespace {

// TransposeParams: output dimension d is input dimension axis[d].
Code prepare_transpose(const OperatorContext& c) {
    if (c.input_count != 1 || c.input[0] == nullptr || c.output == nullptr) return Code::invalid;
    if (c.params.size() < sizeof(TransposeParams)) return Code::invalid;
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    if (x.type != y.type || !same_quantisation(x, y)) return Code::invalid;
    bool used[4] = {};
    for (int d = 0; d < 4; ++d) {
        const int32_t axis = header<TransposeParams>(c).axis[d];
        if (axis < 0 || axis > 3 || used[axis] || y.dim[d] != x.dim[axis]) return Code::invalid;
        used[axis] = true;
    }
    return Code::ok;
}

template <typename T>
void transpose(const Tensor& x, const Tensor& y, const int32_t* axis) {
    const size_t stride[4] = {size_t(x.dim[1]) * x.dim[2] * x.dim[3], size_t(x.dim[2]) * x.dim[3], x.dim[3],
                              1};
    const T* in = static_cast<const T*>(x.data);
    T* out = static_cast<T*>(y.data);
    for (size_t a = 0; a < y.dim[0]; ++a)
        for (size_t b = 0; b < y.dim[1]; ++b)
            for (size_t e = 0; e < y.dim[2]; ++e)
                for (size_t f = 0; f < y.dim[3]; ++f)
                    *out++ = in[a * stride[axis[0]] + b * stride[axis[1]] + e * stride[axis[2]] +
                                f * stride[axis[3]]];
}

}  // namespace
void eval_transpose(const OperatorContext& c) {
    const int32_t* axis = header<TransposeParams>(c).axis;
    switch (element_bytes(c.output->type)) {
        case 1:
            return transpose<uint8_t>(*c.input[0], *c.output, axis);
        case 2:
            return transpose<uint16_t>(*c.input[0], *c.output, axis);
        default:
            return transpose<uint32_t>(*c.input[0], *c.output, axis);
    }
}

const Operator kReshape = {kOpReshape, "reshape", prepare_reshape, eval_reshape};
const Operator kPad = {kOpPad, "pad", prepare_pad, eval_pad};
const Operator kSlice = {kOpSlice, "slice", prepare_slice, eval_slice};
const Operator kConcat = {kOpConcat, "concat", prepare_concat, eval_concat};
const Operator kTranspose = {kOpTranspose, "transpose", prepare_transpose, eval_transpose};

}  // namespace lockstep::model
