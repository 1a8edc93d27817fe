#include "ui/plots/spectrum.h"

#include <algorithm>
#include <cmath>
#include <unsupported/Eigen/FFT>

namespace lockstep::ui {

namespace {
constexpr double kPi = 3.14159265358979323846;
constexpr size_t kShortest = 32;
constexpr size_t kLongest = 8192;
constexpr double kLowestPeak = 0.3;  // Hz: below is drift
}  // namespace

Spectrum spectrum_of(const std::vector<float>& samples, double rate, double seconds) {
    size_t n = kShortest;
    while (double(n) < rate * seconds && n < kLongest)
        n *= 2;
    while (n > kShortest && n > samples.size())
        n /= 2;
    Spectrum out;
    if (samples.size() < n || !(rate > 0)) return out;
    std::vector<double> window(n);
    double energy = 0;
    for (size_t i = 0; i < n; ++i) {
        window[i] = 0.5 - 0.5 * std::cos(2 * kPi * double(i) / double(n));
        energy += window[i] * window[i];
    }
    Eigen::FFT<double> fft;
    std::vector<double> piece(n);
    std::vector<std::complex<double>> bins;
    std::vector<double> power(n / 2 + 1);
    size_t pieces = 0;
    for (size_t at = 0; at + n <= samples.size(); at += n / 2, ++pieces) {
        double mean = 0;
        for (size_t i = 0; i < n; ++i)
            mean += double(samples[at + i]);
        mean /= double(n);
        for (size_t i = 0; i < n; ++i)
            piece[i] = (double(samples[at + i]) - mean) * window[i];
        fft.fwd(bins, piece);
        for (size_t i = 0; i < power.size(); ++i)
            power[i] += std::norm(bins[i]);
    }
    double strongest = 0;
    for (size_t i = 1; i < power.size(); ++i) {
        const double hz = double(i) * rate / double(n);
        const double both_sides = i + 1 == power.size() ? 1 : 2;
        const double density = both_sides * power[i] / (double(pieces) * energy * rate);
        out.hz.push_back(hz);
        out.density.push_back(std::sqrt(density));
        if (hz < kLowestPeak || density <= strongest) continue;
        strongest = density;
        out.peak_hz = hz;
    }
    return out;
}

}  // namespace lockstep::ui
