#include "storage/pack.h"

#include <zlib.h>

#include <cstring>
#include <memory>

namespace lockstep::storage {
namespace {

constexpr int kLevel = 4;
constexpr size_t kWindow = 32768;  // how far back a deflate match may reach

// What the HDF5 shuffle filter does: byte k of every element together.
void shuffle(Bytes in, size_t element, std::vector<uint8_t>* out) {
    const size_t n = in.size() / element;
    out->resize(in.size());
    for (size_t k = 0; k < element; ++k) {
        uint8_t* to = out->data() + k * n;
        const uint8_t* from = in.data() + k;
        for (size_t i = 0; i < n; ++i)
            to[i] = from[i * element];
    }
}

// A raw deflate stream, used again and again: setting one up costs more than a small chunk.
class Deflater {
  public:
    explicit Deflater(int strategy) {
        ok_ = deflateInit2(&stream_, kLevel, Z_DEFLATED, -MAX_WBITS, 8, strategy) == Z_OK;
    }
    ~Deflater() {
        if (ok_) deflateEnd(&stream_);
    }
    Deflater(const Deflater&) = delete;
    Deflater& operator=(const Deflater&) = delete;

    bool begin() { return ok_ && deflateReset(&stream_) == Z_OK; }
    // Appends `in`; with Z_SYNC_FLUSH the stream stands at a whole byte and a new code may follow.
    bool add(const uint8_t* in, size_t size, int flush, std::vector<uint8_t>* out) {
        stream_.next_in = const_cast<Bytef*>(in);
        stream_.avail_in = uInt(size);
        const size_t at = out->size();
        out->resize(at + deflateBound(&stream_, uLong(size)) + 16);
        stream_.next_out = out->data() + at;
        stream_.avail_out = uInt(out->size() - at);
        const int status = deflate(&stream_, flush);
        const bool done = stream_.avail_in == 0 && status == (flush == Z_FINISH ? Z_STREAM_END : Z_OK);
        out->resize(out->size() - stream_.avail_out);
        return done;
    }

  private:
    z_stream stream_{};
    bool ok_ = false;
};

// A last deflate block that repeats `size` bytes from `distance` back, in the fixed code (RFC 1951, 3.2.6).
class Repeat {
  public:
    explicit Repeat(std::vector<uint8_t>* out) : out_(out) {}
    // REQUIRES: size >= 3, 1 <= distance <= kWindow.
    void write(size_t size, size_t distance) {
        bits(1, 1);  // the last block
        bits(1, 2);  // fixed code
        while (size != 0) {
            // Never leave 1 or 2 bytes, which no match can give.
            size_t length = size < 258 ? size : 258;
            if (size > length && size - length < 3) length = size - 3;
            match(length, distance);
            size -= length;
        }
        bits(0, 7);  // end of block
        if (filled_ != 0) out_->push_back(uint8_t(pending_));
    }

  private:
    void bits(uint32_t value, int count) {  // lowest bit first
        pending_ |= uint64_t(value) << filled_;
        for (filled_ += count; filled_ >= 8; filled_ -= 8, pending_ >>= 8)
            out_->push_back(uint8_t(pending_));
    }
    void code(uint32_t value, int count) {  // Huffman codes: highest bit first
        for (int i = count - 1; i >= 0; --i)
            bits((value >> i) & 1, 1);
    }
    void match(size_t length, size_t distance) {
        uint32_t symbol = 285, extra = 0;
        int extra_bits = 0;
        if (length != 258) {
            size_t base = 3;
            for (symbol = 257;; ++symbol) {
                extra_bits = symbol < 265 ? 0 : int(symbol - 261) / 4;
                if (length < base + (size_t(1) << extra_bits)) break;
                base += size_t(1) << extra_bits;
            }
            extra = uint32_t(length - base);
        }
        if (symbol < 280)
            code(symbol - 256, 7);
        else
            code(0xC0 + symbol - 280, 8);
        bits(extra, extra_bits);
        size_t base = 1;
        for (symbol = 0;; ++symbol) {
            extra_bits = symbol < 4 ? 0 : int(symbol - 2) / 2;
            if (distance < base + (size_t(1) << extra_bits)) break;
            base += size_t(1) << extra_bits;
        }
        code(symbol, 5);
        bits(uint32_t(distance - base), extra_bits);
    }

    std::vector<uint8_t>* out_;
    uint64_t pending_ = 0;
    int filled_ = 0;
};

}  // namespace

bool pack(Bytes in, size_t element, std::vector<uint8_t>* out) {
    // One of each per thread; they hold no data between calls.
    thread_local Deflater by_runs(Z_RLE), by_matches(Z_DEFAULT_STRATEGY);
    thread_local std::vector<uint8_t> mixed;
    shuffle(in, element, &mixed);
    out->assign({0x78, 0x5E});  // zlib's header
    const size_t plane = in.size() / element;
    const bool samples = (element == 2 || element == 4) && plane >= 256;
    const uint8_t* last = mixed.data() + (element - 1) * plane;
    const bool repeats = samples && plane <= kWindow && memcmp(last - plane, last, plane) == 0;
    if (!samples) {
        if (!by_matches.begin() || !by_matches.add(mixed.data(), mixed.size(), Z_FINISH, out)) return false;
    } else {
        if (!by_runs.begin()) return false;
        for (size_t k = 0; k < element - (repeats ? 1 : 0); ++k) {
            const int flush = k + 1 == element ? Z_FINISH : Z_SYNC_FLUSH;
            if (!by_runs.add(mixed.data() + k * plane, plane, flush, out)) return false;
        }
        if (repeats) Repeat(out).write(plane, plane);
    }
    const auto sum = uint32_t(adler32_z(adler32(0, nullptr, 0), mixed.data(), mixed.size()));
    for (int shift = 24; shift >= 0; shift -= 8)
        out->push_back(uint8_t(sum >> shift));
    return true;
}

}  // namespace lockstep::storage
