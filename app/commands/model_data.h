// Windows for `lockstep model`: from NumPy files and training datasets, or cut from a session by the
// plan's own streams, filters, window and hop.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

#include "acquisition/loaded_plan.h"
#include "models/data/windows.h"

namespace lockstep::app {

struct DataRequest {
    std::string path;
    std::string part;
};

void add_data_options(CLI::App& command, DataRequest* request, bool required);

// Of a session: every window that the plan would decide, filtered, with the label that covers most of it
// and at least 60 % (-1 otherwise).
Result<WindowSet> windows_for(const DataRequest& request, const PlanPtr& plan);
// The same of a session only; nothing when the file is none.
Result<std::optional<WindowSet>> session_windows_for(const std::string& path, const PlanPtr& plan);

}  // namespace lockstep::app
