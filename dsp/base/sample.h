// Samples as they travel: the integers (or float32 bits) that the sensor delivered, never scaled.
// Physical units are metadata: value = count * scale + offset, per channel.
#pragma once

#include "dsp/base/span.h"

namespace lockstep {

// The numbers are part of the device protocol and of the session file.
enum class SampleType : uint8_t { int16 = 1, int24 = 2, int32 = 3, float32 = 4 };

// Bytes of one sample of one channel on the wire; 0 for a number that is no SampleType.
constexpr size_t sample_bytes(SampleType type) {
    switch (type) {
        case SampleType::int16:
            return 2;
        case SampleType::int24:
            return 3;
        case SampleType::int32:
            return 4;
        case SampleType::float32:
            return 4;
    }
    return 0;
}

// Little-endian, packed, two's complement. `counts` holds n elements; float32 travels as its bits.
// REQUIRES: bytes.size() == counts.size() * sample_bytes(type).
void pack_samples(SampleType type, Span<const int32_t> counts, MutableBytes bytes);
void unpack_samples(SampleType type, Bytes bytes, Span<int32_t> counts);

// A run of consecutive samples of one stream, interleaved [count][channels]; borrowed memory.
struct BlockView {
    uint64_t first = 0;    // index of the first sample since START (the wire's 32 bits, unwrapped)
    uint64_t time_us = 0;  // device time of the first sample; sample i is at sample_time_us(...)
    uint32_t count = 0;    // samples per channel
    uint16_t channels = 0;
    bool discontinuity = false;  // the device itself lost or reset something just before `first`
    Span<const int32_t> counts;  // count * channels
};

// Device time in microseconds of the i-th sample of a block that starts at t0, at rate num/den Hz.
// Integer arithmetic, so device and host get the same stamp. REQUIRES: rate_num > 0.
constexpr uint64_t sample_time_us(uint64_t t0, uint32_t i, uint32_t rate_num, uint32_t rate_den) {
    return t0 + uint64_t(i) * 1000000u * rate_den / rate_num;
}

}  // namespace lockstep
