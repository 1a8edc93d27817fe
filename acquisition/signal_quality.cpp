#include "acquisition/signal_quality.h"

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

constexpr double kSeconds = 2;
constexpr size_t kMostSamples = 4096;
constexpr size_t kLeastSamples = 16;
constexpr double kHumShare = 0.5;
constexpr double kLeastRateForHum = 125;  // Hz

// Power of one frequency in the first differences, relative to theirs: 0 none, 1 a pure tone. Differences,
// because slow drift would drown everything else.
double tone_share(const std::vector<float>& x, double hz, double rate) {
    double re = 0;
    double im = 0;
    double power = 0;
    for (size_t i = 1; i < x.size(); ++i) {
        const double d = double(x[i]) - double(x[i - 1]);
        const double w = 2 * 3.14159265358979323846 * hz / rate * double(i);
        re += d * std::cos(w);
        im += d * std::sin(w);
        power += d * d;
    }
    return power > 0 ? 2 * (re * re + im * im) / (power * double(x.size())) : 0;
}

double rms_of(const std::vector<float>& x) {
    double mean = 0;
    for (const float v : x)
        mean += double(v);
    mean /= double(x.size());
    double power = 0;
    for (const float v : x)
        power += (double(v) - mean) * (double(v) - mean);
    return std::sqrt(power / double(x.size()));
}

bool at_the_rails(const StreamInfo& info, const ChannelInfo& channel, float low, float high) {
    if (info.type == SampleType::float32) return false;
    const double rail = std::ldexp(1.0, int(sample_bytes(info.type)) * 8 - 1) - 2;
    const double scale = channel.scale == 0 ? 1 : double(channel.scale);
    const auto counts = [&](float v) { return std::abs((double(v) - double(channel.offset)) / scale); };
    return std::max(counts(low), counts(high)) >= rail;
}

}  // namespace

SignalQuality signal_quality(const TraceSource& raw, const StreamInfo& info, int stream, int channel,
                             double t) {
    const double seconds = std::min(kSeconds, double(kMostSamples - 2) / info.rate());
    const size_t limit = size_t(seconds * info.rate()) + 2;
    std::vector<double> time(limit);
    std::vector<float> value(limit);
    value.resize(raw.samples(stream, channel, t - seconds, t, limit, time.data(), value.data()));
    SignalQuality quality;
    if (value.size() < kLeastSamples) return quality;
    quality.rms = rms_of(value);
    quality.state = SignalState::good;
    const bool electrode = info.kind == "eeg" || info.kind == "ecg" || info.kind == "emg";
    const auto [low, high] = std::minmax_element(value.begin(), value.end());
    if (at_the_rails(info, info.channels[size_t(channel)], *low, *high)) {
        quality.state = SignalState::clipped;
    } else if (electrode && *low == *high) {
        quality.state = SignalState::flat;
    } else if (electrode && info.rate() > kLeastRateForHum) {
        const double at50 = tone_share(value, 50, info.rate());
        const double at60 = tone_share(value, 60, info.rate());
        if (std::max(at50, at60) > kHumShare) {
            quality.state = SignalState::hum;
            quality.mains_hz = at60 > at50 ? 60 : 50;
        }
    }
    return quality;
}

}  // namespace lockstep
