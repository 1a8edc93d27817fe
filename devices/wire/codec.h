// What the encoders and decoders of every group of messages share.
#pragma once

#include <string.h>

#include "dsp/base/bytes.h"

namespace lockstep::wire {

// The payload's length, 0 when it did not fit.
inline size_t done(const ByteWriter& w) {
    return w.ok() ? w.size() : 0;
}

template <size_t N>
void get_bytes(ByteReader& r, uint8_t (&out)[N]) {
    const Bytes b = r.bytes(N);
    if (b.size() == N) memcpy(out, b.data(), N);
}

}  // namespace lockstep::wire
