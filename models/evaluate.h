// `lockstep model evaluate`: how good a plan is on labelled windows, and what int8 costs against the float
// network it came from. Any thread.
#pragma once

#include <optional>

#include "acquisition/loaded_plan.h"
#include "models/data/windows.h"
#include "models/metrics.h"

namespace lockstep {

struct EvaluateRequest {
    PlanPtr plan;
    const WindowSet* windows = nullptr;  // with labels; null: only what was decided is judged
    const WindowSet* decided = nullptr;  // rows of scores, as a board gives them (smoothed); may be null
    std::string float_model;             // .onnx, may be empty
};

struct Evaluation {
    std::vector<std::string> classes;
    std::string activations;  // of the plan, activations_of() (models/plan/layers.h)
    size_t windows = 0;       // with a label
    size_t people = 0;
    ClassifierMetrics int8;                    // of the plan, whatever its activations; each window by itself
    std::optional<ClassifierMetrics> decided;  // after smoothing
    std::optional<ClassifierMetrics> real;
    std::optional<PairedDifference> difference;  // int8 minus float
    double largest_error = 0;                    // of a score
    std::string data_sha256, part;               // of the windows
    std::vector<std::string> calibrated_on;      // people whose windows chose the quantisation, and are here
};

Result<Evaluation> evaluate(const EvaluateRequest& request);

}  // namespace lockstep
