// What the storage benchmark records. signal_a() is the EEG that sizes are compared on: pink noise, an alpha
// rhythm that comes and goes and mains, in counts of 0.0223 uV, scaled so that the best practical lossless
// coder (linear prediction and Rice codes, as FLAC) needs 10.4 bits a sample.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "tests/storage/synthetic.h"

namespace lockstep::bench {

// [channel][sample], repeated by whoever needs more; far longer than what a compressor looks back.
inline std::vector<std::vector<int32_t>> signal_a(int channels, double rate, size_t samples) {
    std::vector<std::vector<int32_t>> all;
    for (int c = 0; c < channels; ++c) {
        std::mt19937 random(unsigned(c) + 1);
        std::normal_distribution<double> white(0, 1);
        double b0 = 0, b1 = 0, b2 = 0;
        std::vector<int32_t> one(samples);
        for (size_t i = 0; i < samples; ++i) {
            const double w = white(random), t = double(i) / rate;
            // Three poles that together fall by 3 dB an octave (P. Kellet's economy form).
            b0 = 0.99765 * b0 + w * 0.0990460;
            b1 = 0.96300 * b1 + w * 0.2965164;
            b2 = 0.57000 * b2 + w * 1.0526913;
            const double pink = b0 + b1 + b2 + w * 0.1848;
            const double alpha = 3 * std::sin(0.2 * t + c) * std::sin(2 * M_PI * 10 * t + c);
            const double mains = 0.5 * std::sin(2 * M_PI * 50 * t);
            one[i] = int32_t(std::lround(165 * (pink + alpha + mains)));
        }
        all.push_back(std::move(one));
    }
    return all;
}

inline StreamInfo stream(const std::string& name, SampleType type, int channels, uint32_t rate,
                         uint16_t batch) {
    return synthetic::stream(name, type, channels, rate, batch, 0);
}

inline WriterOptions options(const std::string& path) {
    WriterOptions o;
    o.path = path;
    o.header.identifier = "6c0a6a52-6b0a-4a8e-9f0e-0d2c5d3f2a12";
    o.header.start_utc_ns = 1790000000000000000;
    o.header.start_host_ns = 0;
    o.header.software = "lockstep";
    o.header.subject = "S01";
    o.classes = {{"walk", "#00aa00", '1', ""}, {"sit", "#aa0000", '2', ""}};
    return o;
}

inline Event started(const std::vector<StreamInfo>& streams) {
    SegmentStarted s;
    s.reason = "start";
    s.info.uri = "bench:";
    s.info.board = "bench";
    s.info.boot_id = 1;
    s.info.streams = streams;
    for (size_t i = 0; i < streams.size(); ++i)
        s.streams.push_back(int(i));
    return s;
}

// A block of samples [first, first + count) of the signal, stamped by the nominal rate.
inline Event block(int stream, const StreamInfo& info, uint64_t first, uint32_t count,
                   const std::vector<std::vector<int32_t>>& signal) {
    auto b = std::make_shared<Block>();
    b->stream = stream;
    b->first = first;
    b->count = count;
    b->channels = uint16_t(info.channels.size());
    b->device_us = first * 1'000'000 / info.rate_num;
    b->host_ns = int64_t((first + count) * 1'000'000'000 / info.rate_num);
    b->counts.resize(size_t(count) * b->channels);
    for (uint32_t k = 0; k < count; ++k)
        for (size_t c = 0; c < b->channels; ++c)
            b->counts[k * b->channels + c] = signal[c][size_t((first + k) % signal[c].size())];
    return std::shared_ptr<const Block>(std::move(b));
}

}  // namespace lockstep::bench
