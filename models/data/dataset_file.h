// Reads a training dataset (docs/exports.md), HDF5. Any thread, one at a time; the file is untrusted.
#pragma once

#include "models/data/windows.h"

namespace lockstep {

// The windows of one part of the file's split; "" or "all" = every window.
Result<WindowSet> read_dataset(const std::string& path, const std::string& part);

// Whether the file is one at all; a session is HDF5 too.
bool is_dataset(const std::string& path);

}  // namespace lockstep
