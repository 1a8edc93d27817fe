// Plays back raw counts that a host sends in over the injection port or through mapped memory
// (devices/wire/injection.h): any streams, described by the host, released when they are due.
#pragma once

#include "devices/wire/frame.h"
#include "devices/wire/injection.h"
#include "embedded_target/board.h"
#include "embedded_target/sensors/sensor.h"

namespace lockstep::firmware {

class Injected final : public Sensor {
  public:
    // `memory` holds the samples that wait.
    void init(Span<board::Port* const> ports, MutableBytes memory);

    // Takes what the injector sent; true when there may be more at once.
    bool receive();
    // Tells the injector about room and runs.
    void report(uint64_t now_us, uint8_t epoch);
    bool active() const { return active_; }
    // True once after a table came or went.
    bool take_changed();

    size_t streams() const override { return active_ ? table_size_ : 0; }
    const wire::StreamDescription& description(size_t stream) const override {
        return stream_[stream].description;
    }
    Span<const wire::ChannelDescription> channels(size_t stream) const override {
        return stream_[stream].channels;
    }
    Code configure(const wire::Configure& wish) override;
    void start(uint64_t now_us) override;
    void stop() override;
    bool poll(uint64_t now_us, SampleSink& sink) override;
    uint32_t late_samples() const override { return late_; }

  private:
    static constexpr size_t kPorts = 2;
    static constexpr size_t kChannelPool = 1024;
    static constexpr size_t kGaps = 32;

    struct Gap {
        uint32_t first;
        uint32_t count;
    };
    struct Stream {
        wire::StreamDescription description;
        Span<wire::ChannelDescription> channels;
        uint16_t described = 0;  // channels whose page came
        uint32_t start_us = 0;
        MutableBytes fifo;  // capacity * row_bytes
        uint32_t capacity = 0;
        uint32_t window = 0;   // samples allowed beyond next_in
        uint32_t stored = 0;   // samples in the fifo
        uint32_t oldest = 0;   // slot of the oldest
        uint32_t next_in = 0;  // index that the injector sends next
        uint32_t next_out = 0;
        uint32_t limit_told = 0;
        bool ended = false;
        uint64_t due_us = 0;
        Gap gap[kGaps];
        uint8_t gaps = 0;
    };
    struct PortState {
        board::Port* port = nullptr;
        wire::Decoder decoder;
    };

    static void on_frame(void* self, const wire::FrameView& frame);
    void on_begin(Bytes payload);
    void on_stream(Bytes payload);
    Code commit();
    void on_samples(Bytes payload);
    void on_gap(Bytes payload);
    void on_end(Bytes payload);
    void drop_table();
    void new_run();
    bool skip_to(Stream* s, uint32_t first);
    bool primed(const Stream& s) const;
    uint32_t limit(const Stream& s) const;
    uint64_t due(const Stream& s, uint32_t index) const;
    void send(wire::InjectType type, Bytes payload);

    PortState port_[kPorts];
    size_t ports_ = 0;
    size_t from_ = 0;  // port of the frame at hand
    size_t peer_ = 0;  // port that the table came from
    uint16_t sequence_ = 0;
    MutableBytes memory_;
    wire::ChannelDescription channel_[kChannelPool];
    size_t channels_used_ = 0;
    Stream stream_[wire::kMaxStreams];
    size_t table_size_ = 0;
    uint32_t speed_permille_ = 1000;
    bool receiving_ = false;  // between begin and commit
    bool active_ = false;
    bool changed_ = false;
    bool running_ = false;
    bool have_origin_ = false;
    bool fresh_ = false;  // nothing of this run was released yet
    uint8_t run_ = 0;
    bool ready_due_ = true;
    Code ready_code_ = Code::not_ready;
    uint64_t ready_next_us_ = 0;
    uint64_t credit_next_us_ = 0;
    uint64_t credit_repeat_us_ = 0;
    uint64_t start_us_ = 0;
    uint64_t origin_us_ = 0;
    uint32_t late_ = 0;
    uint8_t encoded_[wire::encoded_bound(256)];
};

}  // namespace lockstep::firmware
