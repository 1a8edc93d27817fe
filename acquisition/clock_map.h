// Device clock -> host clock from four-stamp pings. Thread: one caller at a time.
// Goal: <= 0.5 ms rms, <= 2 ms at most at 1 % loss and +-2.5 % clock error.
//
// A ping bounds the clock from both sides: the device received it after it was sent, and answered before
// the answer came. In (device time, host time) the clock is a line that runs above every "sent" and below
// every "received" point. Of those lines the one in the middle of the widest strip of free space is taken,
// which is the most likely one for delays that are seldom short and at least so long (Moon, Skelly and
// Towsley 1999 fit one side of it).
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "acquisition/event.h"

namespace lockstep {

struct ClockEstimate {
    double offset_ms = 0;  // host time of device time 0, relative to the first observation's host time
    double drift_ppm = 0;  // device clock fast: positive
    // Standard error at the last ping if the shortest way there takes as long as the shortest way back.
    double error_ms = 0;
    // The error is no larger than this, whatever the two ways take: pings cannot tell a slow way there
    // from a slow way back.
    double bound_ms = 0;
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
    // How long after a ping the next one is due: soon while the map is still poor, and on a line whose
    // delays vary so much that many pings are needed.
    double ping_interval_s() const;

  private:
    // A ping's two bounds: nanoseconds since the first ping, device time at the nominal pace.
    struct Bounds {
        double device_received = 0;
        double host_sent = 0;  // the clock is later than this at device_received
        double device_sent = 0;
        double host_received = 0;  // and earlier than this at device_sent
    };
    // Free space around lines of one slope, in host ns at the device time now_.
    struct Strip {
        double low = 0;
        double high = 0;
        double width() const { return high - low; }
        double middle() const { return (low + high) / 2; }
    };
    // The points of one kind of bound that a line can touch, device time since now_ and host time.
    class Hull {
      public:
        // 1: the line runs above the points, -1: below.
        explicit Hull(int side) : side_(side) {}
        struct Point {
            double x;
            double y;
        };
        void clear() { points_.clear(); }
        void add(Point point);             // x ascending
        double touch(double slope) const;  // y at x = 0 of the line that touches

      private:
        int side_;
        std::vector<Point> points_;
    };
    double slack(const Bounds& bounds) const;  // by which both are looser, of their age
    Strip strip(double slope) const;
    double widest_slope() const;
    double slope_at(double width, double inner, double outer) const;
    double spacing(const Strip& strip, double slope) const;
    void fit();

    std::deque<Bounds> kept_;
    Hull sent_{1};
    Hull received_{-1};
    int64_t host0_ns_ = 0;
    uint64_t device0_us_ = 0;
    uint64_t last_us_ = 0;
    bool impossible_ = false;
    double now_ = 0;     // device time of the last ping, ns since the first
    double offset_ = 0;  // ns: host = host0 + offset + slope * (device - device0 - now)
    double slope_ = 1;
    double error_ns_ = 0;
    double bound_ns_ = 0;
};

}  // namespace lockstep
