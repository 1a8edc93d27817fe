#include "storage/clock_history.h"

#include <algorithm>
#include <cmath>

namespace lockstep::storage {
namespace {
// The map's fit is better inside its window than at its end.
constexpr uint64_t kWindowUs = 120'000'000;
constexpr uint64_t kStepUs = 30'000'000;
}  // namespace

void ClockHistory::observe(const ClockObservation& observation) {
    const bool first = !map_.ready();
    map_.observe(observation);
    if (!map_.ready()) return;
    last_us_ = std::max(last_us_, observation.device_received_us);
    if (first) first_us_ = last_us_ = observation.device_received_us;
    if (last_us_ - first_us_ < kWindowUs) return;
    if (anchors_.empty()) anchors_.push_back(anchor(first_us_));
    const uint64_t middle = last_us_ - kWindowUs / 2;
    if (double(middle) - anchors_.back().device_us >= double(kStepUs)) anchors_.push_back(anchor(middle));
}

int64_t ClockHistory::host_ns(uint64_t device_us) const {
    const auto us = double(device_us);
    if (anchors_.size() < 2 || us >= anchors_.back().device_us) return map_.host_ns(device_us);
    auto after = std::upper_bound(anchors_.begin(), anchors_.end(), us,
                                  [](double t, const Anchor& a) { return t < a.device_us; });
    if (after == anchors_.begin()) ++after;
    const Anchor& a = *(after - 1);
    const Anchor& b = *after;
    return int64_t(
        std::llround(a.host_ns + (us - a.device_us) * (b.host_ns - a.host_ns) / (b.device_us - a.device_us)));
}

}  // namespace lockstep::storage
