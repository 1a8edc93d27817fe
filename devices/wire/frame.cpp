#include "devices/wire/frame.h"

#include <string.h>

#include "dsp/base/crc32c.h"

namespace lockstep::wire {
namespace {

// COBS over a body that arrives in pieces, so that no copy of the body is needed.
class CobsEncoder {
  public:
    explicit CobsEncoder(MutableBytes out) : out_(out), at_(1) {}

    void put(uint8_t byte) {
        if (byte != 0) {
            out_[at_++] = byte;
            if (++code_ != 255) return;
        }
        close_group();
    }
    size_t finish() {
        out_[group_] = code_;
        out_[at_++] = 0;
        return at_;
    }

  private:
    void close_group() {
        out_[group_] = code_;
        group_ = at_++;
        code_ = 1;
    }

    MutableBytes out_;
    size_t at_;
    size_t group_ = 0;
    uint8_t code_ = 1;
};

// In place; returns the decoded length or SIZE_MAX for a code that points past the end.
size_t cobs_decode(Span<uint8_t> data) {
    size_t in = 0;
    size_t out = 0;
    while (in < data.size()) {
        const size_t code = data[in++];
        const size_t n = code - 1;
        if (code == 0 || n > data.size() - in) return SIZE_MAX;
        memmove(data.data() + out, data.data() + in, n);
        out += n;
        in += n;
        if (code != 255 && in < data.size()) data[out++] = 0;
    }
    return out;
}

}  // namespace

size_t encode_frame(uint8_t type, uint16_t sequence, Bytes payload, MutableBytes out) {
    if (payload.size() > kMaxPayload || out.size() < encoded_bound(payload.size())) return 0;
    const uint8_t head[3] = {type, uint8_t(sequence), uint8_t(sequence >> 8)};
    const uint32_t crc = crc32c(payload, crc32c(Bytes(head, 3)));
    CobsEncoder encoder(out);
    for (const uint8_t b : head)
        encoder.put(b);
    for (const uint8_t b : payload)
        encoder.put(b);
    for (int i = 0; i < 4; ++i)
        encoder.put(uint8_t(crc >> (8 * i)));
    return encoder.finish();
}

void Decoder::reset() {
    used_ = 0;
    skipping_ = false;
    have_sequence_ = false;
}

void Decoder::push(Bytes data, Sink sink, void* context) {
    counters_.bytes += data.size();
    const uint8_t* p = data.data();
    size_t left = data.size();
    while (left != 0) {
        const void* zero = memchr(p, 0, left);
        const size_t run = zero ? size_t(static_cast<const uint8_t*>(zero) - p) : left;
        if (!skipping_) {
            if (run > sizeof buffer_ - used_) {
                ++counters_.oversize;
                skipping_ = true;
                used_ = 0;
            } else {
                memcpy(buffer_ + used_, p, run);
                used_ += run;
            }
        }
        if (!zero) return;
        // An empty run between two delimiters is idle line, not an error.
        if (!skipping_ && used_ != 0) finish(Span<uint8_t>(buffer_, used_), sink, context);
        skipping_ = false;
        used_ = 0;
        p += run + 1;
        left -= run + 1;
    }
}

void Decoder::finish(Span<uint8_t> encoded, Sink sink, void* context) {
    const size_t size = cobs_decode(encoded);
    if (size == SIZE_MAX || size < kFrameOverhead || size > kMaxBody) {
        ++counters_.bad_cobs;
        return;
    }
    const uint8_t* body = encoded.data();
    const uint8_t* tail = body + size - 4;
    const uint32_t stated =
        uint32_t(tail[0]) | uint32_t(tail[1]) << 8 | uint32_t(tail[2]) << 16 | uint32_t(tail[3]) << 24;
    if (crc32c(Bytes(body, size - 4)) != stated) {
        ++counters_.bad_crc;
        return;
    }
    FrameView frame;
    frame.type = body[0];
    frame.sequence = uint16_t(body[1] | body[2] << 8);
    frame.payload = Bytes(body + 3, size - kFrameOverhead);
    if (have_sequence_) counters_.lost_frames += uint16_t(frame.sequence - next_sequence_);
    have_sequence_ = true;
    next_sequence_ = uint16_t(frame.sequence + 1);
    ++counters_.frames;
    sink(context, frame);
}

}  // namespace lockstep::wire
