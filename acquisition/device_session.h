// One device's place in a session: takes a driver's facts in device-local terms and publishes events
// in session terms. Numbers segments and streams, unwraps the wire's 32-bit counters, turns jumps into
// Gap events, and refuses what does not belong: stale epochs, unknown streams, repeated samples.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "acquisition/driver.h"
#include "acquisition/hub.h"

namespace lockstep {

// The numbers that a session hands out over all devices. Any thread.
class SessionTable {
  public:
    int next_segment();
    // The index of a device's stream: the one it had before if the description is the same, otherwise
    // a new one under a name that is unique in the session (written back into `info`).
    int stream_index(int device, StreamInfo* info);
    // The index of a plan (64 hex digits) among the session's models. A device's plan that the host
    // does not have gets an index past the host's.
    int model_index(const std::string& plan_id, const std::string& name);
    // A host model, in order. REQUIRES: no device has joined.
    void add_model(const std::string& plan_id, const std::string& name);

  private:
    struct Stream {
        int device = 0;
        std::string device_name;  // as the device calls it
        StreamInfo info;
    };
    struct Model {
        std::string plan_id;
        std::string name;
        bool host = false;
    };
    std::mutex mutex_;
    int segments_ = 0;
    std::vector<Stream> streams_;
    std::vector<Model> models_;
};

// Thread: DriverEvents from the driver's thread; the rest from any thread.
class DeviceSession : public DriverEvents {
  public:
    DeviceSession(int device, Hub* hub, SessionTable* table) : device_(device), hub_(hub), table_(table) {}

    void on_started(const DeviceInfo& info, uint8_t epoch, const std::string& reason) override;
    void on_data(int device_stream, uint8_t epoch, uint32_t first, uint64_t device_us, int64_t host_ns,
                 uint16_t sequence, bool discontinuity, std::vector<int32_t> counts) override;
    void on_prediction(const wire::Prediction& prediction, int64_t host_ns) override;
    void on_health(const wire::Health& health, int64_t host_ns) override;
    void on_marker(const wire::Marker& marker, int64_t host_ns) override;
    void on_clock(const ClockObservation& observation) override;
    void on_link(LinkEventKind kind, uint64_t count, const std::string& text, int64_t host_ns) override;
    void on_stopped(const std::vector<wire::StreamHealth>& sent, const std::string& reason,
                    int64_t host_ns) override;

    // The running segment's description, for sinks that join late; segment < 0 when none runs.
    SegmentStarted current() const;
    // Ends a segment that the driver left open.
    void finish(const std::string& reason);

  private:
    struct Stream {
        int index = 0;           // in the session
        bool seen = false;       // `next` holds
        uint64_t next = 0;       // counter of the next sample, unwrapped
        uint64_t device_us = 0;  // of the last block's first sample
        uint64_t last_us = 0;    // of its last sample
        uint64_t device_lost = 0;
        StreamInfo info;
    };

    void end(const std::vector<wire::StreamHealth>& sent, const std::string& reason, int64_t host_ns);
    void refuse(uint64_t samples, const std::string& why, int64_t host_ns);
    void report_refused(int64_t host_ns, bool now);

    const int device_;
    Hub* const hub_;
    SessionTable* const table_;
    mutable std::mutex mutex_;
    int segment_ = -1;
    SegmentStarted started_;
    uint8_t epoch_ = 0;
    uint64_t boot_id_ = 0;
    std::vector<Stream> streams_;
    std::vector<int> models_;                    // device model -> session model
    std::vector<ClockObservation> early_clock_;  // before the first segment
    uint64_t refused_ = 0;                       // samples refused since the last report, for the same reason
    std::string refused_why_;
    int64_t refused_ns_ = 0;
};

}  // namespace lockstep
