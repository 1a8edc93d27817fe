#include "dsp/base/sample.h"

namespace lockstep {

void pack_samples(SampleType type, Span<const int32_t> counts, MutableBytes bytes) {
    const size_t width = sample_bytes(type);
    uint8_t* out = bytes.data();
    for (const int32_t v : counts) {
        for (size_t b = 0; b < width; ++b)
            *out++ = uint8_t(uint32_t(v) >> (8 * b));
    }
}

void unpack_samples(SampleType type, Bytes bytes, Span<int32_t> counts) {
    const uint8_t* in = bytes.data();
    switch (type) {
        case SampleType::int16:
            for (int32_t& v : counts) {
                v = int16_t(uint16_t(in[0] | in[1] << 8));
                in += 2;
            }
            break;
        case SampleType::int24:
            for (int32_t& v : counts) {
                // Shifted up as unsigned, then down as signed: extends the sign bit.
                v = int32_t((uint32_t(in[0]) | uint32_t(in[1]) << 8 | uint32_t(in[2]) << 16) << 8) >> 8;
                in += 3;
            }
            break;
        case SampleType::int32:
        case SampleType::float32:
            for (int32_t& v : counts) {
                v = int32_t(uint32_t(in[0]) | uint32_t(in[1]) << 8 | uint32_t(in[2]) << 16 |
                            uint32_t(in[3]) << 24);
                in += 4;
            }
            break;
    }
}

}  // namespace lockstep
