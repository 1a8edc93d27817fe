// A recording in parts: NAME.h5, NAME_part-2.h5, NAME_part-3.h5 ... Every event goes to exactly one part, in
// order, so no sample is lost or stored twice at a seam, and nobody waits for one: the next part is opened
// and the last one finished by a thread of their own.
#pragma once

#include <functional>
#include <memory>

#include "acquisition/session_store.h"

namespace lockstep::storage {

struct RotationRule {
    double seconds = 0;  // of session time a part; 0: no limit
    uint64_t bytes = 0;  // that a part takes on the disk while it is recorded, with its journal; 0: no limit
};

using CreateWriter = std::function<Result<std::unique_ptr<SessionWriter>>(const WriterOptions& options)>;

// Each part is a session of its own: its times count from its own start, its sample counters go on from the
// part before it, open segments end and begin again with the reason "rotated", and its settings name the
// recording's first part (part, part_of). Edits of a label of an earlier part add it to the current one.
// When a part cannot be opened, take_error() says so and the recording goes on in the part it has.
// finish() gives the first part's path.
Result<std::unique_ptr<SessionWriter>> create_rotating(const WriterOptions& options, const RotationRule& rule,
                                                       const CreateWriter& create);

std::string part_path(const std::string& path, int part);

}  // namespace lockstep::storage
