// Device clock -> host clock from four-stamp pings. Thread: one caller at a time.
// Goal (anchors): <= 0.5 ms rms, <= 2 ms at most at 1 % loss and +-2.5 % clock error.
#pragma once

#include <cstdint>
#include <vector>

#include "acquisition/event.h"

namespace lockstep {

struct ClockEstimate {
    double offset_ms = 0;  // host time of device time 0, relative to the first observation's host time
    double drift_ppm = 0;  // device clock fast: positive
    double error_ms = 0;   // rms of the residuals kept
    int observations = 0;
};

class ClockMap {
  public:
    void observe(const ClockObservation& observation);
    void restart();  // the device rebooted
    bool ready() const;
    // Host nanoseconds of a device time; before the first ping the caller's fallback (arrival) is all
    // there is. REQUIRES: ready().
    int64_t host_ns(uint64_t device_us) const;
    ClockEstimate estimate() const;

  private:
    void fit();
    std::vector<ClockObservation> kept_;
    double host0_ = 0;    // ns
    double device0_ = 0;  // us
    double offset_ = 0;   // ns: host = host0 + offset + slope * (device - device0) * 1000
    double slope_ = 1;
    double error_ns_ = 0;
};

}  // namespace lockstep
