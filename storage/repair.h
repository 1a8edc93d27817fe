// Making sessions from journals, and looking whether a session is in order.
#pragma once

#include <string>
#include <vector>

#include "acquisition/session_store.h"
#include "storage/journal.h"

namespace lockstep::storage {

struct RecoveryReport {
    std::string path;  // the session that was made
    uint64_t events = 0;
    uint64_t samples = 0;  // rows x channels
    double seconds = 0;
    JournalReport journal;
    uint64_t gaps_added = 0;  // for samples whose records were lost
    std::string text;         // one line for people
};

// Makes `path` from `path`.journal, in a child process with a time limit, and removes the journal once
// the new file is verified. `path` may also name the journal itself. When both exist and the
// file is in order, the left-over journal is removed; when it is not, the file is kept as
// `path`.broken. `output`, a file or a folder: write the session there instead and leave the
// journal alone, as when its own disk has no room; that error says how many bytes are missing.
Result<RecoveryReport> recover(const std::string& path, const std::string& output = {});

// Everything that is wrong with a session: structure, checksums, counters, gaps against the counters,
// block table, pyramid, label history, prediction tables. Empty when it is in order; an Error when it
// cannot be opened at all.
// Depth::storage looks at what the file itself promises (structure, checksums, tables), not at whether
// what was fed to it adds up.
enum class Depth { storage, accounts };
Result<std::vector<std::string>> verify(const std::string& path, Depth depth = Depth::accounts);

// For the recorder: the file at `building`, which must not exist, from a journal.
Result<RecoveryReport> build_from_journal(const std::string& journal, const std::string& building,
                                          const std::string& state);
// In the worker: the session `target` from a journal, by way of `building`. The report as JSON.
Result<std::string> recover_here(const std::string& journal, const std::string& building,
                                 const std::string& target);
// Then: checks what was written, syncs, renames; an existing `path` is an error.
Status verify_and_name(const std::string& building, const std::string& path);

}  // namespace lockstep::storage
