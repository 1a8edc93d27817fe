// A channel's state as people are told it: on signals whose answer is known.
#include "acquisition/signal_quality.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace lockstep {
namespace {

constexpr double kRate = 250;

class Made : public TraceSource {
  public:
    Made(std::string kind, std::function<double(double)> counts) : counts_(std::move(counts)) {
        info_.name = info_.kind = std::move(kind);
        info_.type = SampleType::int16;
        info_.rate_num = uint32_t(kRate);
        info_.channels = {{"a", "uV", 0.5F, 10.0F}};
    }
    SignalQuality quality() const { return signal_quality(*this, info_, 0, 0, 10); }

    std::vector<StreamInfo> streams() const override { return {info_}; }
    double begin_time() const override { return 0; }
    double end_time() const override { return 10; }
    double begin_time(int) const override { return 0; }
    double end_time(int) const override { return 10; }
    void extent(int, int, double, double, int, Extent*) const override {}
    size_t samples(int, int, double t0, double t1, size_t limit, double* time, float* value) const override {
        size_t n = 0;
        for (auto k = int64_t(std::ceil(t0 * kRate)); double(k) / kRate < t1 && n < limit; ++k, ++n) {
            time[n] = double(k) / kRate;
            const double counts = std::clamp(std::round(counts_(time[n])), -32768.0, 32767.0);
            value[n] = float(counts) * 0.5F + 10.0F;
        }
        return n;
    }

  private:
    StreamInfo info_;
    std::function<double(double)> counts_;
};

double tone(double hz, double t) {
    return std::sin(2 * 3.14159265358979323846 * hz * t);
}

TEST(SignalQuality, OfKnownSignals) {
    const auto alpha = [](double t) { return 400 * tone(10, t) + 60 * tone(23, t); };
    const SignalQuality good = Made("eeg", alpha).quality();
    EXPECT_EQ(good.state, SignalState::good);
    EXPECT_NEAR(good.rms, 0.5 * std::sqrt((400.0 * 400 + 60.0 * 60) / 2), 1);
    EXPECT_EQ(Made("eeg", [](double) { return 7; }).quality().state, SignalState::flat);
    EXPECT_EQ(Made("eeg", [](double t) { return 40000 * tone(3, t); }).quality().state, SignalState::clipped);
    EXPECT_EQ(Made("ppg", [](double t) { return t > 9.5 ? -32768 : 0; }).quality().state,
              SignalState::clipped);
}

TEST(SignalQuality, HumIsNamedWithItsFrequency) {
    for (const double mains : {50.0, 60.0}) {
        const auto counts = [&](double t) { return 300 * tone(10, t) + 400 * tone(mains, t); };
        const SignalQuality quality = Made("eeg", counts).quality();
        EXPECT_EQ(quality.state, SignalState::hum);
        EXPECT_EQ(quality.mains_hz, mains);
    }
}

// A temperature may stand still, and an accelerometer may feel a motor.
TEST(SignalQuality, OnlyElectrodesAreAskedForMore) {
    EXPECT_EQ(Made("gsr", [](double) { return 7; }).quality().state, SignalState::good);
    EXPECT_EQ(Made("imu", [](double t) { return 400 * tone(50, t); }).quality().state, SignalState::good);
}

}  // namespace
}  // namespace lockstep
