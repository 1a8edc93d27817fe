// Numbers of the operators; part of the plan format, never reused. The table in ops.cpp lists those
// that this build has.
#pragma once

#include "models/core/operator.h"

namespace lockstep::model {

enum OperatorCode : uint16_t {
    kOpNormalise = 1,
    kOpQuantise = 2,
    kOpDequantise = 3,
    kOpConv2d = 10,
    kOpDepthwiseConv2d = 11,
    kOpFullyConnected = 12,
    kOpMaxPool = 13,
    kOpAveragePool = 14,
    kOpMean = 15,  // over height and width
    kOpSoftmax = 16,
    kOpAdd = 17,
    kOpMul = 18,
    kOpConcat = 19,
    kOpPad = 20,
    kOpReshape = 21,
    kOpLookupTable = 22,
    kOpTranspose = 23,
    kOpSlice = 24,
    kOpArgmax = 25,
    kOpVitals = 40,
    kOpChannelMean = 41,
};

// ops/normalise.cpp: float32 -> float32 of the same shape, out = (x - mean) / std per channel (last
// dimension). Params: float32 mean[C], then float32 std[C], all finite, std > 0.
extern const Operator kNormalise;
// ops/quantise.cpp: float32 -> int8 of the same shape, q = clamp(round(x / scale) + zero_point), halves
// away from zero; NaN gives the zero point. No params.
extern const Operator kQuantise;
// ops/dequantise.cpp: int8 -> float32 of the same shape, (q - zero_point) * scale. No params.
extern const Operator kDequantise;

// ops/vitals.cpp: PPG float32 [1,1,N,1] and EDA float32 [1,1,M,1] -> float32 [4]: heart rate [bpm], its
// quality [0..1], EDA level, EDA slope a second. Params: VitalsParams. Scratch: vitals_scratch_bytes().
struct VitalsParams {
    uint32_t decimation;  // of the PPG for the search of the period
    uint32_t lag_min;     // periods looked at, in decimated samples; lag_min >= 2
    uint32_t lag_max;
    float first_peak;  // the first peak this close to the highest is the period
    float gap;         // of the period between two beats, at least
    float low;         // of the period: intervals outside low..high do not count
    float high;
    float ppg_per_minute;  // PPG samples a minute
    float eda_middle;      // (M - 1) / 2
    float eda_squares;     // sum of (i - eda_middle)^2
    float eda_rate;        // Hz
};
constexpr uint32_t vitals_scratch_bytes(uint32_t n, const VitalsParams& p) {
    return 4 * ((n + p.decimation - 1) / p.decimation + 1 + p.lag_max - p.lag_min + 3);
}
extern const Operator kVitals;

}  // namespace lockstep::model
