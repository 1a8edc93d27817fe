// What a plan sees and decides of a session: its windows cut by the plan's own streams, filters, window and
// hop, and a board's decisions on them. Any thread.
#pragma once

#include <optional>
#include <string>

#include "acquisition/loaded_plan.h"
#include "models/data/windows.h"

namespace lockstep::app {

// Every window that the plan would decide, filtered, with the label that covers most of it and at least 60 %
// (-1 otherwise). Nothing when the file is no session.
Result<std::optional<WindowSet>> session_windows_for(const std::string& path, const PlanPtr& plan);

// Whether a result depends on more than one window of one stream, so that only a session tells it.
bool looks_beyond_window(const PlanPtr& plan);
// What a board decides: the runner over all the session's streams, smoothing included. One row of scores a
// window that has a result, each with the label of the window that it ends with. Nothing when the file is no
// session.
Result<std::optional<WindowSet>> session_decisions_for(const std::string& path, const PlanPtr& plan);

}  // namespace lockstep::app
