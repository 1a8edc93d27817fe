// A stored session as signals for a virtual board: one segment's samples with their gaps. The reader is
// shared with nobody else. Thread: one caller at a time.
#pragma once

#include <memory>
#include <vector>

#include "acquisition/session_store.h"
#include "acquisition/signal_source.h"

namespace lockstep::app {

class SessionSignals final : public SignalSource {
  public:
    // The segment with the most samples.
    static Result<std::unique_ptr<SessionSignals>> open(std::unique_ptr<SessionReader> reader);

    const std::vector<StreamInfo>& streams() const override { return infos_; }
    uint64_t length(size_t stream) const override { return streams_[stream].length; }
    uint32_t start_us(size_t stream) const override { return streams_[stream].start_us; }
    Result<SignalChunk> read(size_t stream, uint64_t first, uint32_t max) override;
    int segment() const { return segment_; }
    // Of all streams, seconds.
    double longest_gap() const;

  private:
    struct Stream {
        int index = 0;  // in the session
        uint64_t length = 0;
        uint32_t start_us = 0;
        std::vector<RowRun> runs;  // of the segment, by counter
    };
    std::unique_ptr<SessionReader> reader_;
    int segment_ = 0;
    std::vector<StreamInfo> infos_;
    std::vector<Stream> streams_;
};

}  // namespace lockstep::app
