// One stream of a session file: samples, blocks as they were framed, gaps, runs and the min/max
// pyramid. Internal to storage/; throws h5::Failure; under h5::lock().
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "acquisition/event.h"
#include "storage/layout.h"

namespace lockstep::storage {

class StreamWriter {
  public:
    StreamWriter(hid_t acquisition, const std::string& name, int index, int device, const StreamInfo& info);

    // Do the block's channels and values fit the stream's description?
    bool fits(const Block& block) const;
    void add(const Block& block, uint64_t order);  // REQUIRES: fits(block)
    void add(const Gap& gap, uint64_t order);
    uint64_t bytes() const;
    uint64_t pending_bytes() const;  // at most, of what close() writes

    // Device time of a segment on the host's clock; `host_ns`, the arrival, is what to fall back to.
    using HostTime = std::function<int64_t(int device, int segment, uint64_t device_us, int64_t host_ns)>;
    void close(int64_t start_host_ns, const HostTime& host_time);

  private:
    struct Bin {
        int32_t min = 0, max = 0;  // float32 streams: bits
        bool empty = true;
    };
    struct Level {
        h5::Grower out;
        std::vector<Bin> bins;  // per channel
        uint32_t filled = 0;    // of kLevels[0] rows, or 8 bins of the level below
    };
    struct Span {  // of one segment
        int segment;
        uint64_t first, last;
        uint64_t first_us, last_us;
        int64_t first_ns, last_ns;
    };
    void widen(Bin* bin, int32_t min, int32_t max) const;
    void end_bin(size_t level);
    void put_row(h5::Grower* out, size_t plane, const int32_t* values, size_t count) const;

    StreamInfo info_;
    int device_;
    h5::Id group_;
    h5::Grower data_, blocks_, gaps_;
    std::array<Level, 4> levels_;
    std::vector<RunRow> runs_;
    std::vector<Span> spans_;
    uint64_t rows_ = 0;
};

}  // namespace lockstep::storage
