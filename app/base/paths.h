// Where the program's own files are. Any thread.
#pragma once

#include <string>
#include <vector>

#include "acquisition/loaded_plan.h"
#include "acquisition/stream.h"

namespace lockstep::app {

std::string program_folder();
// $LOCKSTEP_RESOURCES, PROGRAM/../share/lockstep/resources, PROGRAM/../../resources; "" when none exists.
std::string resources_folder();
// $LOCKSTEP_FIRMWARE_DIR, PROGRAM/../share/lockstep/firmware, PROGRAM/../firmware; "" when none exists.
std::string firmware_folder();
// The checkout with embedded_target/, for building; "" when this is an installed program.
std::string source_folder();

// Every plan of the resources, and of PROGRAM/../plans where a build leaves them. Unreadable ones are
// named in `warnings`.
std::vector<PlanPtr> shipped_plans(std::vector<std::string>* warnings);
// Those that the device runs itself.
std::vector<PlanPtr> plans_of_device(const DeviceInfo& info, std::vector<std::string>* warnings);

}  // namespace lockstep::app
