// Little-endian cursors over caller-owned memory. Both remember the first overrun instead of
// reporting each one, so that a codec reads straight down and is checked once at its end.
#pragma once

#include <string.h>

#include "dsp/base/span.h"

namespace lockstep {

class ByteWriter {
  public:
    explicit ByteWriter(MutableBytes out) : out_(out) {}

    void u8(uint8_t v) { put(v, 1); }
    void u16(uint16_t v) { put(v, 2); }
    void u32(uint32_t v) { put(v, 4); }
    void u64(uint64_t v) { put(v, 8); }
    void f32(float v) {
        uint32_t bits;
        memcpy(&bits, &v, 4);
        u32(bits);
    }
    void bytes(Bytes data) {
        if (!room(data.size())) return;
        if (!data.empty()) memcpy(out_.data() + at_, data.data(), data.size());
        at_ += data.size();
    }
    // One length byte, then the characters; longer than 255 is cut.
    void text(const char* s) {
        size_t n = strlen(s);
        if (n > 255) n = 255;
        u8(uint8_t(n));
        bytes(Bytes(reinterpret_cast<const uint8_t*>(s), n));
    }

    bool ok() const { return ok_; }
    size_t size() const { return at_; }
    Bytes written() const { return Bytes(out_.data(), at_); }

  private:
    bool room(size_t n) {
        if (out_.size() - at_ < n) ok_ = false;
        return ok_;
    }
    void put(uint64_t v, size_t n) {
        if (!room(n)) return;
        for (size_t i = 0; i < n; ++i)
            out_[at_ + i] = uint8_t(v >> (8 * i));
        at_ += n;
    }

    MutableBytes out_;
    size_t at_ = 0;
    bool ok_ = true;
};

class ByteReader {
  public:
    explicit ByteReader(Bytes in) : in_(in) {}

    uint8_t u8() { return uint8_t(get(1)); }
    uint16_t u16() { return uint16_t(get(2)); }
    uint32_t u32() { return uint32_t(get(4)); }
    uint64_t u64() { return get(8); }
    float f32() {
        const uint32_t bits = u32();
        float v;
        memcpy(&v, &bits, 4);
        return v;
    }
    Bytes bytes(size_t n) {
        if (!have(n)) return {};
        const Bytes out = in_.subspan(at_, n);
        at_ += n;
        return out;
    }
    // Fills `out` (size >= 1) with a terminated string; what does not fit is cut, not an error.
    void text(char* out, size_t size) {
        const Bytes s = bytes(u8());
        const size_t n = s.size() < size - 1 ? s.size() : size - 1;
        if (n != 0) memcpy(out, s.data(), n);
        out[n] = 0;
    }

    bool ok() const { return ok_; }
    size_t left() const { return in_.size() - at_; }
    Bytes rest() const { return in_.subspan(at_); }

  private:
    bool have(size_t n) {
        if (in_.size() - at_ < n) ok_ = false;
        return ok_;
    }
    uint64_t get(size_t n) {
        if (!have(n)) return 0;
        uint64_t v = 0;
        for (size_t i = 0; i < n; ++i)
            v |= uint64_t(in_[at_ + i]) << (8 * i);
        at_ += n;
        return v;
    }

    Bytes in_;
    size_t at_ = 0;
    bool ok_ = true;
};

}  // namespace lockstep
