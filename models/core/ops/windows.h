// Stages over the last windows of a model: smoothing of scores and majority of decisions. They keep the rows
// of earlier windows in their scratch, which no other operator may touch (OperatorRecord::flags). A result
// depends on exactly the last `windows` windows, so that it needs no restart: the runner gives none before it
// has seen them all since the start or the last gap (runner.h). An engine that forgets before each window
// takes that window alone.
#pragma once

#include "models/core/operator.h"

namespace lockstep::model {

// Beside the numbers of models/core/ops.h; never reused either.
constexpr uint16_t kOpSmooth = 60;
constexpr uint16_t kOpMajority = 61;

// Both: float32 -> float32 of the same shape, up to 64 elements. Scratch: history_bytes(). The params of
// every operator that keeps its scratch begin so.
struct HistoryParams {
    uint32_t windows;  // 1 to kMaxHistory, this one counted
    uint32_t reserved[3];
};
constexpr uint32_t kMaxHistory = 64;
constexpr uint32_t history_bytes(uint32_t windows, size_t elements) {
    return 16 + 4 * windows * uint32_t(elements);  // how many rows count, then the rows, the newest first
}

void eval_smooth(const OperatorContext& c);
void eval_majority(const OperatorContext& c);

// smooth: sum of weight[i] * row i, i = 0 the newest, rising, over the sum of the weights. Behind the header:
// float32 weight[windows], weight[0] > 0, none below 0.
extern const Operator kSmooth;
// majority: which share of the rows has its largest element here, of equal ones the first.
extern const Operator kMajority;

}  // namespace lockstep::model
