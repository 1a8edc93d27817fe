// Plans of models that are one operator and no network: preprocessing files with an `operator` block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "acquisition/error.h"
#include "models/preprocessing/preprocessing.h"

namespace lockstep {

// `provenance` (JSON text, may be empty) travels in the plan. The error names the field that the
// operator cannot take.
Result<std::vector<uint8_t>> make_operator_plan(const Preprocessing& model, const std::string& provenance);

}  // namespace lockstep
