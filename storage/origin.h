// How a session came to be.
#pragma once

#include <string>

#include "acquisition/error.h"
#include "storage/provenance.h"

namespace lockstep::storage {

// How the session came to be, step by step, and its format's version. Opened as by open_session().
struct SessionOrigin {
    uint32_t format_version = 0;
    Provenance provenance;
};
Result<SessionOrigin> read_origin(const std::string& path);

}  // namespace lockstep::storage
