// Feature stages in front of a model: a window of a stream becomes another window, or a row of numbers. All
// float32, in a fixed order and without libm, so that device and desktop give the same bits. They keep no
// state between windows, so they need no reset rule: a feature depends on the samples of its window alone.
#pragma once

#include "dsp/base/span.h"
#include "models/core/operator.h"

namespace lockstep::model {

// Beside the numbers of models/core/ops.h; never reused either.
constexpr uint16_t kOpBandPower = 42;
constexpr uint16_t kOpResample = 43;
constexpr uint16_t kOpHeartRate = 44;
constexpr uint16_t kOpSkinConductance = 45;

// band_power: float32 [1, 1, N, C] -> [1, C * bands], the bands of one channel side by side. The window is
// cut into segments of `segment` samples, each `step` after the one before (Welch). From a segment its mean
// is taken off, the rest is tapered; bin k of the discrete Fourier transform is a sum over the segment in
// order, a band the sum of |bin|^2 over first..last, summed over the segments, times its scale. Behind the
// header: float32 taper[segment], cosine[segment] and sine[segment] of 2 pi i / segment, Band[bands].
// Scratch: 4 * segment bytes.
struct BandPowerParams {
    uint32_t segment, step, bands, flags;
};
struct Band {
    uint32_t first, last;  // bins, both counted
    float scale;           // bin 0 and bin segment/2 count half
};
constexpr uint32_t kBandLog = 1;       // natural logarithm, of 1e-30 at least
constexpr uint32_t kBandRelative = 2;  // divided by the sum of the channel's bands
constexpr uint32_t kMaxBands = 32;
extern const Operator kBandPower;

// resample: float32 [1, 1, N, C] -> [1, 1, M, C], a polyphase filter. With the samples spread `up` apart and
// zeros between, y[j] = sum of taps[i] * spread[j * down + count - 1 - i], i rising. Only outputs that the
// window fills wholly exist, M = ((N - 1) * up - (count - 1)) / down + 1: each is what resampling the endless
// stream would give. Behind the header: float32 taps[count].
struct ResampleParams {
    uint32_t up, down, count;
    uint32_t reserved;
};
constexpr uint32_t kMaxResampleFactor = 256;
constexpr uint32_t kMaxResampleTaps = 8192;
// Outputs of a window of n samples, 0 when it is too short. REQUIRES: the factors are within bounds.
constexpr uint32_t resampled_length(uint32_t n, const ResampleParams& p) {
    const uint64_t last = uint64_t(n - 1) * p.up;
    return n == 0 || last + 1 < p.count ? 0 : uint32_t((last + 1 - p.count) / p.down + 1);
}
extern const Operator kResample;

// heart_rate: band-passed PPG [1, 1, N, 1] -> [1, 2]: beats a minute and the rhythm's quality, 0..1; both 0
// without a rhythm. Scratch: heart_rate_scratch_bytes().
struct HeartRateParams {
    uint32_t decimation;  // for the search of the period
    uint32_t lag_min;     // periods looked at, in decimated samples; lag_min >= 2
    uint32_t lag_max;
    float first_peak;  // the first peak this close to the highest is the period
    float gap;         // of the period between two beats, at least
    float low;         // of the period: intervals outside low..high do not count
    float high;
    float per_minute;  // samples a minute
};
constexpr uint32_t heart_rate_scratch_bytes(uint32_t n, const HeartRateParams& p) {
    return 4 * ((n + p.decimation - 1) / p.decimation + 1 + p.lag_max - p.lag_min + 3);
}
extern const Operator kHeartRate;

// skin_conductance: EDA [1, 1, N, 1] -> [1, 4]: level, slope a second, responses a minute, their mean rise. A
// response is a rise of at least `threshold` from the lowest of the `longest` samples before; it ends where
// the signal has fallen by `fall` from its highest, or with the window.
struct SkinConductanceParams {
    float threshold, fall;
    float middle;      // (N - 1) / 2
    float squares;     // sum of (i - middle)^2
    float rate;        // Hz
    float per_minute;  // 60 / seconds of the window
    uint32_t longest;
    uint32_t reserved;
};
extern const Operator kSkinConductance;

void eval_band_power(const OperatorContext& c);
void eval_resample(const OperatorContext& c);
void eval_heart_rate(const OperatorContext& c);
void eval_skin_conductance(const OperatorContext& c);

// What other operators share.
bool finite(float v);
bool valid_heart_rate(const HeartRateParams& p, uint32_t n);
struct Rhythm {
    float rate = 0;  // beats a minute; 0 without a rhythm
    float quality = 0;
};
// REQUIRES: valid_heart_rate(), scratch of heart_rate_scratch_bytes().
Rhythm rhythm_of(Span<const float> ppg, const HeartRateParams& p, float* scratch);
struct Trend {
    float level, slope;
};
Trend trend_of(Span<const float> x, float middle, float squares, float rate);
// Natural logarithm of a positive, finite x, to 2e-7.
float natural_log(float x);

}  // namespace lockstep::model
