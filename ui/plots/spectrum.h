// Power of a signal over frequency, for the eye: Welch's average of half-overlapping Hann windows
// (P. D. Welch, 1967). Plain values, any thread.
#pragma once

#include <vector>

namespace lockstep::ui {

struct Spectrum {
    std::vector<double> hz;
    std::vector<double> density;  // unit / sqrt(Hz)
    double peak_hz = 0;           // of the strongest bin above 0.3 Hz; 0 = none
};

// Windows of the power of two next to rate * seconds, at most 8192 samples; empty when the signal is
// shorter than one window of 32 samples.
Spectrum spectrum_of(const std::vector<float>& samples, double rate, double seconds = 2);

}  // namespace lockstep::ui
