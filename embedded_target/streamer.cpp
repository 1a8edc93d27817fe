#include "embedded_target/streamer.h"

#include <string.h>

namespace lockstep::firmware {

void Streamer::start(const Sensor& sensor, uint8_t epoch) {
    epoch_ = epoch;
    streams_ = sensor.streams();
    for (size_t i = 0; i < streams_; ++i) {
        Stream& s = stream_[i];
        const wire::StreamDescription& d = sensor.description(i);
        s.health = {};
        s.type = d.type;
        s.channels = d.channels;
        s.batch = d.batch;
        s.staged = 0;
        s.discontinuity = false;
    }
}

void Streamer::sample(size_t stream, Span<const int32_t> counts, uint64_t time_us) {
    Stream& s = stream_[stream];
    if (s.staged == 0) s.time_us = time_us;
    memcpy(s.counts + size_t(s.staged) * s.channels, counts.data(), counts.size() * sizeof(int32_t));
    ++s.staged;
    ++s.health.produced;
    if (s.staged == s.batch) flush(stream);
}

void Streamer::lost(size_t stream) {
    flush(stream);
    Stream& s = stream_[stream];
    ++s.health.produced;
    ++s.health.dropped;
    s.discontinuity = true;
}

bool Streamer::send(size_t stream) {
    Stream& s = stream_[stream];
    const size_t n = size_t(s.staged) * s.channels;
    const size_t size = n * sample_bytes(s.type);
    const Span<const int32_t> counts(s.counts, n);
    pack_samples(s.type, counts, MutableBytes(packed_, size));
    wire::Data data;
    data.stream = uint8_t(stream);
    data.flags = s.discontinuity ? wire::kDataDiscontinuity : 0;
    data.epoch = epoch_;
    data.count = s.staged;
    data.first = s.health.produced - s.staged;
    data.time_us = s.time_us;
    data.samples = Bytes(packed_, size);
    if (!transmitter_->send(wire::Type::data, data)) return false;
    models_->push(stream, {data.first, data.time_us, s.staged, s.channels, s.discontinuity, counts});
    s.staged = 0;
    s.discontinuity = false;
    return true;
}

void Streamer::flush(size_t stream) {
    Stream& s = stream_[stream];
    if (s.staged == 0 || send(stream)) return;
    s.health.dropped += s.staged;
    s.staged = 0;
    s.discontinuity = true;
}

bool Streamer::finish(size_t stream) {
    return stream_[stream].staged == 0 || send(stream);
}

bool Streamer::flush_all() {
    for (size_t i = 0; i < streams_; ++i)
        if (!finish(i)) return false;
    return true;
}

}  // namespace lockstep::firmware
