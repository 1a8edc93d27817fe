// One function a command: adds itself to the command line and, when it was chosen, leaves what to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "app/base/console.h"

namespace lockstep::app {

using Chosen = std::function<int()>;

// What an option may be: a finite number above 0, or from `least` to `most`; `unit` is for the help.
CLI::Validator above_zero(const std::string& unit = "");
CLI::Validator between(double least, double most, const std::string& unit = "");

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
