// Classical models from a JSON file that a few lines of Python write (docs/model_format.md, "Classical
// models"): trees, forests, boosting, linear and logistic regression, support vector machines, k-means.
// Untrusted input. Any thread.
#pragma once

#include <optional>

#include "models/preprocessing/preprocessing.h"

namespace lockstep {

bool is_classical(const std::vector<uint8_t>& file);

// A plan of the model: on a row of features, or with `way` on the windows of a stream as they are.
// Float32 arithmetic in a fixed order; nothing is quantised.
Result<std::vector<uint8_t>> classical_plan(const std::string& json_text, const std::string& where,
                                            const std::optional<Preprocessing>& way, const std::string& name,
                                            const std::string& provenance);

}  // namespace lockstep
