// A session that goes on later. The new part is recorded as a session of its own, NAME_more.h5, with all the
// safety of a recording; then both become one, made beside NAME.h5 and renamed over it. Until that moment
// NAME.h5 is as it was, and NAME_more.h5 can be repaired and appended again.
#pragma once

#include <string>

#include "acquisition/error.h"

namespace lockstep::storage {

std::string more_path(const std::string& path);

// Appends the session `more` to `path` and removes `more`. Its times are placed by both sessions' UTC start;
// its devices, streams and models are those of `path` where they are the same, its segments, labels and
// revisions count on. The settings' `continued` names what was appended, so nothing is ever appended twice.
// An error leaves both as they were. Blocks; one caller at a time for a path.
Status append_session(const std::string& path, const std::string& more);

// For the next start: what an earlier continuation left, a journal or a whole NAME_more.h5, is appended. Says
// what it did; "" when there was nothing.
Result<std::string> append_left_over(const std::string& path);

}  // namespace lockstep::storage
