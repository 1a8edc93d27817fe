// smooth, majority: windows.h.
#include "models/core/ops/windows.h"

#include <string.h>

#include "models/core/plan.h"
#include "models/core/plan_format.h"

namespace lockstep::model {
namespace {

uint32_t windows_of(const OperatorContext& c) {
    return reinterpret_cast<const HistoryParams*>(c.params.data())->windows;
}

const float* weights_of(const OperatorContext& c) {
    return reinterpret_cast<const float*>(c.params.data() + sizeof(HistoryParams));
}

Code prepare(const OperatorContext& c, size_t weight_bytes) {
    if (c.input_count != 1 || c.input[0] == nullptr || c.output == nullptr) return Code::invalid;
    const Tensor& in = *c.input[0];
    if (in.type != ElementType::float32 || c.output->type != ElementType::float32) return Code::invalid;
    if (in.elements() != c.output->elements() || in.elements() > kMaxScores) return Code::invalid;
    if (c.params.size() < sizeof(HistoryParams)) return Code::invalid;
    const uint32_t n = windows_of(c);
    if (n < 1 || n > kMaxHistory) return Code::out_of_range;
    if (c.params.size() != sizeof(HistoryParams) + n * weight_bytes) return Code::invalid;
    return c.scratch.size() < history_bytes(n, in.elements()) ? Code::no_space : Code::ok;
}

Code prepare_smooth(const OperatorContext& c) {
    const Code code = prepare(c, sizeof(float));
    if (code != Code::ok) return code;
    for (uint32_t i = 0; i < windows_of(c); ++i) {
        const float w = weights_of(c)[i];
        if (!(w >= 0 && w <= 1e9f) || (i == 0 && !(w > 0))) return Code::out_of_range;
    }
    return Code::ok;
}

Code prepare_majority(const OperatorContext& c) {
    return prepare(c, 0);
}

struct History {
    const float* rows;  // [count][elements], the newest first
    uint32_t count;
};

// Puts this window's row before the others.
History remember(const OperatorContext& c) {
    const uint32_t n = windows_of(c);
    const size_t row = c.input[0]->bytes();
    uint32_t count;
    memcpy(&count, c.scratch.data(), sizeof count);
    count = count < n ? count + 1 : n;
    uint8_t* rows = c.scratch.data() + 16;
    memmove(rows + row, rows, row * (n - 1));
    memcpy(rows, c.input[0]->data, row);
    memcpy(c.scratch.data(), &count, sizeof count);
    return {reinterpret_cast<const float*>(rows), count};
}

}  // namespace

void eval_smooth(const OperatorContext& c) {
    const History h = remember(c);
    const float* weight = weights_of(c);
    const size_t n = c.input[0]->elements();
    auto* out = static_cast<float*>(c.output->data);
    float all = 0;
    for (uint32_t i = 0; i < h.count; ++i)
        all = all + weight[i];
    for (size_t e = 0; e < n; ++e) {
        float sum = 0;
        for (uint32_t i = 0; i < h.count; ++i)
            sum = sum + weight[i] * h.rows[i * n + e];
        out[e] = sum / all;
    }
}

void eval_majority(const OperatorContext& c) {
    const History h = remember(c);
    const size_t n = c.input[0]->elements();
    auto* out = static_cast<float*>(c.output->data);
    for (size_t e = 0; e < n; ++e)
        out[e] = 0;
    for (uint32_t i = 0; i < h.count; ++i) {
        const float* row = h.rows + i * n;
        size_t best = 0;
        for (size_t e = 1; e < n; ++e)
            if (row[e] > row[best]) best = e;
        out[best] += 1;
    }
    for (size_t e = 0; e < n; ++e)
        out[e] = out[e] / float(h.count);
}

const Operator kSmooth = {kOpSmooth, "smooth", prepare_smooth, eval_smooth, kOperatorKeeps};
const Operator kMajority = {kOpMajority, "majority", prepare_majority, eval_majority, kOperatorKeeps};

}  // namespace lockstep::model
