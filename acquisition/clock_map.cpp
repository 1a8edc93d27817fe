#include "acquisition/clock_map.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lockstep {
namespace {

// Two minutes at one ping in 2 s: long enough to average the line's jitter, short enough to follow a
// warming oscillator.
constexpr size_t kWindow = 64;
// A stamp is never better than this, so that one lucky ping does not carry the whole fit.
constexpr double kFloorNs = 20e3;

double round_trip_ns(const ClockObservation& o) {
    return double(o.received_ns - o.sent_ns) - double(o.device_sent_us - o.device_received_us) * 1000;
}

}  // namespace

void ClockMap::observe(const ClockObservation& o) {
    // A reply that ends before it began was answered for another ping.
    if (o.received_ns < o.sent_ns || o.device_sent_us < o.device_received_us) return;
    if (kept_.empty()) {
        host0_ = double(o.sent_ns);
        device0_ = double(o.device_received_us);
    }
    kept_.push_back(o);
    if (kept_.size() > kWindow) kept_.erase(kept_.begin());
    fit();
}

void ClockMap::restart() {
    *this = ClockMap();
}

bool ClockMap::ready() const {
    return !kept_.empty();
}

// Weighted line through the mid-points of the pings. The unknown asymmetry of a ping is at most its
// round trip beyond the shortest one, so that is its standard error: slow pings hardly count.
void ClockMap::fit() {
    double shortest = round_trip_ns(kept_.front());
    for (const ClockObservation& o : kept_)
        shortest = std::min(shortest, round_trip_ns(o));
    double sum = 0;
    double mean_x = 0;
    double mean_y = 0;
    std::vector<std::array<double, 3>> points;  // weight, device ns, host ns
    points.reserve(kept_.size());
    for (const ClockObservation& o : kept_) {
        const double half = (round_trip_ns(o) - shortest) / 2;
        const double w = 1 / (kFloorNs * kFloorNs + half * half);
        const double x = (double(o.device_received_us) - device0_) * 1000 +
                         double(o.device_sent_us - o.device_received_us) * 500;
        const double y = (double(o.sent_ns) - host0_) + double(o.received_ns - o.sent_ns) / 2;
        points.push_back({w, x, y});
        sum += w;
        mean_x += w * x;
        mean_y += w * y;
    }
    mean_x /= sum;
    mean_y /= sum;
    double sxx = 0;
    double sxy = 0;
    for (const auto& [w, x, y] : points) {
        sxx += w * (x - mean_x) * (x - mean_x);
        sxy += w * (x - mean_x) * (y - mean_y);
    }
    // Oscillators are within 2.5 %; a slope outside 5 % comes from too short a base and would throw
    // extrapolated stamps far off.
    const double slope = sxx > 0 ? sxy / sxx : 1;
    slope_ = std::fabs(slope - 1) < 0.05 ? slope : 1;
    offset_ = mean_y - slope_ * mean_x;
    double squares = 0;
    for (const auto& [w, x, y] : points) {
        const double residual = y - offset_ - slope_ * x;
        squares += w * residual * residual;
    }
    error_ns_ = std::sqrt(squares / sum);
}

int64_t ClockMap::host_ns(uint64_t device_us) const {
    const double since = offset_ + slope_ * (double(device_us) - device0_) * 1000;
    return int64_t(host0_) + int64_t(std::llround(since));
}

ClockEstimate ClockMap::estimate() const {
    ClockEstimate e;
    if (kept_.empty()) return e;
    e.offset_ms = (offset_ - slope_ * device0_ * 1000) / 1e6;
    e.drift_ppm = (1 / slope_ - 1) * 1e6;
    e.error_ms = error_ns_ / 1e6;
    e.observations = int(kept_.size());
    return e;
}

}  // namespace lockstep
