// How evenly a live view is drawn: times between its frames, counted. GUI thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace lockstep::ui {

class FrameGaps {
  public:
    // A frame at this time; negative = the view stands still, so that the time until the next is no gap.
    void frame(int64_t ms) {
        if (ms >= 0 && last_ >= 0) {
            const int64_t gap = ms - last_;
            ++counts_[size_t(std::clamp<int64_t>(gap, 0, int64_t(counts_.size()) - 1))];
            ++frames_;
            total_ms_ += gap;
        }
        last_ = ms;
    }
    double per_second() const { return total_ms_ > 0 ? 1000.0 * double(frames_) / double(total_ms_) : 0; }
    // The gap in ms that `share` of all gaps do not exceed.
    int quantile(double share) const {
        uint64_t seen = 0;
        for (size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > 0 && double(seen) >= share * double(frames_)) return int(i);
        }
        return 0;
    }

  private:
    std::array<uint64_t, 1001> counts_ = {};  // by ms; the last one also holds what is longer
    uint64_t frames_ = 0;
    int64_t total_ms_ = 0;
    int64_t last_ = -1;
};

}  // namespace lockstep::ui
