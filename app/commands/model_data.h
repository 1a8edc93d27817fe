// The data of `lockstep model`: sessions, training datasets and NumPy files.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "acquisition/loaded_plan.h"
#include "models/data/windows.h"

namespace lockstep::app {

struct DataRequest {
    std::string path;
    std::string part;
};

void add_data_options(CLI::App& command, DataRequest* request, bool required);

// Of a session its windows (app/base/session_windows.h).
Result<WindowSet> windows_for(const DataRequest& request, const PlanPtr& plan);

}  // namespace lockstep::app
