// Where an importer puts what it reads: a new session with one device, whose clock is the session's.
// An importer describes the device once, then appends samples per stream in order; streams of
// different rates need not advance together.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/export.h"
#include "storage/formats/formats.h"

namespace lockstep {

class ImportSink {
  public:
    // `source`: what is read, for the provenance.
    ImportSink(std::string source, std::string session, const ImportOptions& options,
               storage::CreateSession create);
    ~ImportSink();
    ImportSink(const ImportSink&) = delete;
    ImportSink& operator=(const ImportSink&) = delete;

    // Once, before anything else. `start_utc_ns`: session time 0, 0 = unknown. `classes` may be empty.
    Status begin(const std::string& board, int64_t start_utc_ns, std::vector<StreamInfo> streams,
                 std::vector<LabelClass> classes = {});
    // Before begin(): the file tells its mains frequency. What the user said goes first.
    void mains(double hz) {
        if (options_.mains_hz == 0) options_.mains_hz = hz;
    }
    bool begun() const { return writer_ != nullptr; }
    // Samples [count][channels] of a stream; the first one at `time` seconds (>= 0). Written in blocks;
    // a stream's calls must be in time order. Counters follow from the calls: use gap() for lost samples.
    Status samples(int stream, double time, const std::vector<int32_t>& counts);
    // `missing` samples of the stream never came.
    Status gap(int stream, uint64_t missing);
    uint64_t next(int stream) const { return streams_[size_t(stream)].next; }
    // A point when stop <= start.
    Status label(double start, double stop, const std::string& label_class, const std::string& note = {},
                 int stream = -1, int channel = -1);
    void note(const std::string& text) { notes_.push_back(text); }
    // Clears the way for a clock with jumps: what follows is a new segment.
    Status restart(double time, const std::string& reason);

    // Called by import_session.
    Status finish();
    std::vector<std::string> notes() const { return notes_; }

  private:
    struct Stream {
        StreamInfo info;
        uint64_t next = 0;
        uint64_t received = 0;
        uint64_t segment_received = 0;
        uint16_t sequence = 0;
    };
    Status append(Event event);
    void start_segment(double time, const std::string& reason);
    void end_segment(double time, const std::string& reason);
    void clock(double time);
    int64_t host_ns(double time) const;

    std::string source_;
    std::string session_;
    ImportOptions options_;
    storage::CreateSession create_;
    std::unique_ptr<SessionWriter> writer_;
    DeviceInfo device_;
    std::vector<Stream> streams_;
    int segment_ = -1;
    double end_ = 0;
    double last_clock_ = 0;
    uint64_t labels_ = 0;
    uint64_t appended_ = 0;
    std::vector<std::string> notes_;
};

}  // namespace lockstep
