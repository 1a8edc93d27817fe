#include "acquisition/session.h"

#include <atomic>
#include <condition_variable>
#include <thread>

#include "acquisition/comparison.h"
#include "acquisition/device_session.h"

namespace lockstep {
namespace {

// Four minutes of the largest stream set: the model thread may be slow for a while.
constexpr size_t kModelQueue = 65536;
constexpr auto kTick = std::chrono::milliseconds(20);
constexpr auto kSettle = std::chrono::seconds(30);

}  // namespace

struct Session::Impl {
    struct Device {
        std::unique_ptr<DeviceSession> events;  // outlives its driver
        std::unique_ptr<Driver> driver;
        DeviceInfo info;
    };

    Hub hub;
    SessionTable table;
    std::vector<PlanPtr> models;
    std::vector<std::unique_ptr<Device>> devices;
    mutable std::mutex devices_mutex;  // the list; the model thread asks devices for stages
    std::shared_ptr<Subscription> events = hub.attach(kModelQueue);
    std::thread thread;
    bool running = false;

    mutable std::mutex mutex;  // ledger, settled
    std::condition_variable idle;
    uint64_t idle_rounds = 0;
    Ledger ledger;

    // The one model thread: host predictions, verdicts, accounts.
    void run() {
        Comparison comparison(
            models, [this](const Event& e) { hub.publish(e); },
            [this](int segment, int model, uint32_t window) { return ask_stages(segment, model, window); });
        Event event;
        while (!events->closed()) {
            if (!events->pop(&event, kTick)) {
                const std::lock_guard<std::mutex> lock(mutex);
                ++idle_rounds;
                idle.notify_all();
                continue;
            }
            {
                const std::lock_guard<std::mutex> lock(mutex);
                ledger.on_event(event);
            }
            comparison.on_event(event);
        }
    }

    // Until the model thread has seen everything published so far: it was idle once after this call.
    void settle() {
        if (!thread.joinable()) return;
        std::unique_lock<std::mutex> lock(mutex);
        const uint64_t until = idle_rounds + 2;
        idle.wait_for(lock, kSettle, [&] { return idle_rounds >= until; });
    }

    Result<std::vector<uint32_t>> ask_stages(int segment, int model, uint32_t window) {
        const std::lock_guard<std::mutex> lock(devices_mutex);
        for (const auto& d : devices) {
            const SegmentStarted current = d->events->current();
            if (current.segment != segment) continue;
            for (size_t i = 0; i < current.info.models.size(); ++i) {
                const DeviceModel& m = current.info.models[i];
                if (table.model_index(m.plan_id, m.name) == model) return d->driver->stages(int(i), window);
            }
        }
        return fail(ErrorKind::device, "its segment is over");
    }
};

Session::Session() : impl_(std::make_unique<Impl>()) {}

Session::~Session() {
    for (const auto& d : impl_->devices)
        d->driver->close();
    for (const auto& d : impl_->devices)
        d->events->finish("closed");
    impl_->settle();
    impl_->hub.close();
    if (impl_->thread.joinable()) impl_->thread.join();
}

Hub& Session::hub() {
    return impl_->hub;
}

void Session::add_model(PlanPtr plan) {
    impl_->table.add_model(plan->plan_id, plan->plan.name());
    impl_->models.push_back(std::move(plan));
}

const std::vector<PlanPtr>& Session::models() const {
    return impl_->models;
}

Result<int> Session::add_device(std::unique_ptr<Driver> driver) {
    auto device = std::make_unique<Impl::Device>();
    const int index = int(impl_->devices.size());
    device->events = std::make_unique<DeviceSession>(index, &impl_->hub, &impl_->table);
    device->driver = std::move(driver);
    auto info = device->driver->open(device->events.get());
    if (!info) return tl::make_unexpected(info.error());
    device->info = *info;
    Driver* const added = device->driver.get();
    {
        const std::lock_guard<std::mutex> lock(impl_->devices_mutex);
        impl_->devices.push_back(std::move(device));
    }
    if (impl_->running)
        if (const Status status = added->start(); !status) return tl::make_unexpected(status.error());
    return index;
}

size_t Session::devices() const {
    return impl_->devices.size();
}

DeviceInfo Session::device_info(int device) const {
    const Impl::Device& d = *impl_->devices[size_t(device)];
    const SegmentStarted current = d.events->current();
    return current.segment >= 0 ? current.info : d.info;
}

LinkStatistics Session::link_statistics(int device) const {
    return impl_->devices[size_t(device)]->driver->statistics();
}

Status Session::start() {
    if (!impl_->thread.joinable()) impl_->thread = std::thread(&Impl::run, impl_.get());
    impl_->running = true;
    for (const auto& d : impl_->devices)
        if (Status status = d->driver->start(); !status) return status;
    return {};
}

Status Session::stop() {
    Status first;
    impl_->running = false;
    for (const auto& d : impl_->devices) {
        const Status status = d->driver->stop();
        if (!status && first) first = status;
        d->events->finish("stop");
    }
    impl_->settle();
    return first;
}

Status Session::configure(int device, int device_stream, bool enabled, uint32_t rate_num, uint32_t rate_den,
                          uint16_t batch) {
    if (device < 0 || size_t(device) >= impl_->devices.size())
        return fail(ErrorKind::usage, "the session has no device " + std::to_string(device));
    return impl_->devices[size_t(device)]->driver->configure(device_stream, enabled, rate_num, rate_den,
                                                             batch);
}

Status Session::mark(uint32_t code, const std::string& text) {
    Status first;
    for (const auto& d : impl_->devices) {
        const Status status = d->driver->mark(code, text);
        if (!status && first) first = status;
    }
    return first;
}

std::vector<std::string> Session::misfits() const {
    std::vector<std::string> out;
    for (const PlanPtr& plan : impl_->models) {
        std::string why = "no device";
        for (size_t i = 0; i < impl_->devices.size(); ++i) {
            const DeviceInfo info = device_info(int(i));
            std::vector<int> streams(info.streams.size());
            const auto runner = ModelRunner::bind(plan, info, streams);
            why = runner ? "" : runner.error().what;
            if (runner) break;
        }
        if (!why.empty()) out.push_back(why);
    }
    return out;
}

Summary Session::summary() const {
    const std::lock_guard<std::mutex> lock(impl_->mutex);
    return impl_->ledger.summary();
}

struct OfflineComparison::Impl {
    Comparison comparison;
};

OfflineComparison::OfflineComparison(std::vector<PlanPtr> models, std::function<void(const Event&)> publish,
                                     StageQuery stages)
    : impl_(std::make_unique<Impl>(
          Impl{Comparison(std::move(models), std::move(publish), std::move(stages))})) {}

OfflineComparison::~OfflineComparison() = default;

void OfflineComparison::on_event(const Event& event) {
    impl_->comparison.on_event(event);
}

void OfflineComparison::finish() {
    impl_->comparison.finish();
}

}  // namespace lockstep
