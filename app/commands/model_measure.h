// Instructions and stack of a plan on the emulated boards, counted in QEMU: exact and repeatable, and
// instructions, not cycles. Any thread.
#pragma once

#include <string>
#include <vector>

#include "acquisition/error.h"
#include "acquisition/loaded_plan.h"

namespace lockstep::app {

struct BoardMeasure {
    std::string board, processor;
    std::string why_not;  // empty: measured
    uint64_t instructions = 0;
    std::vector<uint64_t> layers;  // per operator of the plan
    uint64_t stack_bytes = 0;      // deepest, of one inference
};

// Every emulated board. One that cannot be measured says why.
std::vector<BoardMeasure> measure_on_boards(const LoadedPlan& plan);

}  // namespace lockstep::app
