// Samples into frames: counts them, batches them, sends each batch and hands the same block to the models.
// What the transmit queue has no room for is lost for both, counted, and the next frame says so.
#pragma once

#include "embedded_target/models.h"
#include "embedded_target/sensors/sensor.h"
#include "embedded_target/transmitter.h"

namespace lockstep::firmware {

class Streamer final : public SampleSink {
  public:
    void init(Transmitter* transmitter, Models* models) {
        transmitter_ = transmitter;
        models_ = models;
    }
    // A new epoch: counters at 0. The sensor's descriptions must not change until the next start.
    void start(const Sensor& sensor, uint8_t epoch);
    void sample(size_t stream, Span<const int32_t> counts, uint64_t time_us) override;
    void lost(size_t stream) override;
    bool finish(size_t stream) override;
    bool behind() const override { return transmitter_->half_full() || models_->waiting(); }
    // Sends partial batches; false when the queue has no room now.
    bool flush_all();

    size_t streams() const { return streams_; }
    wire::StreamHealth health(size_t stream) const { return stream_[stream].health; }

  private:
    static constexpr size_t kStaging =
        (wire::kMaxPayload - wire::kDataHeader) / 2;  // counts of the smallest type

    struct Stream {
        wire::StreamHealth health;
        SampleType type = SampleType::int16;
        uint16_t channels = 0;
        uint16_t batch = 1;
        uint16_t staged = 0;  // samples
        bool discontinuity = false;
        uint64_t time_us = 0;  // of the first staged sample
        int32_t counts[kStaging];
    };

    bool send(size_t stream);
    void flush(size_t stream);

    Transmitter* transmitter_ = nullptr;
    Models* models_ = nullptr;
    size_t streams_ = 0;
    uint8_t epoch_ = 0;
    Stream stream_[wire::kMaxStreams];
    uint8_t packed_[wire::kMaxPayload];
};

}  // namespace lockstep::firmware
