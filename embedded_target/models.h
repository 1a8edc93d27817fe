// The models on this device: binds the plans in the image to the sensor's streams, feeds them what was
// sent to the host, exactly as it was framed, and reports a prediction after each window.
#pragma once

#include "embedded_target/sensors/sensor.h"
#include "embedded_target/transmitter.h"
#include "models/core/binding.h"
#include "models/core/runner.h"

namespace lockstep::firmware {

class Models {
  public:
    // `memory` is shared out among the runners.
    void init(MutableBytes memory) { memory_ = memory; }
    // The streams as they are now; also after a change of rate or of `enabled`.
    void bind(const Sensor& sensor);
    void start(uint8_t epoch);
    void push(size_t stream, const BlockView& block);
    // Decides at most one window; false when every model waits for samples.
    bool step(Transmitter& transmitter);

    size_t count() const { return count_; }
    Code describe(size_t model, wire::ModelDescription* out) const;
    Code stages(size_t model, uint32_t window, wire::StagesReply* out) const;
    uint32_t windows_skipped() const { return skipped_; }
    // Samples came that step() has not looked at to the end.
    bool waiting() const { return waiting_; }

  private:
    static constexpr size_t kMaxInputChannels = 32;
    static constexpr uint32_t kSlackMs = 2000;
    static constexpr uint8_t kUnbound = 255;

    struct Model {
        model::Plan plan;
        model::Runner runner;
        const uint8_t* id = nullptr;
        bool usable = false;  // the plan is valid
        bool active = false;  // every input is bound
        uint8_t stream[model::kMaxInputs];
        uint16_t channel[model::kMaxInputs][kMaxInputChannels];
        float scale[model::kMaxInputs][kMaxInputChannels];
        float offset[model::kMaxInputs][kMaxInputChannels];
    };

    bool bind_input(Model* m, size_t input, const Sensor& sensor, model::InputBinding* out);

    MutableBytes memory_;
    Model model_[wire::kMaxModels];
    size_t count_ = 0;
    uint8_t epoch_ = 0;
    uint32_t skipped_ = 0;
    bool waiting_ = false;
};

}  // namespace lockstep::firmware
