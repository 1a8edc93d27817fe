// Plans on the desktop: .lsplan files and the bytes kept in sessions. Any thread.
#pragma once

#include <string>
#include <vector>

#include "acquisition/error.h"
#include "acquisition/loaded_plan.h"

namespace lockstep {

// 64 hex digits, SHA-256.
std::string plan_id_of(const std::vector<uint8_t>& bytes);

// Validates the bytes as a plan of this build's format; `path` is for messages and LoadedPlan::path.
Result<PlanPtr> plan_from_bytes(std::vector<uint8_t> bytes, const std::string& path = {});
Result<PlanPtr> load_plan(const std::string& path);

// Written beside its final name first, so that a full disk leaves no half plan. An existing file is
// replaced only with `overwrite`.
Status save_plan(const std::string& path, const std::vector<uint8_t>& bytes, bool overwrite);

}  // namespace lockstep
