// max_pool and average_pool: PoolParams of params.h.
#include "models/core/ops/pool.h"

namespace lockstep::model {
namespace {

Code prepare_pool(const OperatorContext& c) {
    const Code code = check_int8<PoolParams>(c, 1);
    if (code != Code::ok) return code;
    return valid_clamp(header<PoolParams>(c).clamp) ? check_pool(c) : Code::out_of_range;
}

}  // namespace

LOCKSTEP_FALLBACK void reference_max_pool(const OperatorContext& c) {
    pool_cells<int8_t, MaxOf>(c);
}
LOCKSTEP_FALLBACK void reference_average_pool(const OperatorContext& c) {
    pool_cells<int8_t, AverageOf>(c);
}
void eval_max_pool(const OperatorContext& c) {
    if (!kernels::max_pool(c)) reference_max_pool(c);
}
void eval_average_pool(const OperatorContext& c) {
    if (!kernels::average_pool(c)) reference_average_pool(c);
}

const Operator kMaxPool = {kOpMaxPool, "max_pool", prepare_pool, eval_max_pool};
const Operator kAveragePool = {kOpAveragePool, "average_pool", prepare_pool, eval_average_pool};

}  // namespace lockstep::model
