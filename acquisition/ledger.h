// The session's accounts: what was sent, received and lost per stream, and what became of every
// expected window. A pure consumer of events, so the same numbers come from a live hub and from a
// file. Thread: one caller at a time.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "acquisition/clock_map.h"
#include "acquisition/event.h"

namespace lockstep {

struct StreamAccount {
    std::string name;
    double rate = 0;  // measured against the host clock, Hz; 0 before two blocks
    double rate_nominal = 0;
    uint64_t sent =
        0;  // samples in [first, last] of every segment, from the device's own count when it gave one
    uint64_t received = 0;
    uint64_t lost = 0;  // samples
    uint64_t gaps = 0;  // intervals
};

struct WindowAccount {
    uint64_t expected = 0;  // = same + different + lost + outside
    uint64_t same = 0;
    uint64_t different = 0;
    uint64_t lost = 0;
    uint64_t outside = 0;
    WindowAccount& operator+=(const WindowAccount& other);
};

struct Summary {
    double seconds = 0;
    std::vector<StreamAccount> streams;
    std::vector<WindowAccount> models;  // by model index
    WindowAccount windows;              // all models
    uint64_t labels = 0;
    ClockEstimate clock;  // of the first device
    uint64_t damaged_frames = 0;
    uint64_t link_losses = 0;
    uint64_t links_down = 0;  // devices that were lost and are not back
    // PARITY.md: sent = stored, no gap, same >= 90 % of the expected windows. (That the file verifies
    // is the caller's to add.)
    bool whole = false;
    std::string why_not;  // first reason, "" when whole
};

class Ledger {
  public:
    void on_event(const Event& event);
    Summary summary() const;

  private:
    struct Stream {
        StreamAccount account;
        int segment = -1;      // of the last block
        uint64_t end = 0;      // one past its last sample
        int64_t last_ns = 0;   // when it came
        uint64_t samples = 0;  // counted by the device between first and last blocks of its segments ...
        int64_t span_ns = 0;   // ... in this much host time
    };
    // Counters [first, last) of a stream in a segment: what came and what is known to be missing.
    struct Range {
        uint64_t first = 0;
        uint64_t last = 0;
    };
    struct Segment {
        int device = 0;
        std::vector<int> streams;
        std::map<int, Range> range;
    };
    struct Clock {
        uint64_t boot_id = 0;
        ClockMap map;
    };
    void cover(int stream, int segment, uint64_t first, uint64_t last);
    Stream* stream(int index);

    std::vector<Stream> streams_;
    std::map<int, Segment> segments_;
    std::vector<WindowAccount> models_;
    std::map<int, Clock> clocks_;
    std::map<uint64_t, bool> labels_;
    std::set<int> down_;  // devices
    uint64_t damaged_ = 0;
    uint64_t losses_ = 0;
    int64_t first_ns_ = 0;
    int64_t last_ns_ = 0;
};

}  // namespace lockstep
