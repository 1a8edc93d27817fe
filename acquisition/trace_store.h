// Min/max levels of every channel for drawing: one query serves live and review. The ingest thread
// appends; readers take extents under a short lock. Times are session seconds.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "acquisition/event.h"
#include "acquisition/stream.h"

namespace lockstep {

// What is drawn in one pixel column: the extent of the connected line over the column, in counts
// (float streams: in value). valid == false where there is no sample (gap).
struct Extent {
    float min = 0;
    float max = 0;
    bool valid = false;
};

// The trace source of a lane: implemented by the live TraceStore and by the session's review source.
class TraceSource {
  public:
    virtual ~TraceSource() = default;
    virtual std::vector<StreamInfo> streams() const = 0;
    virtual double begin_time() const = 0;
    virtual double end_time() const = 0;
    // columns extents of [t0, t1) in physical units of the channel; columns are aligned by the caller
    // to absolute time, so that a finished column never changes.
    virtual void extent(int stream, int channel, double t0, double t1, int columns, Extent* out) const = 0;
    // Raw samples of [t0, t1): times and physical values, for at most `limit` samples.
    virtual size_t samples(int stream, int channel, double t0, double t1, size_t limit, double* time, float* value) const = 0;
};

}  // namespace lockstep
