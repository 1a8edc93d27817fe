#include "acquisition/clock_map.h"

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

// Ten minutes of pings at the pace that ping_interval_s() asks for on a bad line.
constexpr size_t kWindow = 1200;
// How fast an oscillator's pace may change: 1 ppm a minute. An old ping bounds the clock the less.
constexpr double kWanderPerSecond = 1e-6 / 60;
// Oscillators are within 2.5 %; twice that bounds what a short base cannot.
constexpr double kMaxSlopeError = 0.05;
// A stamp is never better than this.
constexpr double kFloorNs = 20e3;
// Half of the goal, and well within it.
constexpr double kBadMs = 0.25;
constexpr double kGoodMs = 0.1;
constexpr size_t kFirstPings = 8;
constexpr uint64_t kOvertakenUs = 1000000;
constexpr double kGolden = 0.6180339887498949;
constexpr int kGoldenSteps = 45;  // 5 % down to less than 1e-9
constexpr int kHalvings = 30;
constexpr int kSlopes = 40;  // averaged over

}  // namespace

void ClockMap::observe(const ClockObservation& o) {
    // A reply that ends before it began was answered for another ping.
    if (o.received_ns < o.sent_ns || o.device_sent_us < o.device_received_us) return;
    // An answer that was overtaken is not needed; a clock that went back further is another one.
    if (!kept_.empty() && o.device_received_us < last_us_) {
        if (last_us_ - o.device_received_us < kOvertakenUs) return;
        restart();
    }
    last_us_ = o.device_received_us;
    if (kept_.empty()) {
        host0_ns_ = o.sent_ns;
        device0_us_ = o.device_received_us;
    }
    const auto since_us = [this](uint64_t us) { return double(int64_t(us - device0_us_)); };
    kept_.push_back({since_us(o.device_received_us) * 1e3, double(o.sent_ns - host0_ns_),
                     since_us(o.device_sent_us) * 1e3, double(o.received_ns - host0_ns_)});
    if (kept_.size() > kWindow) kept_.pop_front();
    now_ = kept_.back().device_sent;
    fit();
    // No line fits: the clock jumped. What is older than the jump goes.
    while (impossible_ && kept_.size() > 1) {
        kept_.erase(kept_.begin(), kept_.begin() + std::ptrdiff_t((kept_.size() + 1) / 2));
        fit();
    }
}

void ClockMap::restart() {
    *this = ClockMap();
}

bool ClockMap::ready() const {
    return !kept_.empty();
}

double ClockMap::slack(const Bounds& b) const {
    const double age_s = (now_ - b.device_received) / 1e9;
    return kWanderPerSecond / 2 * age_s * age_s * 1e9;
}

// Only bounds on the convex hull can touch a line.
void ClockMap::Hull::add(Point p) {
    const auto turns = [&](const Point& a, const Point& b) {
        return side_ * ((b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x)) >= 0;
    };
    while (points_.size() >= 2 && turns(points_[points_.size() - 2], points_.back()))
        points_.pop_back();
    points_.push_back(p);
}

double ClockMap::Hull::touch(double slope) const {
    double out = -INFINITY;
    for (const Point& p : points_)
        out = std::max(out, side_ * (p.y - slope * p.x));
    return side_ * out;
}

ClockMap::Strip ClockMap::strip(double slope) const {
    return {sent_.touch(slope), received_.touch(slope)};
}

// The width is concave in the slope.
double ClockMap::widest_slope() const {
    double least = 1 - kMaxSlopeError;
    double most = 1 + kMaxSlopeError;
    double a = most - kGolden * (most - least);
    double b = least + kGolden * (most - least);
    double width_a = strip(a).width();
    double width_b = strip(b).width();
    for (int i = 0; i < kGoldenSteps; ++i) {
        if (width_a < width_b) {
            least = a;
            a = b;
            width_a = width_b;
            b = least + kGolden * (most - least);
            width_b = strip(b).width();
        } else {
            most = b;
            b = a;
            width_b = width_a;
            a = most - kGolden * (most - least);
            width_a = strip(a).width();
        }
    }
    return (least + most) / 2;
}

// The slope between `inner` and `outer` at which the strip has become `width` wide.
double ClockMap::slope_at(double width, double inner, double outer) const {
    for (int i = 0; i < kHalvings; ++i) {
        const double middle = (inner + outer) / 2;
        (strip(middle).width() > width ? inner : outer) = middle;
    }
    return inner;
}

// How far apart delays are next to the shortest one: the precision of its edge. Taken from the few
// shortest ones, for delays may thin out towards the edge.
double ClockMap::spacing(const Strip& s, double slope) const {
    std::vector<double> beyond;
    beyond.reserve(2 * kept_.size());
    for (const Bounds& b : kept_) {
        const double loose = slack(b);
        beyond.push_back(s.low - (b.host_sent - slope * (b.device_received - now_) - loose));
        beyond.push_back(b.host_received - slope * (b.device_sent - now_) + loose - s.high);
    }
    const size_t rank = std::min(beyond.size() - 1, size_t(8 + std::sqrt(double(beyond.size()))));
    std::nth_element(beyond.begin(), beyond.begin() + std::ptrdiff_t(rank), beyond.end());
    // Three of them touch the strip because it was fitted to them.
    return beyond[rank] / std::max(1.0, double(rank) - 3) * 2;
}

void ClockMap::fit() {
    sent_.clear();
    received_.clear();
    for (const Bounds& b : kept_) {
        sent_.add({b.device_received - now_, b.host_sent - slack(b)});
        received_.add({b.device_sent - now_, b.host_received + slack(b)});
    }
    const double best = widest_slope();
    const Strip widest = strip(best);
    impossible_ = widest.width() < 0;
    const double scale = std::max(spacing(widest, best), kFloorNs / double(kept_.size()));

    // Slopes beside the best are nearly as likely, as exp(-width lost / spacing); their average errs less
    // than the best alone. Past 12 there is nothing left to average.
    const double from = slope_at(widest.width() - 12 * scale, best, 1 - kMaxSlopeError);
    const double to = slope_at(widest.width() - 12 * scale, best, 1 + kMaxSlopeError);
    double sum = 0;
    double sum_slope = 0;
    double sum_middle = 0;
    double sum_squares = 0;
    for (int i = 0; i <= kSlopes; ++i) {
        const double slope = from + (to - from) * i / kSlopes;
        const Strip s = strip(slope);
        const double weight = std::exp((s.width() - widest.width()) / scale);
        const double middle = s.middle() - widest.middle();
        sum += weight;
        sum_slope += weight * (slope - best);
        sum_middle += weight * middle;
        sum_squares += weight * middle * middle;
    }
    slope_ = best + sum_slope / sum;
    const double shift = sum_middle / sum;
    offset_ = widest.middle() + shift;
    const double spread = std::max(0.0, sum_squares / sum - shift * shift);
    error_ns_ = std::sqrt(spread + scale * scale / 2);

    // Now lies at the end of all bounds, so both sides of the free space there rise with the slope.
    const double lowest = strip(slope_at(0, best, 1 - kMaxSlopeError)).low;
    const double highest = strip(slope_at(0, best, 1 + kMaxSlopeError)).high;
    bound_ns_ = std::max({highest - offset_, offset_ - lowest, error_ns_});
}

int64_t ClockMap::host_ns(uint64_t device_us) const {
    const double device = double(int64_t(device_us - device0_us_)) * 1e3;
    return host0_ns_ + int64_t(std::llround(offset_ + slope_ * (device - now_)));
}

double ClockMap::ping_interval_s() const {
    const double error_ms = error_ns_ / 1e6;
    if (kept_.size() < kFirstPings || error_ms > kBadMs) return 0.1;
    return error_ms > kGoodMs ? 0.5 : 2;
}

ClockEstimate ClockMap::estimate() const {
    ClockEstimate e;
    if (kept_.empty()) return e;
    e.offset_ms = (offset_ - slope_ * (now_ + double(device0_us_) * 1e3)) / 1e6;
    e.drift_ppm = (1 / slope_ - 1) * 1e6;
    e.error_ms = error_ns_ / 1e6;
    e.bound_ms = bound_ns_ / 1e6;
    e.observations = int(kept_.size());
    return e;
}

}  // namespace lockstep
