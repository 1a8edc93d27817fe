// Device time -> host time over a whole session: the clock map's sliding fit, kept every 30 s, with
// straight lines between. Thread: one caller at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "acquisition/clock_map.h"

namespace lockstep::storage {

class ClockHistory {
  public:
    void observe(const ClockObservation& observation);
    bool ready() const { return map_.ready(); }
    int64_t host_ns(uint64_t device_us) const;  // REQUIRES: ready()
    ClockEstimate estimate() const { return map_.estimate(); }

  private:
    struct Anchor {
        double device_us;
        double host_ns;
    };
    Anchor anchor(uint64_t device_us) const { return {double(device_us), double(map_.host_ns(device_us))}; }
    ClockMap map_;
    std::vector<Anchor> anchors_;
    uint64_t first_us_ = 0;
    uint64_t last_us_ = 0;
};

}  // namespace lockstep::storage
