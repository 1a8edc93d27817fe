// Device and host held against each other from a stored session alone (docs/parity.md).
#pragma once

#include <string>
#include <vector>

#include "acquisition/ledger.h"
#include "acquisition/loaded_plan.h"
#include "acquisition/session_store.h"
#include "app/base/report_data.h"

namespace lockstep::app {

// The plans that a session carries, in its order.
Result<std::vector<PlanPtr>> plans_of_session(const SessionReader& reader);

struct Recomputed {
    std::vector<PlanPtr> plans;
    std::vector<WindowVerdict> verdicts;
    std::vector<WindowAccount> models;  // by model
    WindowAccount windows;
    // Recorded host predictions against the recomputed ones, where both exist.
    uint64_t host_compared = 0;
    uint64_t host_equal = 0;
};

// `plans`: other models than the session's own; empty = its own.
Result<Recomputed> recompute(SessionReader& reader, std::vector<PlanPtr> plans);

// {"model", "window", "segment", "verdict", "difference", "stage", "stage_name", "reason"}
Json to_json(const WindowVerdict& verdict, const std::vector<PlanPtr>& plans);
std::string stage_name(const WindowVerdict& verdict, const std::vector<PlanPtr>& plans);
// One line on a window that is not the same.
std::string describe(const WindowVerdict& verdict, const std::vector<PlanPtr>& plans);
Json models_json(const std::vector<PlanPtr>& plans, const std::vector<WindowAccount>& accounts);

}  // namespace lockstep::app
