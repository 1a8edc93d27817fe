// The only editor of labels: gives ids and revisions, keeps the history, knows how to undo. No Qt.
// Half-open ranges in session seconds. Thread: one caller at a time (the owner locks).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "acquisition/error.h"
#include "acquisition/event.h"

namespace lockstep {

class LabelTrack {
  public:
    // Checks and makes final (id, revision, utc_ns, before); the returned edit is what to journal.
    // Errors: unknown id, stop < start, times that are not finite, empty class.
    Result<LabelEdit> apply(LabelEdit edit);
    // Takes a stored history; REQUIRES: an empty track.
    Status load(const std::vector<LabelEdit>& history);

    // The edit that takes `edit` back; apply() it, so undo is journalled too.
    static LabelEdit inverse(const LabelEdit& edit);
    // Undo and redo over the edits of this track's lifetime by `author`.
    std::optional<LabelEdit> undo(const std::string& author);  // applied; nothing when there is none
    std::optional<LabelEdit> redo(const std::string& author);

    uint64_t revision() const { return revision_; }
    const std::map<uint64_t, Label>& labels() const { return labels_; }  // by id
    const std::vector<LabelEdit>& history() const { return history_; }
    // Labels that touch [start, stop), by start time.
    std::vector<Label> between(double start, double stop) const;

  private:
    std::map<uint64_t, Label> labels_;
    std::vector<LabelEdit> history_;
    std::vector<LabelEdit> undo_;
    std::vector<LabelEdit> redo_;
    uint64_t revision_ = 0;
    uint64_t next_id_ = 1;
};

}  // namespace lockstep
