// The contracts between a session and its file, implemented in storage/.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "acquisition/error.h"
#include "acquisition/event.h"

namespace lockstep {

// What is known before the first sample. Personal data only when the user gave it.
struct SessionHeader {
    std::string identifier;  // UUID
    int64_t start_utc_ns = 0;
    int64_t start_host_ns = 0;  // session time 0 on the host's steady clock
    std::string software;       // "lockstep 0.1.0"
    std::string git_commit;
    std::string subject;  // pseudonym, may be empty
    std::string task;
    bool composite = false;                       // streams joined from several people
    double mains_hz = 0;                          // 50 or 60; 0 = nobody said
    std::map<std::string, std::string> settings;  // provenance: command line, URIs, baud ...
};

// A plan used by the host in this session; its bytes are stored so that `compare` needs no other file.
struct SessionModel {
    std::string name;
    std::string plan_id;  // 64 hex digits
    std::vector<uint8_t> plan;
};

struct LabelClass {
    std::string name;
    std::string color;  // "#rrggbb"
    char hotkey = 0;    // '1'-'9', 0 = none
    std::string hed;
};

struct WriterStatistics {
    uint64_t events = 0;
    uint64_t samples = 0;
    uint64_t bytes = 0;           // journal + HDF5 so far
    uint64_t dropped_events = 0;  // queue full: reported loss, also stored as gaps
    double seconds_to_full = -1;  // forecast from the current rate, -1 = unknown
    bool full = false;            // only the space kept for the end is left: end the recording now
    std::string warning;          // "" or words for a person
};

// A session being written. append() never blocks on a disk: it queues for the one storage thread.
// Any thread.
class SessionWriter {
  public:
    virtual ~SessionWriter() = default;
    virtual void append(Event event) = 0;
    // Latest failure of the storage thread, once; the recording goes on in the journal if it can.
    virtual std::optional<Error> take_error() = 0;
    virtual WriterStatistics statistics() const = 0;
    // Drains, finalises, verifies, renames into place. The path of the finished file.
    virtual Result<std::string> finish() = 0;
};

struct WriterOptions {
    std::string path;  // NAME.h5; must not exist
    SessionHeader header;
    std::vector<SessionModel> models;
    std::vector<LabelClass> classes;
};

// Segment as stored.
struct SegmentInfo {
    SegmentStarted started;
    std::optional<SegmentEnded> ended;
};

struct MinMax {
    int32_t min = 0;
    int32_t max = 0;
};

// A run of rows without a gap inside: stored row <-> sample counter <-> device time.
struct RowRun {
    uint64_t row = 0;
    uint64_t count = 0;
    int segment = 0;
    uint64_t first = 0;      // sample counter of `row`
    uint64_t device_us = 0;  // of `row`
    double time = 0;         // session seconds of `row`, through the clock map
};

struct SessionStream {
    StreamInfo info;
    int device = 0;
    uint64_t rows = 0;
    double rate_measured = 0;
    std::vector<RowRun> runs;
    std::vector<Gap> gaps;
};

struct ClockFit {
    int device = 0;
    double offset_ms = 0;  // device time 0 on the session's clock
    double drift_ppm = 0;
    double error_ms = 0;  // standard error
};

// A finished (or recovered) session. Thread: one caller at a time.
class SessionReader {
  public:
    virtual ~SessionReader() = default;
    virtual const std::string& path() const = 0;
    virtual const SessionHeader& header() const = 0;
    virtual const std::string& state() const = 0;  // "recording", "recovered", "final"
    virtual double duration() const = 0;           // seconds
    virtual const std::vector<SegmentInfo>& segments() const = 0;
    virtual const std::vector<SessionStream>& streams() const = 0;
    virtual const std::vector<SessionModel>& models() const = 0;
    virtual const std::vector<LabelClass>& classes() const = 0;
    virtual const std::vector<ClockFit>& clocks() const = 0;
    // Rows [row, row + count) of a stream, interleaved [count][channels].
    virtual Status read(int stream, uint64_t row, uint64_t count, int32_t* out) = 0;
    // Stored min/max pyramid: `out` gets one entry per bin of `bin` rows (a stored level: 64, 512, ...).
    virtual const std::vector<uint32_t>& overview_levels() const = 0;
    virtual Status read_overview(int stream, uint32_t bin, uint64_t first_bin, uint64_t bins,
                                 MinMax* out) = 0;  // [bins][channels]
    virtual Result<std::vector<LabelEdit>> label_history() = 0;
    virtual Result<std::vector<Prediction>> predictions() = 0;
    virtual Result<std::vector<WindowVerdict>> verdicts() = 0;
    virtual Result<std::vector<LinkEvent>> link_events() = 0;
    virtual Result<std::vector<ClockObservation>> clock_observations() = 0;
    virtual Result<std::vector<HealthReport>> health() = 0;
    // Everything in the order it was received: what a live session published, blocks as they were framed.
    // The visitor returns false to end early.
    virtual Status replay(const std::function<bool(const Event&)>& visit) = 0;
};

// Edits the labels of a closed session with the crash safety of a recording.
class LabelEditor {
  public:
    virtual ~LabelEditor() = default;
    virtual Status append(const LabelEdit& edit) = 0;  // durable on return
    virtual Status append_class(const LabelClass& label_class) = 0;
};

}  // namespace lockstep
