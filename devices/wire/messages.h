// The messages between a board and the desktop (docs/protocol.md). One plain struct per message;
// encode() writes its payload, decode() checks every bound and returns false for anything malformed.
// Trailing bytes a newer sender added are ignored; unknown types are skipped by both sides.
// Floor 1: freestanding, no heap; variable parts are views into the caller's memory.
#pragma once

#include "dsp/base/bytes.h"
#include "dsp/base/code.h"
#include "dsp/base/sample.h"

namespace lockstep::wire {

constexpr uint8_t kProtocolMajor = 1;    // another major refuses to talk, politely (Code::unsupported)
constexpr uint8_t kProtocolMinor = 0;    // another minor talks; unknown messages and fields are skipped
constexpr uint32_t kMagic = 0x54534B4C;  // "LKST", first field of both hellos

// Limits of one frame, not of a device: a stream's channels are described in as many pages as needed.
constexpr size_t kNameSize = 24;  // with the terminator
constexpr size_t kUnitSize = 12;
constexpr size_t kKindSize = 12;
constexpr size_t kMaxChannels = 256;
constexpr size_t kMaxStreams = 32;
constexpr size_t kMaxModels = 8;
constexpr size_t kMaxModelInputs = 4;
constexpr size_t kMaxScores = 64;
constexpr size_t kMaxStages = 96;
constexpr size_t kMarkerText = 48;
constexpr size_t kMaxStoredModels = 16;  // plans that a device lists: built in and pushed
constexpr size_t kModelChunk = 1024;     // bytes of a plan in one message, at most

enum class Type : uint8_t {
    // device -> host
    hello = 0x01,
    stream_info = 0x02,
    model_info = 0x03,
    data = 0x10,
    prediction = 0x11,
    health = 0x12,
    marker = 0x13,
    heartbeat = 0x14,
    ack = 0x20,
    // host -> device; every one carries a tag that its ack repeats
    hello_request = 0x80,
    start = 0x81,
    stop = 0x82,
    configure = 0x83,
    ping = 0x84,
    stages = 0x85,
    describe_stream = 0x86,
    describe_model = 0x87,
    host_heartbeat = 0x88,
    host_marker = 0x89,
    // 0x90-0x9F: model transfer, chunked, resumable, flow-controlled
    model_begin = 0x90,
    model_chunk = 0x91,
    model_commit = 0x92,
    model_list = 0x93,
    model_activate = 0x94,
    model_rollback = 0x95,
    // 0xC0-0xCF: injection (devices/wire/injection.h), on its own port only
};

enum class CostKind : uint8_t { none = 0, cycles = 1, instructions = 2, host_us = 3 };
enum class ResetCause : uint8_t { unknown = 0, power_on = 1, software = 2, watchdog = 3, external = 4 };

// Answer to hello_request; also sent unasked after boot and whenever the stream table changes.
struct Hello {
    uint8_t major = kProtocolMajor;
    uint8_t minor = kProtocolMinor;
    uint64_t boot_id = 0;  // seeded by the first host nonce after boot; 0 = no nonce yet
    uint8_t build_id[8] = {};
    char board[kNameSize] = {};
    char firmware[kNameSize] = {};
    uint8_t streams = 0;
    uint8_t models = 0;
    uint16_t max_payload = 0;  // of frames towards the device
    uint64_t device_us = 0;
    ResetCause reset_cause = ResetCause::unknown;
    bool running = false;
    uint8_t epoch = 0;  // counts STARTs since boot; data of another epoch is stale
    CostKind cost_kind = CostKind::none;
};

struct ChannelDescription {
    char name[kNameSize] = {};
    char unit[kUnitSize] = {};
    float scale = 1;  // physical = count * scale + offset
    float offset = 0;
};

// One page of a stream's description: channels [first_channel, first_channel + page_channels).
struct StreamDescription {
    uint8_t stream = 0;
    char name[kNameSize] = {};  // unique on the device
    char kind[kKindSize] = {};  // "eeg", "gsr", "imu", "ppg", "temperature" ...; free, lower case
    SampleType type = SampleType::int16;
    uint16_t channels = 0;
    uint32_t rate_num = 0;  // Hz as a fraction; the actual rate, not the wish
    uint32_t rate_den = 1;
    uint16_t batch = 1;  // samples per data frame
    bool enabled = true;
    uint16_t first_channel = 0;
    uint16_t page_channels = 0;
};
constexpr size_t kPageChannels = 24;  // at most, so that a page fits any frame

struct ModelDescription {
    uint8_t model = 0;
    uint8_t plan_id[32] = {};  // SHA-256 of the plan
    char name[kNameSize] = {};
    uint8_t inputs = 0;
    uint8_t input_stream[kMaxModelInputs] = {};  // which stream feeds input i; 255 = not bound
    bool active = false;
    uint8_t stages = 0;
};

constexpr uint8_t kDataDiscontinuity = 1;  // samples were lost before the frame, on the device itself

struct Data {
    uint8_t stream = 0;
    uint8_t flags = 0;
    uint8_t epoch = 0;
    uint16_t count = 0;    // samples per channel
    uint32_t first = 0;    // sample counter since START, wraps at 2^32
    uint64_t time_us = 0;  // device time of the first sample
    Bytes samples;         // packed as the stream's type, interleaved [count][channels]
};
constexpr size_t kDataHeader = 1 + 1 + 1 + 2 + 4 + 8;

struct Prediction {
    uint8_t model = 0;
    uint8_t epoch = 0;
    uint8_t plan_id[8] = {};  // first bytes of the plan's SHA-256
    uint32_t window = 0;      // k
    uint64_t time_us = 0;     // device time when the result was ready
    uint8_t inputs = 0;
    uint32_t first[kMaxModelInputs] = {};  // first sample index of each input's window
    uint32_t input_hash = 0;               // of the quantised input (or the features, without a network)
    uint32_t output_hash = 0;
    CostKind cost_kind = CostKind::none;
    uint32_t cost = 0;
    uint8_t scores_count = 0;
    float scores[kMaxScores] = {};
};

struct StreamHealth {
    uint32_t produced = 0;  // samples since START, delivered or not
    uint32_t dropped = 0;   // never sent: ring or transmit queue full
};
struct Health {
    uint64_t uptime_us = 0;
    uint16_t tx_queue_high = 0;  // percent
    uint16_t rx_queue_high = 0;  // percent
    uint32_t stack_size = 0;
    uint32_t stack_high = 0;    // bytes used at most
    uint32_t bad_frames = 0;    // damaged frames received from the host
    uint32_t late_samples = 0;  // released after their due time
    uint32_t windows_skipped = 0;
    uint8_t streams = 0;
    StreamHealth stream[kMaxStreams];
};

struct Marker {
    uint64_t time_us = 0;
    uint32_t code = 0;
    char text[kMarkerText] = {};
};

struct Heartbeat {
    uint64_t device_us = 0;
    uint8_t epoch = 0;
    bool running = false;
};

// Answer to every command. `detail` holds the command's own reply, see the Reply structs.
struct Ack {
    uint8_t command = 0;  // the Type it answers
    uint16_t tag = 0;
    Code code = Code::ok;
    Bytes detail;
};

struct HelloRequest {
    uint16_t tag = 0;
    uint8_t major = kProtocolMajor;
    uint8_t minor = kProtocolMinor;
    uint64_t nonce = 0;
};
// START resets all sample counters and models and begins a new epoch. Detail: StartReply.
struct Command {  // start, stop, model_commit, model_list, model_rollback
    uint16_t tag = 0;
};
struct StartReply {
    uint8_t epoch = 0;
    uint64_t device_us = 0;
};
// Sent after the last data frame of the epoch. One entry per stream, in order.
struct StopReply {
    uint8_t epoch = 0;
    uint8_t streams = 0;
    StreamHealth stream[kMaxStreams];
};
struct Configure {
    uint16_t tag = 0;
    uint8_t stream = 0;
    bool enabled = true;
    uint32_t rate_num = 0;  // 0 = leave
    uint32_t rate_den = 1;
    uint16_t batch = 0;  // 0 = leave
};
// Detail of configure's ack: what the stream now does.
struct ConfigureReply {
    uint8_t stream = 0;
    bool enabled = true;
    uint32_t rate_num = 0;
    uint32_t rate_den = 1;
    uint16_t batch = 1;
};
struct Ping {
    uint16_t tag = 0;
    uint64_t host_ns = 0;  // t1, returned unchanged
};
struct PingReply {
    uint64_t host_ns = 0;         // t1
    uint64_t received_us = 0;     // t2: device time when the ping's last byte was taken from the line
    uint64_t transmitted_us = 0;  // t3: device time when the reply was queued
};
struct StagesRequest {
    uint16_t tag = 0;
    uint8_t model = 0;
    uint32_t window = 0;
};
// Hashes of every named stage of one window, in the plan's stage order.
struct StagesReply {
    uint8_t model = 0;
    uint32_t window = 0;
    uint8_t count = 0;
    uint32_t hash[kMaxStages] = {};
};
struct Describe {  // describe_stream (index, first_channel) and describe_model (index)
    uint16_t tag = 0;
    uint8_t index = 0;
    uint16_t first_channel = 0;
};
struct HostMarker {
    uint16_t tag = 0;
    uint32_t code = 0;
    char text[kMarkerText] = {};
};

// Why a device does not take a plan; it goes on with those it has.
enum class ModelRefusal : uint8_t {
    none = 0,
    incomplete = 1,  // bytes are missing
    hash = 2,        // the bytes do not have the id they were announced with
    not_signed = 3,  // this device takes signed plans only
    signature = 4,   // not signed by the key that this device trusts
    malformed = 5,   // not a plan: an offset, a bound or the checksum is wrong
    version = 6,     // of a newer format
    operators = 7,   // an operator, or a layout of its weights, that this firmware does not have
    memory = 8,      // too large to run beside the others
    streams = 9,     // no stream of the device fits one of its inputs
    places = 10,     // as many models run as the device has places for
    not_there = 11,  // no such plan, or nothing to go back to
};

// Announces a plan; the answer says from where on its bytes are wanted: not from 0 after an interrupted
// transfer.
struct ModelBegin {
    uint16_t tag = 0;
    uint8_t plan_id[32] = {};  // SHA-256 of the plan
    uint32_t size = 0;
    bool has_signature = false;
    uint8_t signature[64] = {};  // Ed25519, of "lockstep plan 1" 0 and the id
};
struct ModelBeginReply {
    uint32_t next = 0;   // of the plan, the byte that is wanted next; = size: all are there
    uint16_t chunk = 0;  // bytes of one chunk, at most; one chunk at a time is under way
};
struct ModelChunk {
    uint16_t tag = 0;
    uint32_t offset = 0;
    Bytes bytes;
};
struct ModelChunkReply {
    uint32_t next = 0;
};
// Detail of the acks of commit, activate and rollback when they refuse, and of commit always.
struct ModelVerdict {
    ModelRefusal reason = ModelRefusal::none;
    uint32_t bytes = 0;  // memory: how much it needs
};
struct ModelSelect {  // activate
    uint16_t tag = 0;
    uint8_t plan_id[32] = {};
};
struct StoredModel {
    uint8_t plan_id[32] = {};
    char name[kNameSize] = {};
    uint32_t size = 0;
    bool built_in = false;
    bool previous = false;  // what rollback goes back to
    uint8_t place = 255;    // model number while it runs
};
struct ModelList {
    uint32_t largest = 0;  // plan that the device can store
    bool signed_only = true;
    uint8_t count = 0;
    StoredModel model[kMaxStoredModels];
};
// Detail of the acks of activate and rollback. Data and predictions after this ack are of the new models.
struct ModelChange {
    uint8_t epoch = 0;
    bool running = false;
    uint64_t device_us = 0;
    uint8_t models = 0;        // how many there are now
    ModelDescription changed;  // valid when changed.model < models
};

// The payload's length in `out`, 0 when it does not fit. For every message of this header and of injection.h;
// a stream's description goes with one page of its channels.
template <typename Message>
size_t encode(const Message& message, MutableBytes out);
size_t encode(const StreamDescription& stream, Span<const ChannelDescription> page, MutableBytes out);

// false, and `out` in an unspecified but valid state, when the payload is malformed: too short, a count past
// its limit, a sample type or enumeration that does not exist, a rate of zero, a scale that is not finite.
// The length of Data's samples is checked by the caller, who knows the stream. `page` must hold
// kPageChannels.
template <typename Message>
bool decode(Bytes payload, Message* out);
bool decode(Bytes payload, StreamDescription* out, Span<ChannelDescription> page);

}  // namespace lockstep::wire
