// A plan in the desktop's memory. models/plan/plan_file.h makes one from a file or bytes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/core/plan.h"

namespace lockstep {

struct LoadedPlan {
    std::vector<uint8_t> bytes;  // plan.blob() points into it, 16-byte aligned by its allocator
    model::Plan plan;
    std::string plan_id;  // 64 hex digits, SHA-256 of bytes
    std::string path;     // "" when it came from a session
};
using PlanPtr = std::shared_ptr<const LoadedPlan>;

}  // namespace lockstep
