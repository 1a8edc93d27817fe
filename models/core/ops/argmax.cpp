// argmax: int8 [1, n] -> int8 [1, 1] of scale 1, the index of the largest; of equal ones the first.
#include "models/core/ops/check.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || !c.params.empty()) return Code::invalid;
    const Tensor &in = *c.input[0], &out = *c.output;
    if (in.type != ElementType::int8 || out.type != ElementType::int8 || out.elements() != 1)
        return Code::invalid;
    if (in.elements() > 128 || out.zero_point != 0 || out.scale != 1.0f) return Code::out_of_range;
    return Code::ok;
}

}  // namespace

void eval_argmax(const OperatorContext& c) {
    const int8_t* q = i8(c.input[0]);
    const size_t n = c.input[0]->elements();
    size_t best = 0;
    for (size_t i = 1; i < n; ++i)
        if (q[i] > q[best]) best = i;
    *i8_out(c.output) = int8_t(best);
}

const Operator kArgmax = {kOpArgmax, "argmax", prepare, eval_argmax};

}  // namespace lockstep::model
