// The front of a plan: streams, resampling, features and normalisation, as the preprocessing file describes
// them, up to the one float32 tensor that a model takes.
#pragma once

#include "models/plan/plan_writer.h"
#include "models/preprocessing/preprocessing.h"

namespace lockstep {

struct Front {
    uint16_t tensor = 0;
    std::vector<uint16_t> dims;  // {1, 1, time, channels}, or {1, features}
    size_t elements() const;
};

// A model takes one stream, or features of several.
Status check_front(const Preprocessing& way, const std::string& where);

// Adds the inputs and what stands before the model. REQUIRES: check_front() was ok.
Front add_front(const Preprocessing& way, bool normalise, PlanBuilder* plan);

// A plan of the front alone, its last feature stage being what a model takes: to calibrate a model that is no
// plan yet. Streams without filters, for windows that passed them.
Result<std::vector<uint8_t>> front_plan(const Preprocessing& way);

}  // namespace lockstep
