// Rows of earlier windows before those of this one: what a convolution over time needs so that a window of
// one hop does for it (models/network/streaming.h). The output tensor itself is the memory; the plan lets it
// keep its bytes from window to window (OperatorRecord::flags), so that only the new rows are copied in.
//
//   input   [.., new, ..]          along `axis`
//   output  [.., rows + new, ..]   the newest last
//
// After the start or a gap the rows count as the input's zero point, real 0, as padding does.
#pragma once

#include "models/core/operator.h"

namespace lockstep::model {

constexpr uint16_t kOpRing = 62;  // beside models/core/ops.h; never reused either

// Any type; input and output have one scale. Begins as HistoryParams does (windows.h).
struct RingParams {
    // 1 + how many more windows the plan's result looks back on because of these rows. Rings on one way
    // through the network overlap, so the plan's writer deals the sum out (docs/model_format.md).
    uint32_t windows;
    uint32_t axis;  // 0 to 3
    uint32_t rows;  // kept, at least 1
    uint32_t reserved;
};
constexpr uint32_t kRingScratchBytes = 16;  // whether the output holds rows yet

void eval_ring(const OperatorContext& c);
extern const Operator kRing;

}  // namespace lockstep::model
