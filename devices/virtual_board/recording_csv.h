// "lockstep-recording" text files (resources/recordings/ATTRIBUTION.md describes them) as a signal source:
// lines `# key: value`, a row of channel names, a row of integer counts per sample.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "acquisition/signal_source.h"

namespace lockstep {

// One stream a file. Each of `files` may also be a list with commas, and a file may carry its stream's
// name in front, as in a URI: "eeg:a.csv,imu:b.csv". Everything is read at once (a few MB).
Result<std::unique_ptr<SignalSource>> open_recordings(const std::vector<std::string>& files);

}  // namespace lockstep
