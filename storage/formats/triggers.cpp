#include "storage/formats/triggers.h"

#include <cmath>

#include "storage/formats/import_text.h"
#include "storage/formats/samples.h"

namespace lockstep::storage {
namespace {

constexpr size_t kMostChanges = 1000000;

}  // namespace

bool is_trigger(const std::string& channel) {
    const std::string name = lower(trimmed(channel));
    for (const char* known :
         {"status", "trig", "trigger", "triggers", "stim", "marker", "markers", "event", "events"})
        if (name == known) return true;
    // Numbered ones: "STI 014", "STI101", "TRIG1", "Trigger 2", "DIN1".
    for (const char* known : {"sti", "trig", "trigger", "din"}) {
        if (name.rfind(known, 0) != 0) continue;
        const std::string rest = trimmed(name.substr(std::string(known).size()));
        if (!rest.empty() && rest.find_first_not_of("0123456789") == std::string::npos) return true;
    }
    return false;
}

void TriggerCodes::add(double value, double time) {
    if (signal_) return;
    // A calibration moves whole numbers by less than this.
    if (!(std::fabs(value - std::round(value)) < 0.01 && std::fabs(value) < 4e9) ||
        changes_.size() > kMostChanges) {
        signal_ = true;
        changes_ = {};
        return;
    }
    const auto code = int64_t(std::llround(value));
    always_ &= code;
    if (changes_.empty() || changes_.back().code != code) changes_.push_back({code, time});
}

Status TriggerCodes::finish(ImportSink* sink, double end, const Told& told) const {
    if (signal_) {
        sink->note("channel " + channel_ +
                   " is named like a trigger but holds no codes: no labels were made of it");
        return {};
    }
    for (size_t i = 1; i < changes_.size(); ++i) {
        const int64_t code = changes_[i].code & ~always_;
        if (code == 0) continue;
        const double stop = i + 1 < changes_.size() ? changes_[i + 1].time : end;
        const std::string note =
            "channel=" + channel_ + " held_s=" + number_text(float(stop - changes_[i].time));
        const std::string name = "trigger " + (line_ ? channel_ : std::to_string(code));
        if (told.count({name, std::llround(changes_[i].time * 1e3)}) != 0) continue;
        if (auto status = sink->label(changes_[i].time, changes_[i].time, name, note); !status) return status;
    }
    return {};
}

}  // namespace lockstep::storage
