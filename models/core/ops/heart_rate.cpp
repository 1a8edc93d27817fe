// heart_rate: features.h. The same arithmetic, step by step, as models/training/vitals_reference.py, which
// says why it is done this way.
#include <string.h>

#include "models/core/ops/features.h"

namespace lockstep::model {
namespace {

constexpr uint32_t kMaxLag = 4096;

bool bounded(float v) {
    return v > 0 && v < 1e9f;
}

HeartRateParams params_of(const OperatorContext& c) {
    HeartRateParams p;
    memcpy(&p, c.params.data(), sizeof p);
    return p;
}

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || c.input[0] == nullptr || c.output == nullptr) return Code::invalid;
    if (c.params.size() != sizeof(HeartRateParams)) return Code::invalid;
    const Tensor& in = *c.input[0];
    if (in.type != ElementType::float32 || in.elements() != in.dim[2]) return Code::invalid;
    if (c.output->type != ElementType::float32 || c.output->elements() != 2) return Code::invalid;
    const HeartRateParams p = params_of(c);
    if (!valid_heart_rate(p, in.dim[2])) return Code::out_of_range;
    return c.scratch.size() < heart_rate_scratch_bytes(in.dim[2], p) ? Code::no_space : Code::ok;
}

struct Period {
    float samples = 0;  // 0 without a rhythm
    float quality = 0;
};

// Similarity of the window with itself at the lags lag_min - 1 .. lag_max + 1.
Span<const float> similarity(Span<const float> ppg, const HeartRateParams& p, float* scratch) {
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

Period period_of(Span<const float> ppg, const HeartRateParams& p, float* scratch) {
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

float heart_rate(Span<const float> ppg, const HeartRateParams& p, float period) {
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
    if (intervals.count == 0) return p.per_minute / period;
    return (p.per_minute * float(intervals.count)) / float(intervals.total);
}

}  // namespace

void eval_heart_rate(const OperatorContext& c) {
    const Tensor& in = *c.input[0];
    const Rhythm r = rhythm_of(Span<const float>(static_cast<const float*>(in.data), in.elements()),
                               params_of(c), reinterpret_cast<float*>(c.scratch.data()));
    auto* out = static_cast<float*>(c.output->data);
    out[0] = r.rate;
    out[1] = r.quality;
}

bool valid_heart_rate(const HeartRateParams& p, uint32_t n) {
    if (!bounded(p.first_peak) || !bounded(p.gap) || !bounded(p.low) || !bounded(p.high) ||
        !bounded(p.per_minute))
        return false;
    if (p.decimation == 0 || p.decimation > n || p.lag_min < 2 || p.lag_max < p.lag_min ||
        p.lag_max > kMaxLag)
        return false;
    return p.lag_max + 1 < (n + p.decimation - 1) / p.decimation;
}

Rhythm rhythm_of(Span<const float> ppg, const HeartRateParams& p, float* scratch) {
    const Period period = period_of(ppg, p, scratch);
    if (!(period.samples > 0)) return {};
    return {heart_rate(ppg, p, period.samples), period.quality};
}

const Operator kHeartRate = {kOpHeartRate, "heart_rate", prepare, eval_heart_rate};

}  // namespace lockstep::model
