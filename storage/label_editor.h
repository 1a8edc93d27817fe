// Labels of a closed session (acquisition/session_store.h, LabelEditor). An edit is durable in
// NAME.h5.labels when append() returns; close() - or the next editor - writes them into the session:
// a new file beside it, renamed over the old one. Readers include what still waits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "acquisition/session_store.h"

namespace lockstep::storage {

// One editor per session at a time; a second one is refused. Merges what an earlier one left.
Result<std::unique_ptr<LabelEditor>> open_label_editor(const std::string& path);

// Writes the waiting edits into the session file now; nothing to do when there are none.
// REQUIRES: no editor is open.
Status merge_label_edits(const std::string& path);

inline std::string edits_path(const std::string& path) {
    return path + ".labels";
}

struct PendingEdits {
    std::vector<LabelEdit> edits;
    std::vector<LabelClass> classes;
};
PendingEdits pending_edits(const std::string& path);

}  // namespace lockstep::storage
