// Places tensors and scratch in one arena: what is needed at the same time never shares bytes.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

// One thing that needs arena bytes while operators first..last run.
struct ArenaNeed {
    uint32_t bytes = 0;
    int first = 0;
    int last = 0;
    uint32_t offset = 0;  // the answer, a multiple of model::kPlanAlign
};

// Fills in the offsets; returns the bytes of the arena.
uint32_t place_in_arena(std::vector<ArenaNeed>& needs);

}  // namespace lockstep
