// The goal of the clock map, on simulated lines: <= 0.5 ms rms and <= 2 ms at most over 30 minutes, at 1 %
// loss, with device clocks up to 2.5 % wrong.
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
};

class ClockMapTest : public testing::TestWithParam<Line> {};

TEST_P(ClockMapTest, meets_the_goal) {
    const Line line = GetParam();
    std::mt19937_64 random(7);
    std::exponential_distribution<double> jitter(1 / line.jitter_ms);
    std::uniform_real_distribution<double> uniform(0, 1);
    const double rate = 1 + line.drift_ppm / 1e6;  // device seconds per second
    const double host_start = 1e6;                 // the computer has been up for 11 days
    ClockMap map;
    double squares = 0;
    double worst = 0;
    int points = 0;
    int ping = 0;
    for (double t = 0; t < 1800; t += ++ping < 8 ? 0.1 : 2) {
        if (uniform(random) >= line.loss) {
            const double up = (0.3 + jitter(random) + line.interval_ms * uniform(random)) / 1e3;
            const double down = (0.3 + jitter(random) + line.interval_ms * uniform(random)) / 1e3;
            ClockObservation o;
            o.sent_ns = int64_t((host_start + t) * 1e9);
            o.device_received_us = uint64_t((5 + (t + up) * rate) * 1e6);
            o.device_sent_us = o.device_received_us + 50;
            o.received_ns = int64_t((host_start + t + up + 50e-6 + down) * 1e9);
            map.observe(o);
        }
        if (ping < 8) continue;
        // Stamps of samples until the next ping.
        for (double u = t + 0.1; u < t + 2; u += 0.4) {
            const auto device_us = uint64_t((5 + u * rate) * 1e6);
            const double error = double(map.host_ns(device_us)) / 1e6 - (host_start + u) * 1e3;
            // The first seconds of a badly wrong clock have too short a base.
            if (t > 20) {
                squares += error * error;
                worst = std::max(worst, std::fabs(error));
                ++points;
            }
        }
    }
    EXPECT_LE(std::sqrt(squares / points), 0.5);
    EXPECT_LE(worst, 2);
    EXPECT_NEAR(map.estimate().drift_ppm, line.drift_ppm, 50);
    EXPECT_LE(map.estimate().error_ms, 2);
}

INSTANTIATE_TEST_SUITE_P(lines, ClockMapTest,
                         testing::Values(Line{30, 1, 0, 0.01}, Line{5000, 1, 0, 0.01},
                                         Line{25000, 1, 0, 0.01}, Line{-25000, 1, 0, 0.01}));

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
