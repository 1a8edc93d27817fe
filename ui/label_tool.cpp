#include "ui/label_tool.h"

#include <algorithm>
#include <cmath>

#include "ui/theme.h"

namespace lockstep::ui {

QColor class_color(const std::vector<LabelClass>& classes, const std::string& name) {
    for (const LabelClass& c : classes) {
        if (c.name != name) continue;
        QColor color(QString::fromStdString(c.color));
        if (color.isValid()) return color;
    }
    unsigned hash = 2166136261u;
    for (char c : name)
        hash = (hash ^ unsigned(static_cast<unsigned char>(c))) * 16777619u;
    return QColor::fromHsl(int(hash % 360), 110, current_theme() == Theme::dark ? 165 : 105);
}

const std::vector<Label>& LabelTool::visible(double t0, double t1) {
    const uint64_t revision = workbench_->label_revision();
    if (revision != revision_ || t0 < cache_t0_ || t1 > cache_t1_ ||
        t1 - t0 < 0.1 * (cache_t1_ - cache_t0_)) {
        const double margin = t1 - t0;
        cache_t0_ = t0 - margin;
        cache_t1_ = t1 + margin;
        cache_ = workbench_->labels(cache_t0_, cache_t1_);
        revision_ = revision;
        classes_ = workbench_->label_classes();
    }
    return cache_;
}

const std::vector<LabelClass>& LabelTool::classes() {
    if (classes_.empty()) classes_ = workbench_->label_classes();
    return classes_;
}

std::string LabelTool::active_class() {
    if (!class_.empty()) return class_;
    return classes().empty() ? "event" : classes().front().name;
}

bool LabelTool::add(const Label& label) {
    class_ = label.label_class;
    LabelEdit edit;
    edit.operation = LabelOperation::add;
    edit.after = label;
    return workbench_->edit_label(edit);
}

bool LabelTool::change(const Label& before, const Label& after) {
    LabelEdit edit;
    edit.operation = LabelOperation::change;
    edit.before = before;
    edit.after = after;
    edit.after.id = before.id;
    return workbench_->edit_label(edit);
}

bool LabelTool::remove_selected() {
    const std::optional<Label> label = find(selected_);
    if (!label) return false;
    LabelEdit edit;
    edit.operation = LabelOperation::remove;
    edit.before = *label;
    selected_ = 0;
    return workbench_->edit_label(edit);
}

std::optional<Label> LabelTool::find(uint64_t id) {
    if (id == 0) return {};
    for (const Label& label : cache_) {
        if (label.id == id) return label;
    }
    for (const Label& label : workbench_->labels(-1e12, 1e12)) {
        if (label.id == id) return label;
    }
    return {};
}

void LabelTool::key(char hotkey, double now, bool point) {
    const LabelClass* chosen = nullptr;
    classes_ = workbench_->label_classes();
    for (const LabelClass& c : classes_) {
        if (c.hotkey == hotkey) chosen = &c;
    }
    if (!chosen) return;
    if (const std::optional<Label> label = find(selected_)) {
        class_ = chosen->name;
        if (label->label_class == chosen->name) return;
        Label after = *label;
        after.label_class = chosen->name;
        change(*label, after);
        return;
    }
    Label label;
    label.label_class = chosen->name;
    if (point) {
        label.start = label.stop = now;
        add(label);
        return;
    }
    auto found = open_.find(hotkey);
    if (found == open_.end()) {
        open_[hotkey] = {chosen->name, now};
        return;
    }
    label.start = std::min(found->second.start, now);
    label.stop = std::max(found->second.start, now);
    open_.erase(found);
    add(label);
}

void LabelTool::close_all(double now) {
    for (const auto& [hotkey, open] : open_) {
        Label label;
        label.label_class = open.label_class;
        label.start = std::min(open.start, now);
        label.stop = std::max(open.start, now);
        add(label);
    }
    open_.clear();
}

void LabelTool::begin_session(bool goes_on) {
    cancel();
    selected_ = 0;  // its number means another label there
    if (!goes_on) open_.clear();
    for (auto& entry : open_)
        entry.second.start = 0;
}

LabelTool::Part LabelTool::hit(double t, int stream, int channel, double reach, Label* out) {
    Part best = Part::none;
    double shortest = 1e300;
    for (const Label& label : visible(t - reach, t + reach)) {
        if (label.start > t + reach || label.stop < t - reach) continue;
        if (label.stream >= 0 && stream >= 0 && label.stream != stream) continue;
        if (label.channel >= 0 && channel >= 0 && label.channel != channel) continue;
        // The shortest label on top; the selected one before all.
        const double length = label.id == selected_ ? -1 : label.stop - label.start;
        if (length >= shortest) continue;
        const double to_left = std::abs(t - label.start);
        const double to_right = std::abs(t - label.stop);
        Part part = Part::body;
        if (label.stop > label.start && std::min(to_left, to_right) <= reach)
            part = to_left <= to_right ? Part::left : Part::right;
        if (part == Part::body && (t < label.start - reach || t > label.stop + reach)) continue;
        best = part;
        shortest = length;
        *out = label;
    }
    return best;
}

void LabelTool::press(double t, int stream, int channel, double reach, bool only_stream, bool only_channel) {
    Label label;
    drag_ = hit(t, stream, channel, reach, &label);
    dragging_ = true;
    moved_ = false;
    anchor_ = t;
    if (drag_ != Part::none) {
        selected_ = label.id;
        before_ = label;
        draft_ = label;
        return;
    }
    selected_ = 0;
    draft_ = Label{};
    draft_.label_class = active_class();
    draft_.start = draft_.stop = t;
    if (only_stream || only_channel) draft_.stream = stream;
    if (only_channel) draft_.channel = channel;
}

void LabelTool::move(double t) {
    if (!dragging_) return;
    moved_ = true;
    switch (drag_) {
        case Part::none:
            draft_.start = std::min(anchor_, t);
            draft_.stop = std::max(anchor_, t);
            break;
        case Part::left:
            draft_.start = std::min(t, before_.stop);
            break;
        case Part::right:
            draft_.stop = std::max(t, before_.start);
            break;
        case Part::body:
            draft_.start = before_.start + (t - anchor_);
            draft_.stop = before_.stop + (t - anchor_);
            break;
    }
}

bool LabelTool::release(double t, double shortest) {
    if (!dragging_) return false;
    if (moved_) move(t);
    dragging_ = false;
    if (std::abs(t - anchor_) < shortest) return false;
    if (drag_ != Part::none) return change(before_, draft_);
    const uint64_t before = workbench_->label_revision();
    if (!add(draft_)) return false;
    // The new label is selected, so that a digit key right after gives it its class.
    if (workbench_->label_revision() != before) {
        for (const Label& label : workbench_->labels(draft_.start, draft_.stop)) {
            if (label.start == draft_.start && label.stop == draft_.stop)
                selected_ = std::max(selected_, label.id);
        }
    }
    return true;
}

std::optional<double> LabelTool::jump(double t, int direction) {
    const std::vector<Label> all = direction > 0 ? workbench_->labels(t, 1e12) : workbench_->labels(-1e12, t);
    const Label* best = nullptr;
    constexpr double kSame = 1e-6;
    for (const Label& label : all) {
        if (direction > 0 ? label.start <= t + kSame : label.start >= t - kSame) continue;
        if (!best || (direction > 0 ? label.start < best->start : label.start > best->start)) best = &label;
    }
    if (!best) return {};
    selected_ = best->id;
    return best->start;
}

}  // namespace lockstep::ui
