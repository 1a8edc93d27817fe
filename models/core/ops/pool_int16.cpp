// max_pool and average_pool over int16: int16.h.
#include "models/core/ops/check16.h"
#include "models/core/ops/pool.h"

namespace lockstep::model {
namespace {

Code prepare_max(const OperatorContext& c) {
    const Code code = check_int16<PoolParams>(c, 1);
    if (code != Code::ok) return code;
    return valid_wide_clamp(header<PoolParams>(c).clamp) ? check_pool(c) : Code::out_of_range;
}

Code prepare_average(const OperatorContext& c) {
    const Code code = prepare_max(c);
    if (code != Code::ok) return code;
    // The sum and half the count keep within 32 bits.
    const WindowParams& w = header<PoolParams>(c).window;
    return w.kernel_h * w.kernel_w <= kMostWideCells ? Code::ok : Code::out_of_range;
}

}  // namespace

void eval_max_pool16(const OperatorContext& c) {
    pool_cells<int16_t, MaxOf>(c);
}
void eval_average_pool16(const OperatorContext& c) {
    pool_cells<int16_t, AverageOf>(c);
}

const Operator kMaxPool16 = {kOpMaxPool16, "max_pool_int16", prepare_max, eval_max_pool16};
const Operator kAveragePool16 = {kOpAveragePool16, "average_pool_int16", prepare_average,
                                 eval_average_pool16};

}  // namespace lockstep::model
