// A recorded session as a live device: the same blocks, gaps, predictions and pings, at the pace they
// were received, times `speed` (0 = as fast as they are taken). One device of the session.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "acquisition/driver.h"
#include "acquisition/session_store.h"

namespace lockstep {

class ReplayDevice final : public Driver {
  public:
    ReplayDevice(std::string uri, std::unique_ptr<SessionReader> reader, double speed, int device);
    ~ReplayDevice() override;

    Result<DeviceInfo> open(DriverEvents* events) override;
    Status start() override;  // from the beginning
    Status stop() override;
    Status configure(int device_stream, bool enabled, uint32_t rate_num, uint32_t rate_den,
                     uint16_t batch) override;
    Result<std::vector<uint32_t>> stages(int device_model, uint32_t window) override;
    Status mark(uint32_t code, const std::string& text) override;
    LinkStatistics statistics() const override;
    void close() override;
    // Everything has been played.
    bool finished() const;

  private:
    void play();
    bool hand_on(const Event& event);
    bool wait_for(int64_t recorded_ns);
    int64_t moved(int64_t recorded_ns) const;

    const std::string uri_;
    const std::unique_ptr<SessionReader> reader_;
    const double speed_;
    const int device_;
    DriverEvents* events_ = nullptr;
    std::thread thread_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    bool finished_ = false;
    LinkStatistics statistics_;

    // The player's own.
    bool playing_ = false;  // a segment is open
    int segment_ = -1;
    uint8_t epoch_ = 0;
    DeviceInfo info_;
    std::vector<int> streams_;  // device-local -> session
    int64_t recorded0_ = 0;     // host time of the first event, then and now
    int64_t now0_ = 0;
};

}  // namespace lockstep
