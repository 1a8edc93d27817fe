#include "acquisition/label_track.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace lockstep {
namespace {

// What the session file and every exporter can hold.
constexpr size_t kMaxClass = 255;
constexpr size_t kMaxText = 4000;

int64_t utc_now_ns() {
    using std::chrono::nanoseconds;
    return std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

Status check(const Label& label) {
    if (!std::isfinite(label.start) || !std::isfinite(label.stop) || !std::isfinite(label.confidence))
        return fail(ErrorKind::usage, "a label's times and confidence must be finite numbers",
                    label.label_class);
    if (label.stop < label.start)
        return fail(ErrorKind::usage, "the label stops before it starts", label.label_class,
                    "swap start and stop; a point has both equal");
    if (label.label_class.empty()) return fail(ErrorKind::usage, "the label has no class", {}, "name one");
    if (label.label_class.size() > kMaxClass || label.source.size() > kMaxClass ||
        label.note.size() > kMaxText)
        return fail(ErrorKind::usage, "the label's text is too long", label.label_class.substr(0, 40),
                    "at most 255 bytes of class and 4000 of note");
    if (label.channel >= 0 && label.stream < 0)
        return fail(ErrorKind::usage, "a label on a channel must name its stream", label.label_class);
    return {};
}

}  // namespace

Result<LabelEdit> LabelTrack::apply(LabelEdit edit) {
    if (edit.author.size() > kMaxClass || edit.reason.size() > kMaxText)
        return fail(ErrorKind::usage, "the edit's author or reason is too long");
    if (edit.operation == LabelOperation::add) {
        if (auto ok = check(edit.after); !ok) return tl::make_unexpected(ok.error());
        // An id is kept when it is free, so that undoing a removal brings the same label back.
        if (edit.after.id == 0) edit.after.id = next_id_;
        if (labels_.count(edit.after.id) != 0)
            return fail(ErrorKind::usage, "a label with this id exists", std::to_string(edit.after.id));
        edit.before = Label{};
    } else {
        const auto found = labels_.find(edit.before.id);
        if (found == labels_.end())
            return fail(ErrorKind::usage, "no label has this id", std::to_string(edit.before.id),
                        "list the labels to see their ids");
        edit.before = found->second;
        if (edit.operation == LabelOperation::change) {
            edit.after.id = edit.before.id;
            if (auto ok = check(edit.after); !ok) return tl::make_unexpected(ok.error());
        } else if (edit.operation == LabelOperation::remove) {
            edit.after = Label{};
        } else {
            return fail(ErrorKind::usage, "unknown label operation");
        }
    }

    edit.revision = ++revision_;
    edit.utc_ns = utc_now_ns();
    if (edit.operation == LabelOperation::remove)
        labels_.erase(edit.before.id);
    else
        labels_[edit.after.id] = edit.after;
    next_id_ = std::max(next_id_, edit.after.id + 1);
    history_.push_back(edit);
    if (edit.reason != "undo" && edit.reason != "redo") {
        undo_.push_back(edit);
        // A new edit ends what its author could have redone.
        redo_.erase(std::remove_if(redo_.begin(), redo_.end(),
                                   [&](const LabelEdit& e) { return e.author == edit.author; }),
                    redo_.end());
    }
    return edit;
}

Status LabelTrack::load(const std::vector<LabelEdit>& history) {
    for (const LabelEdit& edit : history) {
        const std::string where = "label revision " + std::to_string(edit.revision);
        if (edit.revision <= revision_) return fail(ErrorKind::usage, "label history is not in order", where);
        if (edit.operation == LabelOperation::add) {
            if (!labels_.emplace(edit.after.id, edit.after).second)
                return fail(ErrorKind::usage, "label history adds an id twice", where);
        } else {
            const auto found = labels_.find(edit.before.id);
            if (found == labels_.end())
                return fail(ErrorKind::usage, "label history edits a label that does not exist", where);
            if (edit.operation == LabelOperation::change)
                found->second = edit.after;
            else
                labels_.erase(found);
        }
        revision_ = edit.revision;
        next_id_ = std::max({next_id_, edit.before.id + 1, edit.after.id + 1});
        history_.push_back(edit);
    }
    return {};
}

LabelEdit LabelTrack::inverse(const LabelEdit& edit) {
    LabelEdit back;
    back.author = edit.author;
    back.reason = "undo";
    back.before = edit.after;
    back.after = edit.before;
    switch (edit.operation) {
        case LabelOperation::add:
            back.operation = LabelOperation::remove;
            break;
        case LabelOperation::remove:
            back.operation = LabelOperation::add;
            break;
        case LabelOperation::change:
            back.operation = LabelOperation::change;
            break;
    }
    return back;
}

namespace {

// Takes the author's latest edit off `from`; nothing when there is none.
std::optional<LabelEdit> take_latest(std::vector<LabelEdit>* from, const std::string& author) {
    for (size_t i = from->size(); i-- > 0;) {
        if ((*from)[i].author != author) continue;
        LabelEdit edit = (*from)[i];
        from->erase(from->begin() + ptrdiff_t(i));
        return edit;
    }
    return std::nullopt;
}

}  // namespace

std::optional<LabelEdit> LabelTrack::undo(const std::string& author) {
    while (auto edit = take_latest(&undo_, author)) {
        // Fails when somebody else has removed the label since: then the edit before it is next.
        if (auto applied = apply(inverse(*edit))) {
            redo_.push_back(*edit);
            return *applied;
        }
    }
    return std::nullopt;
}

std::optional<LabelEdit> LabelTrack::redo(const std::string& author) {
    while (auto edit = take_latest(&redo_, author)) {
        LabelEdit again = *edit;
        again.reason = "redo";
        if (auto applied = apply(again)) {
            undo_.push_back(*edit);
            return *applied;
        }
    }
    return std::nullopt;
}

std::vector<Label> LabelTrack::between(double start, double stop) const {
    std::vector<Label> found;
    for (const auto& [id, label] : labels_) {
        const bool point = label.start == label.stop;
        if (label.start < stop && (point ? label.start >= start : label.stop > start)) found.push_back(label);
    }
    std::sort(found.begin(), found.end(), [](const Label& a, const Label& b) {
        return a.start != b.start ? a.start < b.start : a.id < b.id;
    });
    return found;
}

}  // namespace lockstep
