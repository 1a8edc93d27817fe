// What each operator of a plan is and costs, for reports: read from the plan's own tables. Any thread.
#pragma once

#include <string>
#include <vector>

#include "acquisition/loaded_plan.h"

namespace lockstep {

struct PlanLayer {
    std::string stage;
    std::string op;     // "conv2d"
    std::string shape;  // of its output, "[1, 1, 64, 32]"
    uint64_t macs = 0;
    size_t params = 0;  // bytes in flash
    size_t output = 0;  // bytes in the arena
    size_t scratch = 0;
};

std::vector<PlanLayer> plan_layers(const model::Plan& plan);
const char* operator_name(uint16_t code);
// What passes between the layers: "int8", "int16", "int8 and int16", or "float32" where nothing is quantised.
const char* activations_of(const model::Plan& plan);
// Whether weights lie as Armv7E-M multiplies them (`--target cortex-m4`); Helium has no kernels for that.
bool has_paired_weights(const model::Plan& plan);

}  // namespace lockstep
