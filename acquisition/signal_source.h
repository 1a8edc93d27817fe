// Recorded raw counts to feed into a device, from a session or from files. Random access, so that the
// reader can start over whenever the device does. Thread: one caller at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "acquisition/error.h"
#include "acquisition/stream.h"

namespace lockstep {

// What comes next in a stream: either samples, or a stretch that was never stored.
struct SignalChunk {
    uint32_t missing = 0;         // samples lost here; then `counts` is empty
    std::vector<int32_t> counts;  // [n][channels]
};

class SignalSource {
  public:
    virtual ~SignalSource() = default;
    // `enabled` is ignored; batch 1 leaves the choice to the device.
    virtual const std::vector<StreamInfo>& streams() const = 0;
    // Sample counters of a stream run from 0 to length(stream), lost ones included.
    virtual uint64_t length(size_t stream) const = 0;
    // Sample 0 of the stream comes this long after that of the earliest.
    virtual uint32_t start_us(size_t stream) const {
        (void)stream;
        return 0;
    }
    // At most `max` samples (or lost ones) from `first` on. REQUIRES: first < length(stream), max > 0.
    virtual Result<SignalChunk> read(size_t stream, uint64_t first, uint32_t max) = 0;
};

}  // namespace lockstep
