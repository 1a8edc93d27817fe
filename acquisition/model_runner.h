// A plan on the host, over the streams of one segment: the shared core's runner with memory and
// bindings of its own. Thread: one caller at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "acquisition/error.h"
#include "acquisition/event.h"
#include "acquisition/loaded_plan.h"
#include "models/core/runner.h"

namespace lockstep {

class ModelRunner {
  public:
    struct Window {
        model::WindowState state = model::WindowState::missing;
        const model::WindowResult* result = nullptr;  // valid during the call
        uint32_t cost_us = 0;
        uint64_t device_us = 0;  // of the window's last primary sample
    };
    using Sink = std::function<void(const Window&)>;

    // Binds each input to the first enabled stream of the device that fits, as the device itself does.
    // The error says which input fits nothing and why. `streams`: the device's streams' session indices.
    static Result<std::unique_ptr<ModelRunner>> bind(PlanPtr plan, const DeviceInfo& info,
                                                     const std::vector<int>& streams);

    // Feeds a block if one of the inputs reads its stream; windows come out in order.
    void push(const Block& block, const Sink& sink);

    const LoadedPlan& plan() const { return *plan_; }
    const std::vector<int>& streams() const { return streams_; }                // session stream per input
    const std::vector<int>& device_streams() const { return device_streams_; }  // device-local, per input

  private:
    struct Binding {
        std::vector<uint16_t> channel;
        std::vector<float> scale;
        std::vector<float> offset;
        uint32_t rate_num = 1;
        uint32_t rate_den = 1;
    };
    struct alignas(16) Chunk {
        uint8_t bytes[16];
    };

    ModelRunner() = default;

    PlanPtr plan_;
    std::vector<Binding> bindings_;
    std::vector<int> streams_;
    std::vector<int> device_streams_;
    std::vector<Chunk> memory_;
    model::Runner runner_;
    model::WindowResult result_;
    uint64_t primary_first_ = 0;  // last primary block: counter and time of its first sample
    uint64_t primary_us_ = 0;
};

}  // namespace lockstep
