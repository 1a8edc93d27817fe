// From rows of samples to pixel columns: what live store and session review have in common. Times are
// session seconds; a row is one sample of every channel of a stream, in order of arrival.
#pragma once

#include <cstdint>
#include <vector>

#include "acquisition/trace_store.h"

namespace lockstep {

// Rows at an even pace: row + i is at time + i * dt. `joined`: no sample is missing before it, so the
// line goes on from the previous run (only the clock's estimate moved).
struct TimeRun {
    uint64_t row = 0;
    uint64_t count = 0;
    double time = 0;
    double dt = 1;
    bool joined = false;

    double at(uint64_t i) const { return time + double(i) * dt; }
    double last() const { return at(count == 0 ? 0 : count - 1); }
    // First index in [0, count] whose time is >= t.
    uint64_t first_at(double t) const;
};

// One channel's values by row. Not thread-safe; the source that owns it holds its lock.
class RowValues {
  public:
    virtual ~RowValues() = default;
    // False when the row is no longer (or not cheaply) at hand.
    virtual bool value(uint64_t row, float* out) const = 0;
    // Widens [*min, *max] by rows [row0, row1).
    virtual void range(uint64_t row0, uint64_t row1, float* min, float* max) const = 0;
    // Values come from bins rather than from samples: columns are then only joined, not interpolated.
    virtual bool coarse() const { return false; }
};

// The extent of the connected line over each of `columns` equal parts of [t0, t1). Column c is
// [t0 + c * w, t0 + (c + 1) * w); it holds every sample inside and the line's values at both edges.
// REQUIRES: runs in order of time, t1 > t0, columns > 0.
void column_extents(const std::vector<TimeRun>& runs, const RowValues& values, double t0, double t1,
                    int columns, Extent* out);

}  // namespace lockstep
