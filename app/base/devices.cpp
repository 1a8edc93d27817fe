#include "app/base/devices.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <mutex>

#include "app/base/paths.h"
#include "devices/registry.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

// Passes events on to the session; keeps them until there is one.
class Relay final : public DriverEvents {
  public:
    void attach(DriverEvents* to) {
        const std::lock_guard lock(mutex_);
        to_ = to;
        for (const auto& event : kept_)
            event(to_);
        kept_.clear();
    }
    void on_started(const DeviceInfo& info, uint8_t epoch, const std::string& reason) override {
        pass([=](DriverEvents* to) { to->on_started(info, epoch, reason); });
    }
    void on_data(int stream, uint8_t epoch, uint32_t first, uint64_t device_us, int64_t host_ns,
                 uint16_t sequence, bool discontinuity, std::vector<int32_t> counts) override {
        DriverEvents* to = target();
        if (to != nullptr)
            to->on_data(stream, epoch, first, device_us, host_ns, sequence, discontinuity, std::move(counts));
    }
    void on_prediction(const wire::Prediction& prediction, int64_t host_ns) override {
        DriverEvents* to = target();
        if (to != nullptr) to->on_prediction(prediction, host_ns);
    }
    void on_health(const wire::Health& health, int64_t host_ns) override {
        pass([=](DriverEvents* to) { to->on_health(health, host_ns); });
    }
    void on_marker(const wire::Marker& marker, int64_t host_ns) override {
        pass([=](DriverEvents* to) { to->on_marker(marker, host_ns); });
    }
    void on_clock(const ClockObservation& observation) override {
        pass([=](DriverEvents* to) { to->on_clock(observation); });
    }
    void on_link(LinkEventKind kind, uint64_t count, const std::string& text, int64_t host_ns) override {
        pass([=](DriverEvents* to) { to->on_link(kind, count, text, host_ns); });
    }
    void on_stopped(const std::vector<wire::StreamHealth>& sent, const std::string& reason,
                    int64_t host_ns) override {
        pass([=](DriverEvents* to) { to->on_stopped(sent, reason, host_ns); });
    }

  private:
    DriverEvents* target() {
        const std::lock_guard lock(mutex_);
        return to_;
    }
    void pass(const std::function<void(DriverEvents*)>& event) {
        DriverEvents* to = nullptr;
        {
            const std::lock_guard lock(mutex_);
            to = to_;
            if (to == nullptr && kept_.size() < 1000) kept_.push_back(event);
        }
        if (to != nullptr) event(to);
    }
    std::mutex mutex_;
    DriverEvents* to_ = nullptr;
    std::vector<std::function<void(DriverEvents*)>> kept_;
};

// A driver that is open already: open() only says where its events go.
class OpenedDriver final : public Driver {
  public:
    explicit OpenedDriver(std::unique_ptr<Driver> driver) : driver_(std::move(driver)) {}
    ~OpenedDriver() override { driver_.reset(); }
    Result<DeviceInfo> open_now() {
        auto info = driver_->open(&relay_);
        if (info) info_ = *info;
        return info;
    }
    Result<DeviceInfo> open(DriverEvents* events) override {
        relay_.attach(events);
        return info_;
    }
    Status start() override { return driver_->start(); }
    Status stop() override { return driver_->stop(); }
    Status configure(int stream, bool enabled, uint32_t rate_num, uint32_t rate_den,
                     uint16_t batch) override {
        return driver_->configure(stream, enabled, rate_num, rate_den, batch);
    }
    Result<std::vector<uint32_t>> stages(int model, uint32_t window) override {
        return driver_->stages(model, window);
    }
    Status mark(uint32_t code, const std::string& text) override { return driver_->mark(code, text); }
    DeviceModels* models() override { return driver_->models(); }
    LinkStatistics statistics() const override { return driver_->statistics(); }
    void close() override { driver_->close(); }

  private:
    Relay relay_;  // outlives the driver, whose thread calls it
    std::unique_ptr<Driver> driver_;
    DeviceInfo info_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_device(const std::string& text) {
    const auto uri = Uri::parse(text);
    if (!uri) return tl::make_unexpected(uri.error());
    DriverServices services;
    services.open_session = [](const std::string& path) { return storage::open_session(path); };
    services.executable = program_folder() + "/lockstep";
    return make_driver_factory(services)(*uri);
}

std::vector<FoundDevice> find_devices(int search_ms) {
    std::vector<FoundDevice> found;
    std::error_code error;
    const std::string folder = firmware_folder();
    if (!folder.empty())
        for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
             it.increment(error))
            if (it->path().extension() == ".elf")
                found.push_back(
                    {"virtual:" + it->path().stem().string(), "Virtual board " + it->path().stem().string()});
    std::sort(found.begin(), found.end(), [](const FoundDevice& a, const FoundDevice& b) {
        const auto rank = [](const FoundDevice& d) { return d.uri == "virtual:mps2-an386" ? 0 : 1; };
        return std::pair(rank(a), a.uri) < std::pair(rank(b), b.uri);
    });
    for (FoundDevice& device : scan_devices(search_ms))
        found.push_back(std::move(device));
    return found;
}

Result<std::unique_ptr<Driver>> open_device(const std::string& uri, DeviceInfo* info) {
    auto made = make_device(uri);
    if (!made) return tl::make_unexpected(made.error());
    auto opened = std::make_unique<OpenedDriver>(std::move(*made));
    auto answer = opened->open_now();
    if (!answer) return tl::make_unexpected(answer.error());
    *info = std::move(*answer);
    return opened;
}

}  // namespace lockstep::app
