// The session file's tables and names, shared by its writer and its readers. The layout as a document
// is docs/file_format.md; a change here is a change there, and of kFormatVersion when an older reader
// would misread the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "acquisition/event.h"
#include "storage/h5.h"

namespace lockstep::storage {

constexpr char kFormat[] = "lockstep-session";
constexpr uint32_t kFormatVersion = 2;  // a reader refuses greater ones
constexpr uint32_t kLevels[] = {64, 512, 4096, 32768};
constexpr uint16_t kFlagDiscontinuity = 1;

// Rows are written as they lie in memory (little-endian, packed). `order` numbers all events of the
// session, over all tables, in the order they were received.
#pragma pack(push, 1)
struct BlockRow {
    uint64_t order, row, first;
    uint32_t count;
    int32_t segment;
    uint64_t device_us;
    int64_t host_ns;
    uint16_t sequence, flags;
};
struct GapRow {
    uint64_t order, row, first, missing;
    int32_t segment;
    uint8_t cause;
    int64_t host_ns;
};
struct RunRow {
    uint64_t row, count, first, device_us;
    int64_t host_ns;  // arrival
    double time;      // session seconds of `row`, through the clock fit
    int32_t segment;
};
struct ClockRow {
    uint64_t order;
    int32_t device, segment;
    int64_t sent_ns;
    uint64_t device_received_us, device_sent_us;
    int64_t received_ns;
};
struct HealthRow {
    uint64_t order;
    int32_t device;
    int64_t host_ns;
    uint64_t uptime_us;
    uint16_t tx_queue_high, rx_queue_high;
    uint32_t stack_size, stack_high, bad_frames, late_samples, windows_skipped;
    uint8_t streams;
    uint32_t produced[wire::kMaxStreams], dropped[wire::kMaxStreams];
};
struct PredictionRow {
    uint64_t order;
    uint32_t window;
    int32_t segment, model;
    char plan_id[64];
    uint32_t input_hash, output_hash;
    uint8_t cost_kind;
    uint32_t cost;
    uint64_t device_us;
    int64_t host_ns;
};
struct VerdictRow {
    uint64_t order;
    int32_t segment, model;
    uint32_t window;
    uint8_t verdict, difference;
    int32_t stage;
    char reason[160];
};
struct LinkRow {  // text: kind's words
    uint64_t order;
    int32_t device;
    uint8_t kind;
    uint64_t count;
    int64_t host_ns;
};
struct MarkerRow {  // text
    uint64_t order;
    int32_t device;
    uint64_t device_us;
    int64_t host_ns;
    uint32_t code;
};
struct LabelRow {  // class, source, note
    uint64_t id;
    double start, stop;
    int32_t stream, channel;
    double confidence;
};
struct HistoryRow {  // author, reason, and class, source, note of before and after
    uint64_t order, revision;
    uint8_t operation;
    int64_t utc_ns;
    LabelRow before, after;
};
struct ClassRow {  // name, color, hotkey, hed
    int32_t index;
};
struct ChannelRow {  // name, type, units
    double sampling_frequency;
    float scale, offset;
};
struct StepRow {  // utc, program, version, git_commit, params_json, input_sha256
    int64_t utc_ns;
};
#pragma pack(pop)

const std::vector<h5::Column>& columns(const BlockRow*);
const std::vector<h5::Column>& columns(const GapRow*);
const std::vector<h5::Column>& columns(const RunRow*);
const std::vector<h5::Column>& columns(const ClockRow*);
const std::vector<h5::Column>& columns(const HealthRow*);
const std::vector<h5::Column>& columns(const PredictionRow*);
const std::vector<h5::Column>& columns(const VerdictRow*);
const std::vector<h5::Column>& columns(const LinkRow*);
const std::vector<h5::Column>& columns(const MarkerRow*);
const std::vector<h5::Column>& columns(const LabelRow*);
const std::vector<h5::Column>& columns(const HistoryRow*);

template <typename Row>
h5::Id row_type() {
    return h5::compound(columns(static_cast<const Row*>(nullptr)), sizeof(Row));
}

// How a stream's samples lie in the file: int16, int32 (also 24 bit) or float32.
hid_t stored_type(SampleType type);
inline size_t stored_bytes(SampleType type) {
    return type == SampleType::int16 ? 2 : 4;
}

// A name that can stand in a path: no '/', not "." and not empty.
std::string path_name(const std::string& name);

std::string utc_text(int64_t utc_ns);  // "2026-01-02T03:04:05.123456Z"

// DeviceInfo as JSON: what the device said of itself at a segment's start. from_json throws h5::Failure.
std::string to_json(const DeviceInfo& info);
DeviceInfo device_from_json(const std::string& text);

}  // namespace lockstep::storage
