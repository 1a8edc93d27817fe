// One function a command: adds itself to the command line and, when it was chosen, leaves what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "app/base/console.h"

namespace lockstep::app {

using Chosen = std::function<int()>;

void add_devices(CLI::App& root, Chosen* chosen);
void add_info(CLI::App& root, Chosen* chosen);
void add_monitor(CLI::App& root, Chosen* chosen);
void add_record(CLI::App& root, Chosen* chosen);
void add_replay(CLI::App& root, Chosen* chosen);
void add_compare(CLI::App& root, Chosen* chosen);
void add_label(CLI::App& root, Chosen* chosen);
void add_session(CLI::App& root, Chosen* chosen);
void add_report(CLI::App& session, Chosen* chosen);
void add_firmware(CLI::App& root, Chosen* chosen);
void add_model(CLI::App& root, Chosen* chosen);
void add_export(CLI::App& root, Chosen* chosen);
void add_import(CLI::App& session, Chosen* chosen);

}  // namespace lockstep::app
