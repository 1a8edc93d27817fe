// How fast the desktop turns a byte stream into samples: frames of 10 EEG samples (8 x 24 bit), read in
// pieces of 4 KiB, COBS and CRC-32C undone, counts unpacked. Reference: one CRC-32C pass over the same
// bytes, which no receiver can do without.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "devices/wire/frame.h"
#include "devices/wire/messages.h"
#include "dsp/base/crc32c.h"

using namespace lockstep;

namespace {

struct Totals {
    uint64_t frames = 0;
    int64_t sum = 0;
};

void on_frame(void* context, const wire::FrameView& frame) {
    auto* totals = static_cast<Totals*>(context);
    wire::Data data;
    if (!wire::decode(frame.payload, &data)) return;
    int32_t counts[80];
    unpack_samples(SampleType::int24, data.samples, Span<int32_t>(counts));
    for (const int32_t c : counts)
        totals->sum += c;
    ++totals->frames;
}

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int main() {
    constexpr int kFrames = 100000;
    std::vector<uint8_t> line;
    int32_t counts[80];
    uint32_t noise = 1;
    for (int f = 0; f < kFrames; ++f) {
        for (int32_t& c : counts) {
            noise = noise * 1664525u + 1013904223u;
            c = int32_t(noise) >> 14;
        }
        uint8_t samples[240];
        pack_samples(SampleType::int24, Span<const int32_t>(counts, 80), MutableBytes(samples));
        wire::Data data;
        data.count = 10;
        data.first = uint32_t(f) * 10;
        data.time_us = uint64_t(f) * 40000;
        data.samples = Bytes(samples);
        uint8_t payload[512];
        const size_t n = wire::encode(data, MutableBytes(payload));
        uint8_t out[600];
        const size_t m =
            wire::encode_frame(uint8_t(wire::Type::data), uint16_t(f), Bytes(payload, n), MutableBytes(out));
        line.insert(line.end(), out, out + m);
    }
    double decode = 1e9;
    double crc = 1e9;
    Totals totals;
    uint32_t check = 0;
    for (int round = 0; round < 15; ++round) {
        totals = {};
        wire::Decoder decoder;
        double t = seconds();
        for (size_t at = 0; at < line.size(); at += 4096)
            decoder.push(Bytes(line.data() + at, std::min<size_t>(4096, line.size() - at)), on_frame,
                         &totals);
        decode = std::min(decode, seconds() - t);
        t = seconds();
        check ^= crc32c(Bytes(line.data(), line.size()));
        crc = std::min(crc, seconds() - t);
    }
    if (totals.frames != kFrames || totals.sum == 0) {
        std::fprintf(stderr, "decode lost frames: %llu\n", static_cast<unsigned long long>(totals.frames));
        return 1;
    }
    const double mb = double(line.size()) / 1e6;
    std::printf(
        "{\"link.decode.MB_per_s\": {\"value\": %.1f, \"unit\": \"MB/s\", \"reference\": \"one CRC-32C pass "
        "over "
        "the same bytes (%08x)\", \"ratio\": %.4f}}\n",
        mb / decode, check, crc / decode);
    return 0;
}
