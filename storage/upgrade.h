// Sessions of an older format in today's.
#pragma once

#include <string>

#include "acquisition/error.h"

namespace lockstep::storage {

// Writes the session `path`, of an older format, to `output` in kFormatVersion: every event, label and number
// of it, and a step that says so. `path` stays as it is; `output` must not exist, and appears when it is
// whole. Returns what was done, for people. Refuses what has today's format already. Blocks; any thread.
Result<std::string> upgrade_session(const std::string& path, const std::string& output);

}  // namespace lockstep::storage
