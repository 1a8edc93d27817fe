// The contract of a sensor: a group of streams that share one clock. A sensor owns the description of its
// streams, answers configuration with what it really does, and hands over samples when they are due.
#pragma once

#include "devices/wire/messages.h"

namespace lockstep::firmware {

class SampleSink {
  public:
    // The next sample of a stream; counts holds one value per channel.
    virtual void sample(size_t stream, Span<const int32_t> counts, uint64_t time_us) = 0;
    // The sensor lost its next sample: the counter goes on without it.
    virtual void lost(size_t stream) = 0;
    // The stream is over: what waits to fill a frame goes out as it is. False when there is no room now.
    virtual bool finish(size_t stream) = 0;
    // The line or the models are behind. A sensor that can wait does so; another one's samples may be lost.
    virtual bool behind() const = 0;

  protected:
    ~SampleSink() = default;
};

class Sensor {
  public:
    virtual size_t streams() const = 0;
    // Everything but `stream`, first_channel and page_channels.
    virtual const wire::StreamDescription& description(size_t stream) const = 0;
    virtual Span<const wire::ChannelDescription> channels(size_t stream) const = 0;
    // Takes over what it can; the description then tells what it does. REQUIRES: not started.
    virtual Code configure(const wire::Configure& wish) = 0;
    // Every stream begins at its sample 0.
    virtual void start(uint64_t now_us) = 0;
    virtual void stop() = 0;
    // Hands over what is due; true when there may be more at once.
    virtual bool poll(uint64_t now_us, SampleSink& sink) = 0;
    // Samples handed over more than kLateUs after they were due, since start.
    virtual uint32_t late_samples() const = 0;

  protected:
    ~Sensor() = default;
};

constexpr uint64_t kLateUs = 50000;

// A batch that keeps latency low without drowning a slow line in headers: about 40 ms of a fast stream,
// 100 ms of a slow one.
uint16_t default_batch(const wire::StreamDescription& stream);
// Applies `enabled` and `batch` of a wish, within what fits a frame.
Code configure_common(const wire::Configure& wish, wire::StreamDescription* stream);
// Bytes of one sample of all channels.
inline size_t row_bytes(const wire::StreamDescription& stream) {
    return size_t(stream.channels) * sample_bytes(stream.type);
}

}  // namespace lockstep::firmware
