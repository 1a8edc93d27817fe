// argmax: int8 or int16 [1, n] -> int8 [1, 1] of scale 1, the index of the largest; of equal ones the first.
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || !c.params.empty()) return Code::invalid;
    const Tensor &in = *c.input[0], &out = *c.output;
    if (!quantised_tensor(in) || out.type != ElementType::int8 || out.elements() != 1) return Code::invalid;
    if (in.elements() > 128 || out.zero_point != 0 || out.scale != 1.0f) return Code::out_of_range;
    return Code::ok;
}

template <typename T>
int8_t place_of_largest(const Tensor& x) {
    const T* q = static_cast<const T*>(x.data);
    const size_t n = x.elements();
    size_t best = 0;
    for (size_t i = 1; i < n; ++i)
        if (q[i] > q[best]) best = i;
    return int8_t(best);
}

}  // namespace

void eval_argmax(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    *i8_out(c.output) =
        x.type == ElementType::int8 ? place_of_largest<int8_t>(x) : place_of_largest<int16_t>(x);
}

const Operator kArgmax = {kOpArgmax, "argmax", prepare, eval_argmax};

}  // namespace lockstep::model
