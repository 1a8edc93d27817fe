// Opens finished and recovered sessions (acquisition/session_store.h, SessionReader).
#pragma once

#include <memory>
#include <string>

#include "acquisition/session_store.h"

namespace lockstep::storage {

// The file is opened by a child process first (storage/worker.h), and its structure is checked before
// anything in it is used: links to elsewhere, external and virtual storage, cycles and absurd sizes are
// refused by name, and so is a newer format. Labels that were edited after the session was closed are
// included.
Result<std::unique_ptr<SessionReader>> open_session(const std::string& path);

// The same without the child process: for that process itself and for tests.
Result<std::unique_ptr<SessionReader>> open_session_here(const std::string& path);

}  // namespace lockstep::storage
