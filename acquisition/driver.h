// The contract of a device driver, implemented in devices/, injected by app/. A driver turns a
// device's bytes into blocks and facts and hands them to DriverEvents from its own thread; it knows
// nothing of sessions, sinks or files.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/device_models.h"
#include "acquisition/error.h"
#include "acquisition/event.h"

namespace lockstep {

// Facts in device-local terms, called from the driver's thread, in the order they happened. The
// implementation (DeviceSession) numbers segments, unwraps counters, finds gaps and publishes.
class DriverEvents {
  public:
    virtual ~DriverEvents() = default;
    // Before the first data of an epoch, and again whenever the description or boot id changed.
    virtual void on_started(const DeviceInfo& info, uint8_t epoch, const std::string& reason) = 0;
    // `first` is the wire's 32-bit counter. REQUIRES: counts.size() == count * channels of the stream.
    virtual void on_data(int device_stream, uint8_t epoch, uint32_t first, uint64_t device_us,
                         int64_t host_ns, uint16_t sequence, bool discontinuity,
                         std::vector<int32_t> counts) = 0;
    virtual void on_prediction(const wire::Prediction& prediction, int64_t host_ns) = 0;
    virtual void on_health(const wire::Health& health, int64_t host_ns) = 0;
    virtual void on_marker(const wire::Marker& marker, int64_t host_ns) = 0;
    virtual void on_clock(const ClockObservation& observation) = 0;  // device and segment are filled in later
    virtual void on_link(LinkEventKind kind, uint64_t count, const std::string& text, int64_t host_ns) = 0;
    // The epoch is over; `sent` is empty when the device could not say.
    virtual void on_stopped(const std::vector<wire::StreamHealth>& sent, const std::string& reason,
                            int64_t host_ns) = 0;
};

struct LinkStatistics {
    uint64_t bytes = 0;
    uint64_t frames = 0;
    uint64_t damaged = 0;
    uint64_t lost_frames = 0;
};

// Thread: all calls from one control thread; events come from the driver's own. The driver reconnects
// by itself after a dropout (rescan each second, "connected" only once the device answered) until close().
class Driver {
  public:
    virtual ~Driver() = default;
    // Connects and reads the self-description; a clear error within a few seconds otherwise.
    virtual Result<DeviceInfo> open(DriverEvents* events) = 0;
    virtual Status start() = 0;
    // Asks the device to stop and drains for at most 1 s; on_stopped has been called on return.
    virtual Status stop() = 0;
    virtual Status configure(int device_stream, bool enabled, uint32_t rate_num, uint32_t rate_den,
                             uint16_t batch) = 0;
    // Stage hashes of a recent window as the device computed them. May be called from any thread.
    virtual Result<std::vector<uint32_t>> stages(int device_model, uint32_t window) = 0;
    virtual Status mark(uint32_t code, const std::string& text) = 0;
    // The device's plans; null when it runs none that could be changed.
    virtual DeviceModels* models() { return nullptr; }
    virtual LinkStatistics statistics() const = 0;  // any thread
    virtual void close() = 0;
};

// A kind of option, from which ui/ builds a form and app/ a URI query: data, not code.
struct OptionInfo {
    std::string name;                  // as in the URI: "baud"
    std::string text;                  // for people: "Baud rate"
    std::string fallback;              // default value
    std::vector<std::string> choices;  // empty = free text
};

struct DriverInfo {
    std::string scheme;        // "serial"
    std::string text;          // "Serial port"
    std::string address_hint;  // "/dev/ttyACM0"
    std::vector<OptionInfo> options;
};

// A device that is connected or reachable now.
struct FoundDevice {
    std::string uri;
    std::string text;
};

// "scheme:address?key=value&key=value", percent-decoded values.
struct Uri {
    std::string scheme;
    std::string address;
    std::vector<std::pair<std::string, std::string>> query;

    static Result<Uri> parse(const std::string& text);
    std::string value(const std::string& key, const std::string& fallback = {}) const;
    std::string text() const;
};

// Makes drivers from URIs: the table in devices/registry.cpp plus what app/ adds (replay, virtual).
using DriverFactory = std::function<Result<std::unique_ptr<Driver>>(const Uri& uri)>;

}  // namespace lockstep
