#include "models/plan/arena_planner.h"

#include <algorithm>
#include <numeric>

#include "models/core/plan_format.h"

namespace lockstep {

// Greedy by size: the largest first, each at the lowest offset free during its whole life.
uint32_t place_in_arena(std::vector<ArenaNeed>& needs) {
    std::vector<size_t> order(needs.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return needs[a].bytes > needs[b].bytes; });
    std::vector<const ArenaNeed*> placed;  // by offset
    uint32_t total = 0;
    for (const size_t i : order) {
        ArenaNeed& need = needs[i];
        if (need.bytes == 0) continue;
        uint32_t at = 0;
        for (const ArenaNeed* other : placed) {
            if (other->last < need.first || need.last < other->first) continue;
            if (uint64_t(at) + need.bytes <= other->offset) break;
            const uint64_t end = uint64_t(other->offset) + other->bytes;
            at = std::max(at, uint32_t((end + model::kPlanAlign - 1) & ~uint64_t(model::kPlanAlign - 1)));
        }
        need.offset = at;
        total = std::max(total, at + need.bytes);
        placed.insert(
            std::upper_bound(placed.begin(), placed.end(), &need,
                             [](const ArenaNeed* a, const ArenaNeed* b) { return a->offset < b->offset; }),
            &need);
    }
    return total;
}

}  // namespace lockstep
