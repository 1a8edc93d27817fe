// Everything that happens in a session, as values that flow one way: driver -> DeviceSession -> Hub ->
// sinks. Events are cheap to copy (blocks are shared) and never change once published.
// Clocks: host_ns is CLOCK_MONOTONIC-like nanoseconds of this computer (std::chrono::steady_clock);
// device_us is the device's own microseconds since its boot.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "acquisition/stream.h"
#include "devices/wire/messages.h"

namespace lockstep {

// A device's counters were reset and its self-description holds from here on. `streams[i]` is the
// session-wide stream index of the device's stream i.
struct SegmentStarted {
    int segment = 0;
    int device = 0;
    uint8_t epoch = 0;
    int64_t host_ns = 0;
    std::string reason;  // "start", "reboot", "model changed", "joined"
    DeviceInfo info;
    std::vector<int> streams;
};

struct SegmentEnded {
    int segment = 0;
    int64_t host_ns = 0;
    std::string reason;                    // "stop", "reboot", "link lost", "model changed"
    bool counted = false;                  // the device stated its final counters
    std::vector<wire::StreamHealth> sent;  // per device-local stream, when counted
};

struct Block {
    int stream = 0;
    int segment = 0;
    uint64_t first = 0;      // sample counter since the segment's start, unwrapped
    uint64_t device_us = 0;  // of the first sample
    int64_t host_ns = 0;     // when the frame's last byte was read
    uint16_t sequence = 0;   // of the frame
    bool discontinuity = false;
    uint32_t count = 0;
    uint16_t channels = 0;
    std::vector<int32_t> counts;  // [count][channels]; float32 streams hold bits

    BlockView view() const {
        return {first,    device_us,     count,
                channels, discontinuity, Span<const int32_t>(counts.data(), counts.size())};
    }
};

enum class GapCause : uint8_t { link = 1, device = 2, host = 3 };

// Samples [first, first + missing) of a stream's segment never came.
struct Gap {
    int stream = 0;
    int segment = 0;
    uint64_t first = 0;
    uint64_t missing = 0;
    GapCause cause = GapCause::link;
    int64_t host_ns = 0;
};

enum class Origin : uint8_t { device = 1, host = 2 };

struct Prediction {
    Origin origin = Origin::host;
    int segment = 0;
    int model = 0;        // index into the session's models (see ModelStore)
    std::string plan_id;  // device: first 16 hex digits, host: 64
    uint32_t window = 0;
    std::vector<uint64_t> first;  // per input
    uint32_t input_hash = 0;
    uint32_t output_hash = 0;
    std::vector<float> scores;
    wire::CostKind cost_kind = wire::CostKind::none;
    uint32_t cost = 0;
    uint64_t device_us = 0;        // device: when ready; host: time of the window's last primary sample
    int64_t host_ns = 0;           // received (device) or computed (host)
    std::vector<uint32_t> stages;  // host only: every stage hash in plan order
};

// One four-stamp ping.
struct ClockObservation {
    int device = 0;
    int segment = 0;
    int64_t sent_ns = 0;
    uint64_t device_received_us = 0;
    uint64_t device_sent_us = 0;
    int64_t received_ns = 0;
};

struct HealthReport {
    int device = 0;
    int64_t host_ns = 0;
    wire::Health health;
};

enum class LinkEventKind : uint8_t {
    connected = 1,
    lost = 2,
    reconnected = 3,
    damaged = 4,
    rebooted = 5,
    overrun = 6,
    refused = 7,
    note = 8
};

struct LinkEvent {
    int device = 0;
    LinkEventKind kind = LinkEventKind::note;
    uint64_t count = 0;  // damaged frames, overrun samples
    int64_t host_ns = 0;
    std::string text;
};

struct DeviceMarker {
    int device = 0;
    uint64_t device_us = 0;
    int64_t host_ns = 0;
    uint32_t code = 0;
    std::string text;
};

enum class Verdict : uint8_t { same = 1, different = 2, lost = 3, outside = 4 };
enum class Difference : uint8_t { none = 0, samples = 1, plan = 2, settings = 3, arithmetic = 4 };

// What became of one expected window of one model; published once per window.
struct WindowVerdict {
    int segment = 0;
    int model = 0;
    uint32_t window = 0;
    Verdict verdict = Verdict::same;
    Difference difference = Difference::none;
    int stage = -1;      // first stage that differs, when located
    std::string reason;  // "samples 1200-1209 of imu lost on the link", "warming up", ...
};

// One edit of a label, as LabelTrack::apply made it final (acquisition/label_track.h).
struct Label {
    uint64_t id = 0;
    double start = 0;  // seconds from the session's start
    double stop = 0;   // half-open; == start for a point
    int stream = -1;   // -1: all
    int channel = -1;  // -1: all of the stream
    std::string label_class;
    std::string source = "person";  // "person", "script", "model", "import"
    double confidence = 1;
    std::string note;
};
enum class LabelOperation : uint8_t { add = 1, change = 2, remove = 3 };
struct LabelEdit {
    LabelOperation operation = LabelOperation::add;
    Label before;  // change, remove
    Label after;   // add, change
    std::string author;
    std::string reason;     // "", "undo", "redo", "import"
    int64_t utc_ns = 0;     // set by apply
    uint64_t revision = 0;  // set by apply: 1, 2, 3 ...
};

using Event = std::variant<SegmentStarted, SegmentEnded, std::shared_ptr<const Block>, Gap, Prediction,
                           ClockObservation, HealthReport, LinkEvent, DeviceMarker, WindowVerdict, LabelEdit>;

}  // namespace lockstep
