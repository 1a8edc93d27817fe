// Frames on a byte stream: COBS between zero bytes, CRC-32C inside (docs/protocol.md).
//
//   body  = type u8 | sequence u16 | payload ... | crc32c u32      little-endian, crc over all before it
//   line  = cobs(body) 0x00
//
// COBS: Cheshire & Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM ToN 7(2), 1999.
#pragma once

#include "dsp/base/span.h"

namespace lockstep::wire {

constexpr size_t kMaxPayload = 2048;
constexpr size_t kFrameOverhead = 1 + 2 + 4;  // type, sequence, crc
constexpr size_t kMaxBody = kMaxPayload + kFrameOverhead;
// COBS adds one byte per started 254, the delimiter one more.
constexpr size_t encoded_bound(size_t payload) {
    const size_t body = payload + kFrameOverhead;
    return body + body / 254 + 2;
}
constexpr size_t kMaxEncoded = encoded_bound(kMaxPayload);

struct FrameView {
    uint8_t type = 0;
    uint16_t sequence = 0;  // counts the sender's frames of all types; a jump is a lost frame
    Bytes payload;          // valid during the callback only
};

// Writes one encoded frame with its closing delimiter; returns its length, 0 when `out` is too small
// or the payload too long. REQUIRES: out does not overlap payload.
size_t encode_frame(uint8_t type, uint16_t sequence, Bytes payload, MutableBytes out);

// Cuts frames out of a byte stream that may be damaged anywhere. After any damage it resynchronises
// at the next zero byte. Never reads by itself; memory is bounded by its own buffer.
// Thread: one caller at a time.
class Decoder {
  public:
    using Sink = void (*)(void* context, const FrameView& frame);

    struct Counters {
        uint64_t bytes = 0;
        uint64_t frames = 0;       // good ones
        uint64_t bad_crc = 0;      // well-formed COBS, wrong checksum
        uint64_t bad_cobs = 0;     // impossible code or shorter than a frame
        uint64_t oversize = 0;     // no delimiter within kMaxEncoded bytes
        uint64_t lost_frames = 0;  // jumps of the sequence number
        uint64_t damaged() const { return bad_crc + bad_cobs + oversize; }
    };

    void push(Bytes data, Sink sink, void* context);
    // Forgets a partial frame and the last sequence number; the counters stay.
    void reset();
    const Counters& counters() const { return counters_; }

  private:
    void finish(Span<uint8_t> encoded, Sink sink, void* context);

    uint8_t buffer_[kMaxEncoded];
    size_t used_ = 0;
    bool skipping_ = false;  // inside a run longer than any frame
    bool have_sequence_ = false;
    uint16_t next_sequence_ = 0;
    Counters counters_;
};

}  // namespace lockstep::wire
