// The plans on a device: what it holds, what runs, sending another. Implemented by drivers of devices that
// can. Thread: one control thread at a time; a session may stream meanwhile, and gets a new segment when the
// models change.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep {

struct StoredPlan {
    std::string plan_id;  // 64 hex digits
    std::string name;
    uint32_t bytes = 0;
    bool built_in = false;  // part of the firmware
    bool previous = false;  // what rollback goes back to
    int place = -1;         // number of the model while it runs
};

struct DevicePlans {
    uint32_t largest = 0;     // bytes of a plan that the device can take
    bool signed_only = true;  // it refuses plans without a signature
    std::vector<StoredPlan> plans;
};

struct PlanTransfer {
    std::vector<uint8_t> plan;
    std::array<uint8_t, 32> plan_id{};  // SHA-256 of the plan
    std::optional<std::array<uint8_t, 64>> signature;
    // Share of the plan that the device has; false gives up (the device keeps what it has for the next try).
    std::function<bool(double)> progress;
};

class DeviceModels {
  public:
    virtual ~DeviceModels() = default;
    virtual Result<DevicePlans> list() = 0;
    // Sends the plan, from where an earlier transfer of it ended, and has the device check it. It is then
    // stored, not running. An error says why the device refuses it.
    virtual Status push(const PlanTransfer& transfer) = 0;
    // In place of the model of the same name, or beside the others. The number of the model.
    virtual Result<int> activate(const std::array<uint8_t, 32>& plan_id) = 0;
    // Undoes the last activation.
    virtual Result<int> rollback() = 0;
};

}  // namespace lockstep
