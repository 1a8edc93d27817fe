// A live session: devices, hub, host models, comparison. Owns the drivers and the model thread; sinks
// (recorder, trace store, ledger) attach to hub(). Thread: control calls from one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/driver.h"
#include "acquisition/hub.h"
#include "acquisition/ledger.h"
#include "acquisition/loaded_plan.h"

namespace lockstep {

class Session {
  public:
    Session();
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    Hub& hub();

    // Host models, before start(). Each runs on every device whose streams fit.
    void add_model(PlanPtr plan);
    const std::vector<PlanPtr>& models() const;

    // Opens a device; the index in the session. May join while others stream.
    Result<int> add_device(std::unique_ptr<Driver> driver);
    size_t devices() const;
    DeviceInfo device_info(int device) const;
    LinkStatistics link_statistics(int device) const;

    // START on every device: new segments. Error names the device that failed.
    Status start();
    // STOP on every device, drain (at most 1 s), decide the last windows; sinks have everything on return.
    Status stop();
    Status configure(int device, int device_stream, bool enabled, uint32_t rate_num, uint32_t rate_den,
                     uint16_t batch);
    Status mark(uint32_t code, const std::string& text);  // to every device

    // Windows that no host model fits a device stream for: why, per model; empty when all fit.
    std::vector<std::string> misfits() const;

    // Accounts so far; any thread.
    Summary summary() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The same comparison from a stored session: events in, verdicts and host predictions out through
// `publish`, in order. `stages` answers with the device's stage hashes when a device can still be asked
// (replay), or is null.
class OfflineComparison {
  public:
    using StageQuery = std::function<Result<std::vector<uint32_t>>(int segment, int model, uint32_t window)>;
    OfflineComparison(std::vector<PlanPtr> models, std::function<void(const Event&)> publish,
                      StageQuery stages = {});
    ~OfflineComparison();
    // Feeds a recorded event; recorded host predictions and verdicts are ignored.
    void on_event(const Event& event);
    void finish();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
