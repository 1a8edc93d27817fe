// A plan as a C++ source: constant tensors, parameters and contexts, and one function that calls the
// operators it names, so that a firmware links nothing else - no loader, no table of operators. The same
// arithmetic as the blob. On an Armv7E-M an operator is bound to its fast kernel alone where that is sure to
// take it; elsewhere the fast kernel is asked and the plain one stands behind it. Any thread.
#pragma once

#include <string>

#include "acquisition/error.h"
#include "acquisition/loaded_plan.h"

namespace lockstep {

struct SourcePlan {
    std::string header;
    std::string source;
    size_t arena_bytes = 0;
};

// `name` becomes the namespace (lockstep::NAME) and, with .h, the file the source includes. Input and
// output are those of run_raw (models/plan/run.h): a plan with int8 or int16 raw tensors begins behind its
// quantiser and ends at its last layer, so that neither a float nor a byte of float tensors is left; with
// `int8_ends` any plan with one quantiser does. The arena is laid out again: a reshape shares its input's
// bytes. Errors: usage, an operator that has no source form.
Result<SourcePlan> plan_source(const PlanPtr& plan, const std::string& name, bool int8_ends = false);

}  // namespace lockstep
