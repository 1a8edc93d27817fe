// Writes a live session (acquisition/session_store.h, SessionWriter). append() queues; one thread writes
// NAME.h5.journal first, within 100 ms, another one builds NAME.h5.tmp from what it wrote; finish()
// verifies that file, gives it its name and only then removes the journal. Whatever ends the program
// in between, `lockstep session repair` makes the session from the journal.
// Disk space for what is on its way and for the end of the file is kept in advance. When no more can be had,
// statistics().full says that it is time to finish(), which has the room it needs. Who goes on all the same
// loses nothing either: the file's space is left to the journal, and repair needs room elsewhere.
#pragma once

#include <memory>

#include "acquisition/session_store.h"
#include "storage/file.h"

namespace lockstep::storage {

// Refuses, before anything is written: an existing file or journal, a folder that cannot be written
// to, less than kMinimumSpace free.
Result<std::unique_ptr<SessionWriter>> create_session(const WriterOptions& options);

constexpr uint64_t kMinimumSpace = 8u << 20;

// What tests change.
struct RecorderLimits {
    OpenAppend open_journal = create_append;
    size_t queue_bytes = 256u << 20;  // more waiting blocks than this are lost: counted, stored as gaps
};
Result<std::unique_ptr<SessionWriter>> create_session(const WriterOptions& options,
                                                      const RecorderLimits& limits);

inline std::string journal_path(const std::string& path) {
    return path + ".journal";
}
inline std::string building_path(const std::string& path) {
    return path + ".tmp";
}

}  // namespace lockstep::storage
