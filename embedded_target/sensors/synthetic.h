// Test signals without any input: the nominal set (EEG 8 x 24 bit 250 Hz, GSR 32 Hz, IMU 6 x 16 bit 100 Hz,
// PPG 3 channels 100 Hz). Every sample is an integer function of its index alone, so that two runs
// give the same samples on every board.
#pragma once

#include "embedded_target/sensors/sensor.h"

namespace lockstep::firmware {

class Synthetic final : public Sensor {
  public:
    void init();
    size_t streams() const override { return kStreams; }
    const wire::StreamDescription& description(size_t stream) const override { return description_[stream]; }
    Span<const wire::ChannelDescription> channels(size_t stream) const override;
    Code configure(const wire::Configure& wish) override;
    void start(uint64_t now_us) override;
    void stop() override { running_ = false; }
    bool poll(uint64_t now_us, SampleSink& sink) override;
    uint32_t late_samples() const override { return late_; }

  private:
    static constexpr size_t kStreams = 4;

    wire::StreamDescription description_[kStreams];
    uint32_t next_[kStreams] = {};
    uint64_t due_us_[kStreams] = {};
    uint64_t origin_us_ = 0;
    uint32_t late_ = 0;
    bool running_ = false;
};

}  // namespace lockstep::firmware
