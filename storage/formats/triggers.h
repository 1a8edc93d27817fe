// A channel of trigger codes -> labels: the class "trigger CODE" at the sample where a code begins, its
// length in the note. The code that stands at the beginning is no event. Bits that are never low belong to no
// code: inputs of a BioSemi that nothing is plugged into are high.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/formats/import.h"

namespace lockstep::storage {

// Does a channel of this name hold trigger codes? "Status", "Trigger", "TRIG", "STI 014", "Markers", "DIN1"
// ...
bool is_trigger(const std::string& channel);

class TriggerCodes {
  public:
    explicit TriggerCodes(std::string channel, bool line = false)
        : channel_(std::move(channel)), line_(line) {}
    // Every sample in time order. `value`: what the file says; one that is no whole number makes it a signal.
    void add(double value, double time);
    // Once, after the last sample. What `told` already has, as annotations of the file, is not told twice.
    using Told = std::set<std::pair<std::string, int64_t>>;  // class, milliseconds
    Status finish(ImportSink* sink, double end, const Told& told = {}) const;

  private:
    struct Change {
        int64_t code;
        double time;
    };
    std::string channel_;
    bool line_;
    std::vector<Change> changes_;
    int64_t always_ = -1;  // bits that were high in every sample
    bool signal_ = false;
};

}  // namespace lockstep::storage
