// The goal of the clock map, on simulated lines: <= 0.5 ms rms and <= 2 ms at most over 30 minutes, at 1 %
// loss, with device clocks up to 2.5 % wrong. Pings come when the map asks for them.
#include "acquisition/clock_map.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace lockstep {
namespace {

struct Line {
    double drift_ppm;
    double jitter_ms;    // mean of the exponential delay beyond the shortest, each way
    double interval_ms;  // connection interval: uniform extra delay, each way
    double loss;
    double wander_ppm = 0;  // the drift swings by so much, once in 30 minutes
};

constexpr double kPi = 3.14159265358979323846;

class ClockMapTest : public testing::TestWithParam<Line> {};

TEST_P(ClockMapTest, meets_the_goal) {
    const Line line = GetParam();
    std::mt19937_64 random(7);
    std::exponential_distribution<double> jitter(1 / line.jitter_ms);
    std::uniform_real_distribution<double> uniform(0, 1);
    const double host_start = 1e6;  // the computer has been up for 11 days
    const auto device_s = [&](double t) {
        const double swing = line.wander_ppm * 1800 / (2 * kPi) * (1 - std::cos(2 * kPi * t / 1800));
        return 5 + t + (line.drift_ppm * t + swing) / 1e6;
    };
    const auto device_us = [&](double t) { return uint64_t(device_s(t) * 1e6); };
    ClockMap map;
    double squares = 0;
    double worst = 0;
    int points = 0;
    int pings = 0;
    double stamp = 20;  // the first seconds of a badly wrong clock have too short a base
    for (double t = 0; t < 1800; t += map.ping_interval_s(), ++pings) {
        // Stamps of samples since the last ping.
        for (; stamp < t; stamp += 0.4) {
            const double error = double(map.host_ns(device_us(stamp))) / 1e6 - (host_start + stamp) * 1e3;
            squares += error * error;
            worst = std::max(worst, std::fabs(error));
            ++points;
        }
        if (uniform(random) < line.loss) continue;
        const double up = (0.3 + jitter(random) + line.interval_ms * uniform(random)) / 1e3;
        const double down = (0.3 + jitter(random) + line.interval_ms * uniform(random)) / 1e3;
        ClockObservation o;
        o.sent_ns = int64_t((host_start + t) * 1e9);
        o.device_received_us = device_us(t + up);
        o.device_sent_us = o.device_received_us + 50;
        o.received_ns = int64_t((host_start + t + up + 50e-6 + down) * 1e9);
        map.observe(o);
        // What it says of itself holds at once, from the first ping on.
        const double error = double(map.host_ns(o.device_received_us)) / 1e6 - (host_start + t + up) * 1e3;
        ASSERT_LE(std::fabs(error), map.estimate().bound_ms + 0.001) << "after " << t << " s";
    }
    EXPECT_LE(std::sqrt(squares / points), 0.5);
    EXPECT_LE(worst, 2);
    EXPECT_NEAR(map.estimate().drift_ppm, line.drift_ppm, 50);
    EXPECT_LE(map.estimate().error_ms, 0.5);
    EXPECT_LE(pings, 3600);  // two a second at most: the line is there for the samples
}

INSTANTIATE_TEST_SUITE_P(lines, ClockMapTest,
                         testing::Values(Line{30, 1, 0, 0.01}, Line{5000, 1, 0, 0.01},
                                         Line{25000, 1, 0, 0.01}, Line{-25000, 1, 0, 0.01},
                                         Line{0, 5, 0, 0.01}, Line{30, 0.5, 15, 0.01},
                                         Line{-25000, 0.5, 15, 0.01}, Line{10000, 20, 0, 0.2},
                                         Line{30, 1, 0, 0.01, 5}));

// Pings cannot tell a slow way there from a slow way back: then the map is off by half the difference, and
// its bound says so.
TEST(ClockMap, an_asymmetric_line_stays_within_the_bound) {
    std::mt19937_64 random(3);
    std::exponential_distribution<double> jitter(1);
    ClockMap map;
    double error = 0;
    for (int i = 0; i < 300; ++i) {
        const double t = 1e9 + i * 0.5e9;
        const double up = (0.3 + jitter(random)) * 1e6;
        const double down = (8.3 + jitter(random)) * 1e6;
        map.observe(
            {0, 0, int64_t(t), uint64_t((t + up) / 1e3), uint64_t((t + up) / 1e3), int64_t(t + up + down)});
        error = (double(map.host_ns(uint64_t(t / 1e3))) - t) / 1e6;
    }
    EXPECT_NEAR(error, 4, 0.3);
    EXPECT_GE(map.estimate().bound_ms, std::fabs(error));
    EXPECT_LE(map.estimate().bound_ms, 6);
}

// The device's clock was set, forwards or back, without a reboot being told.
TEST(ClockMap, a_clock_that_jumps_is_found_again) {
    for (const double jump_s : {7.0, -3.0}) {
        ClockMap map;
        double error = 0;
        for (int i = 0; i < 60; ++i) {
            const double t = 1000 + i * 2.0;
            const auto device_us = uint64_t((t - 900 + (i < 40 ? 0 : jump_s)) * 1e6);
            map.observe(
                {0, 0, int64_t((t - 0.0005) * 1e9), device_us, device_us, int64_t((t + 0.0005) * 1e9)});
            if (i > 42) error = std::max(error, std::fabs(double(map.host_ns(device_us)) / 1e6 - t * 1e3));
        }
        EXPECT_LE(error, 0.5) << jump_s;
    }
}

TEST(ClockMap, stamps_never_go_back_between_pings) {
    ClockMap map;
    EXPECT_FALSE(map.ready());
    map.observe({0, 0, 1000000000, 5000000, 5000050, 1002000000});
    ASSERT_TRUE(map.ready());
    int64_t last = map.host_ns(5000000);
    for (uint64_t us = 5000100; us < 9000000; us += 100) {
        EXPECT_GT(map.host_ns(us), last);
        last = map.host_ns(us);
    }
}

TEST(ClockMap, ignores_impossible_answers_and_starts_over_after_a_reboot) {
    ClockMap map;
    map.observe({0, 0, 2000, 10, 10, 1000});  // received before it was sent
    map.observe({0, 0, 1000, 20, 10, 2000});  // answered before it was received
    EXPECT_FALSE(map.ready());
    map.observe({0, 0, 1000, 10, 20, 200000});
    EXPECT_TRUE(map.ready());
    map.restart();
    EXPECT_FALSE(map.ready());
    EXPECT_EQ(map.estimate().observations, 0);
}

}  // namespace
}  // namespace lockstep
