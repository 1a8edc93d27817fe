// The models on this device: plans of the image and plans that were pushed, bound to the sensor's streams,
// fed with what was sent to the host, exactly as it was framed; a prediction is reported after each window.
//
// A running model has a place, which is its number on the wire. A pushed plan takes the place of the model of
// its name, or the next free one. The others go on undisturbed: memory is handed out per model.
#pragma once

#include "embedded_target/plan_store.h"
#include "embedded_target/sensors/sensor.h"
#include "embedded_target/transmitter.h"
#include "models/core/binding.h"
#include "models/core/runner.h"

namespace lockstep::firmware {

class Models {
  public:
    // `memory` is shared out among the runners.
    void init(MutableBytes memory, PlanStore* store);
    // The streams as they are now; also after a change of rate or of `enabled`.
    void bind(const Sensor& sensor);
    void start(uint8_t epoch);
    void push(size_t stream, const BlockView& block);
    // Decides at most one window; false when every model waits for samples.
    bool step(Transmitter& transmitter);

    // Whether the plan could run beside those that do: every operator there, and room. `bytes`: what it
    // needs.
    wire::ModelRefusal fits(const model::Plan& plan, uint32_t* bytes);
    // On none, `place` runs the plan, or has become free when it is count().
    wire::ModelRefusal activate(const uint8_t (&id)[32], const Sensor& sensor, uint8_t* place);
    wire::ModelRefusal rollback(const Sensor& sensor, uint8_t* place);
    void list(wire::ModelList* out) const;
    static bool holds(void* self, size_t slot);

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

    // Where a plan is kept.
    struct Source {
        Bytes blob;  // empty: nowhere
        const uint8_t* id = nullptr;
        int slot = -1;  // of the store; -1: in the image
    };
    struct Model {
        Source source;
        model::Plan plan;
        model::Runner runner;
        bool usable = false;  // the plan is valid
        bool active = false;  // every input is bound
        size_t begin = 0;     // its part of the memory, while active
        size_t end = 0;
        uint8_t stream[model::kMaxInputs];
        uint16_t channel[model::kMaxInputs][kMaxInputChannels];
        float scale[model::kMaxInputs][kMaxInputChannels];
        float offset[model::kMaxInputs][kMaxInputChannels];
    };

    Model& at(size_t place) { return model_[object_[place]]; }
    const Model& at(size_t place) const { return model_[object_[place]]; }
    Model& spare() { return model_[object_[wire::kMaxModels]]; }
    static Source built_in(size_t i);
    bool find(const uint8_t (&id)[32], Source* out) const;
    MutableBytes free_memory(size_t bytes);
    bool bind_input(Model* m, size_t input, const Sensor& sensor, model::InputBinding* out);
    wire::ModelRefusal load(Model* m, const Source& source, const Sensor& sensor);
    void swap_in(size_t place);

    MutableBytes memory_;
    PlanStore* store_ = nullptr;
    Model model_[wire::kMaxModels + 1];     // one is spare: a plan is bound there before it replaces another
    uint8_t object_[wire::kMaxModels + 1];  // place -> model_; the last is the spare one
    size_t count_ = 0;
    bool has_previous_ = false;
    uint8_t previous_place_ = 0;
    Source previous_;  // nowhere: the place was free
    uint8_t epoch_ = 0;
    uint32_t skipped_ = 0;
    bool waiting_ = false;
};

}  // namespace lockstep::firmware
