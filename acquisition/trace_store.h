// Min/max levels of every channel for drawing: one query serves live and review. The ingest thread
// appends; readers take extents under a short lock. Times are session seconds.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "acquisition/event.h"
#include "acquisition/stream.h"

namespace lockstep {

class Subscription;

// What is drawn in one pixel column: the extent of the connected line over the column, in physical
// units. valid == false where there is no sample (gap).
struct Extent {
    float min = 0;
    float max = 0;
    bool valid = false;
};

// The trace source of a lane: implemented by the live TraceStore and by the session's review source.
// Thread: any.
class TraceSource {
  public:
    virtual ~TraceSource() = default;
    virtual std::vector<StreamInfo> streams() const = 0;
    virtual double begin_time() const = 0;
    virtual double end_time() const = 0;
    // Times of the first and the last sample of one stream; begin > end before the first sample.
    virtual double begin_time(int stream) const = 0;
    virtual double end_time(int stream) const = 0;
    // columns extents of [t0, t1) in physical units of the channel; columns are aligned by the caller
    // to absolute time, so that a finished column (one that ends before end_time(stream)) never changes.
    virtual void extent(int stream, int channel, double t0, double t1, int columns, Extent* out) const = 0;
    // Raw samples of [t0, t1): times and physical values, for at most `limit` samples.
    virtual size_t samples(int stream, int channel, double t0, double t1, size_t limit, double* time,
                           float* value) const = 0;
};

struct TraceLimits {
    size_t raw_bytes = size_t(48) << 20;     // of all streams' samples; what is older lives on in the levels
    double raw_seconds = 3600;               // at most
    size_t level_entries = size_t(1) << 19;  // per stream and level, over its channels
};

// The live store: a ring of samples and rings of min/max levels per channel. Memory is bounded by the
// limits whatever the length of the session.
// Thread: on_event() by one thread (or follow(), which makes one); the TraceSource calls by any.
class TraceStore : public TraceSource {
  public:
    // origin_host_ns: session time 0 on the host's steady clock; negative: the first event sets it.
    explicit TraceStore(int64_t origin_host_ns = -1, TraceLimits limits = {});
    ~TraceStore() override;
    TraceStore(const TraceStore&) = delete;
    TraceStore& operator=(const TraceStore&) = delete;

    void on_event(const Event& event);
    // Ingests a hub's events on an own thread until the subscription is closed or the store destroyed.
    void follow(std::shared_ptr<Subscription> events);

    int64_t origin_host_ns() const;
    // Session seconds of a device's time, as the samples around it were placed.
    double session_seconds(int device, uint64_t device_us, int64_t host_ns) const;

    std::vector<StreamInfo> streams() const override;
    double begin_time() const override;
    double end_time() const override;
    double begin_time(int stream) const override;
    double end_time(int stream) const override;
    void extent(int stream, int channel, double t0, double t1, int columns, Extent* out) const override;
    size_t samples(int stream, int channel, double t0, double t1, size_t limit, double* time,
                   float* value) const override;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
