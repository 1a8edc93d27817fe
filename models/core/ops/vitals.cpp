// Heart rate from band-passed PPG, level and slope of EDA: what ops/heart_rate.cpp and
// ops/skin_conductance.cpp give, in one row.
#include <string.h>

#include "models/core/ops.h"
#include "models/core/ops/features.h"

namespace lockstep::model {
namespace {

VitalsParams params_of(const OperatorContext& c) {
    VitalsParams p;
    memcpy(&p, c.params.data(), sizeof p);
    return p;
}

HeartRateParams ppg_of(const VitalsParams& p) {
    return {p.decimation, p.lag_min, p.lag_max, p.first_peak, p.gap, p.low, p.high, p.ppg_per_minute};
}

// A window of one channel.
Span<const float> window_of(const Tensor& t) {
    return Span<const float>(static_cast<const float*>(t.data), t.elements());
}

bool bounded(float v) {
    return v > 0 && v < 1e9f;
}

Code prepare(const OperatorContext& c) {
    if (c.input_count != 2 || c.params.size() != sizeof(VitalsParams)) return Code::invalid;
    if (c.output->type != ElementType::float32 || c.output->elements() != 4) return Code::invalid;
    for (size_t i = 0; i < 2; ++i)
        if (c.input[i]->type != ElementType::float32 || c.input[i]->elements() != c.input[i]->dim[2])
            return Code::invalid;
    const VitalsParams p = params_of(c);
    if (!bounded(p.eda_middle) || !bounded(p.eda_squares) || !bounded(p.eda_rate)) return Code::out_of_range;
    const uint32_t n = c.input[0]->dim[2];
    if (!valid_heart_rate(ppg_of(p), n)) return Code::out_of_range;
    return c.scratch.size() < vitals_scratch_bytes(n, p) ? Code::no_space : Code::ok;
}

void eval(const OperatorContext& c) {
    const VitalsParams p = params_of(c);
    auto* out = static_cast<float*>(c.output->data);
    const Rhythm rhythm =
        rhythm_of(window_of(*c.input[0]), ppg_of(p), reinterpret_cast<float*>(c.scratch.data()));
    const Trend eda = trend_of(window_of(*c.input[1]), p.eda_middle, p.eda_squares, p.eda_rate);
    out[0] = rhythm.rate;
    out[1] = rhythm.quality;
    out[2] = eda.level;
    out[3] = eda.slope;
}

}  // namespace

const Operator kVitals = {kOpVitals, "vitals", prepare, eval};

}  // namespace lockstep::model
