// Whether a channel carries a signal at all: flat, at the converter's limits, or drowned by the mains.
#pragma once

#include "acquisition/trace_store.h"

namespace lockstep {

enum class SignalState { unknown, good, flat, clipped, hum };

struct SignalQuality {
    SignalState state = SignalState::unknown;  // unknown: fewer than 16 samples
    double rms = 0;                            // physical units, around the mean
    double mains_hz = 0;                       // 50 or 60 when state is hum
};

// Of the last two seconds (at most 4096 samples) before t, session seconds, from raw samples. Flat and hum
// are asked of electrodes only (eeg, ecg, emg); hum: more than half of the differences' power is one mains
// tone.
SignalQuality signal_quality(const TraceSource& raw, const StreamInfo& info, int stream, int channel,
                             double t);

}  // namespace lockstep
