// Heart rate from band-passed PPG, level and slope of EDA. The same arithmetic, step by step, as
// models/training/vitals_reference.py, which says why it is done this way.
#include <string.h>

#include "models/core/ops.h"

namespace lockstep::model {
namespace {

constexpr uint32_t kMaxLag = 4096;

VitalsParams params_of(const OperatorContext& c) {
    VitalsParams p;
    memcpy(&p, c.params.data(), sizeof p);
    return p;
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
    if (!bounded(p.first_peak) || !bounded(p.gap) || !bounded(p.low) || !bounded(p.high) ||
        !bounded(p.ppg_per_minute) || !bounded(p.eda_middle) || !bounded(p.eda_squares) ||
        !bounded(p.eda_rate))
        return Code::out_of_range;
    const uint32_t n = c.input[0]->dim[2];
    if (p.decimation == 0 || p.decimation > n || p.lag_min < 2 || p.lag_max < p.lag_min ||
        p.lag_max > kMaxLag)
        return Code::out_of_range;
    if (p.lag_max + 1 >= (n + p.decimation - 1) / p.decimation) return Code::out_of_range;
    return c.scratch.size() < vitals_scratch_bytes(n, p) ? Code::no_space : Code::ok;
}

struct Rhythm {
    float period = 0;  // PPG samples; 0 without a rhythm
    float quality = 0;
};

// Similarity of the window with itself at the lags lag_min - 1 .. lag_max + 1.
Span<const float> similarity(Span<const float> ppg, const VitalsParams& p, float* scratch) {
    const size_t n = (ppg.size() + p.decimation - 1) / p.decimation;
    float* energy = scratch;  // [n + 1]
    float* r = scratch + n + 1;
    energy[0] = 0;
    for (size_t i = 0; i < n; ++i) {
        const float d = ppg[i * p.decimation];
        energy[i + 1] = energy[i] + d * d;
    }
    const size_t lags = p.lag_max - p.lag_min + 3;
    for (size_t k = 0; k < lags; ++k) {
        const size_t lag = p.lag_min - 1 + k;
        float c = 0;
        for (size_t i = 0; i + lag < n; ++i)
            c = c + ppg[i * p.decimation] * ppg[(i + lag) * p.decimation];
        const float e = energy[n - lag] + (energy[n] - energy[lag]);
        r[k] = e > 0 ? (c + c) / e : 0.0f;
    }
    return Span<const float>(r, lags);
}

bool is_peak(Span<const float> r, size_t k) {
    return r[k] > r[k - 1] && r[k] >= r[k + 1] && r[k] > 0;
}

Rhythm rhythm_of(Span<const float> ppg, const VitalsParams& p, float* scratch) {
    const Span<const float> r = similarity(ppg, p, scratch);
    float highest = 0;
    for (size_t k = 1; k + 1 < r.size(); ++k)
        if (is_peak(r, k) && r[k] > highest) highest = r[k];
    if (!(highest > 0)) return {};
    const float enough = p.first_peak * highest;
    for (size_t k = 1; k + 1 < r.size(); ++k) {
        if (!is_peak(r, k) || !(r[k] >= enough)) continue;
        const float a = r[k - 1];
        const float b = r[k];
        const float c = r[k + 1];
        const float shift = (0.5f * (a - c)) / ((a - b) + (c - b));
        return {float(p.decimation) * (float(p.lag_min - 1 + k) + shift), b};
    }
    return {};
}

// Sums the intervals between beats that the period makes believable.
struct Intervals {
    float low;
    float high;
    int32_t count = 0;
    int32_t total = 0;
    void add(int32_t interval) {
        if (!(low < float(interval) && float(interval) < high)) return;
        ++count;
        total += interval;
    }
};

float heart_rate(Span<const float> ppg, const VitalsParams& p, float period) {
    const float gap = p.gap * period;
    Intervals intervals{p.low * period, p.high * period};
    int32_t last = -1;    // the latest beat; a higher one too close behind replaces it
    int32_t before = -1;  // the beat before it
    for (int32_t i = 1; i + 1 < int32_t(ppg.size()); ++i) {
        if (!(ppg[i] > 0 && ppg[i] > ppg[i - 1] && ppg[i] >= ppg[i + 1])) continue;
        if (last >= 0 && float(i - last) < gap) {
            if (ppg[i] > ppg[last]) last = i;
            continue;
        }
        if (before >= 0) intervals.add(last - before);
        before = last;
        last = i;
    }
    if (before >= 0) intervals.add(last - before);
    if (intervals.count == 0) return p.ppg_per_minute / period;
    return (p.ppg_per_minute * float(intervals.count)) / float(intervals.total);
}

void eval(const OperatorContext& c) {
    const VitalsParams p = params_of(c);
    const Span<const float> ppg = window_of(*c.input[0]);
    const Span<const float> eda = window_of(*c.input[1]);
    float* out = static_cast<float*>(c.output->data);

    const Rhythm rhythm = rhythm_of(ppg, p, reinterpret_cast<float*>(c.scratch.data()));
    const bool found = rhythm.period > 0;
    out[0] = found ? heart_rate(ppg, p, rhythm.period) : 0.0f;
    out[1] = found ? rhythm.quality : 0.0f;

    float sum = 0;
    for (const float v : eda)
        sum = sum + v;
    const float level = sum / float(eda.size());
    float slope = 0;
    for (size_t i = 0; i < eda.size(); ++i)
        slope = slope + (float(i) - p.eda_middle) * (eda[i] - level);
    out[2] = level;
    out[3] = (slope / p.eda_squares) * p.eda_rate;
}

}  // namespace

const Operator kVitals = {kOpVitals, "vitals", prepare, eval};

}  // namespace lockstep::model
