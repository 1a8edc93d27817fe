// Injection: recorded raw counts into the firmware's `injected` sensor, over a port of its own or through
// mapped memory (docs/virtual_board.md). Same frames as the link, other message types.
//
//   injector                       device
//                             <-   ready(not_ready)     after boot: no table
//   begin, stream pages, commit ->
//                             <-   ready(ok, run)       table adopted; send every stream from sample 0
//                             <-   credit(run, limits)  whenever room came free
//   samples / gap / end (run) ->
//
// The device asks for a new run (another `ready`) whenever its own START needs the signals from the
// beginning again; messages of an older run are ignored. Samples wait on the device and are released when
// they are due: sample i at origin + start_us + i / rate, all streams from one origin.
// Floor 1: freestanding, no heap.
#pragma once

#include "devices/wire/messages.h"

namespace lockstep::wire {

enum class InjectType : uint8_t {
    // injector -> device
    begin = 0xC0,
    stream = 0xC1,
    commit = 0xC2,
    samples = 0xC3,
    gap = 0xC4,
    end = 0xC5,
    reset = 0xC6,  // no payload: forget the table, the synthetic sensor takes over
    // device -> injector
    ready = 0xC8,
    credit = 0xC9,
};

// Begins a new table and ends the old one.
struct InjectBegin {
    uint8_t streams = 0;
    uint32_t speed_permille = 1000;  // signal seconds per device second
};
// One page of one stream, as in stream_info; batch 1 leaves the choice to the device. Stamps run in signal
// time, at any speed.
struct InjectStream {
    uint32_t start_us = 0;  // sample 0 is due this long after the origin
    StreamDescription description;
};
// InjectType::commit has no payload.
struct InjectSamples {
    uint8_t run = 0;
    uint8_t stream = 0;
    uint32_t first = 0;
    uint16_t count = 0;
    Bytes samples;  // packed [count][channels]
};
// Samples [first, first + count) are lost as a sensor loses them: the counter goes on without them and
// the next frame says so.
struct InjectGap {
    uint8_t run = 0;
    uint8_t stream = 0;
    uint32_t first = 0;
    uint32_t count = 0;
};
// The stream ends before sample `total`.
struct InjectEnd {
    uint8_t run = 0;
    uint8_t stream = 0;
    uint32_t total = 0;
};
struct InjectReady {
    Code code = Code::ok;  // not_ready: send a table; anything else but ok: the table was refused
    uint8_t run = 0;
    uint8_t epoch = 0;
    bool running = false;
};
struct InjectCredit {
    uint8_t run = 0;
    uint8_t streams = 0;
    uint32_t limit[kMaxStreams] = {};  // samples with an index below fit
};

// As in messages.h, which declares the other messages' encode() and decode().
size_t encode(const InjectStream& stream, Span<const ChannelDescription> page, MutableBytes out);
bool decode(Bytes payload, InjectStream* out, Span<ChannelDescription> page);

// The mapped form: two byte rings in memory that device and host share, carrying the same frames.
// Counters run freely; `used = head - tail`. The device clears the header at boot and writes `magic` last.
struct MappedHeader {
    uint32_t magic;           // kMappedMagic
    uint32_t size;            // bytes of each ring, a power of two
    uint32_t to_device_head;  // written by the host
    uint32_t to_device_tail;  // written by the device
    uint32_t to_host_head;    // written by the device
    uint32_t to_host_tail;    // written by the host
};
constexpr uint32_t kMappedMagic = 0x504D4B4C;  // "LKMP"
constexpr size_t kMappedToDevice = 4096;       // offset of the ring towards the device
constexpr size_t kMappedRing = 1 << 20;
constexpr size_t kMappedToHost = kMappedToDevice + kMappedRing;

}  // namespace lockstep::wire
