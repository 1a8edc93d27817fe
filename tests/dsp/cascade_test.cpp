// The restarting cascade against its definition: output n of block m comes from a plain cascade that
// began, with zero state, at max(m*K - W, last restart).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "dsp/restarting_cascade.h"

namespace lockstep::dsp {
namespace {

const std::vector<Biquad> kSections = {{0.2f, 0.4f, 0.2f, -0.37f, 0.19f}, {1.0f, -2.0f, 1.0f, -1.95f, 0.96f}};
constexpr size_t kChannels = 3;

float noise(uint64_t sample, size_t channel) {
    std::mt19937_64 rng(sample * kChannels + channel);
    return std::uniform_real_distribution<float>(-100, 100)(rng);
}

float defined_output(uint64_t n, size_t channel, uint64_t k, uint64_t w, uint64_t restart) {
    const uint64_t block = n / k * k;
    std::vector<BiquadState> state(kSections.size());
    float y = 0;
    for (uint64_t i = std::max(block > w ? block - w : 0, restart); i <= n; ++i)
        y = cascade_step(Span<const Biquad>(kSections.data(), kSections.size()),
                         Span<BiquadState>(state.data(), state.size()), noise(i, channel));
    return y;
}

uint32_t bits(float v) {
    uint32_t b;
    std::memcpy(&b, &v, 4);
    return b;
}

void expect_defined(uint32_t k, uint32_t w, const std::vector<uint64_t>& restarts, uint64_t length) {
    std::vector<BiquadState> state(RestartingCascade::states_needed(kSections.size(), kChannels));
    RestartingCascade filter;
    filter.bind(Span<const Biquad>(kSections.data(), kSections.size()), kChannels, k, w,
                Span<BiquadState>(state.data(), state.size()));
    for (size_t r = 0; r < restarts.size(); ++r) {
        filter.restart(restarts[r]);
        const uint64_t end = r + 1 < restarts.size() ? restarts[r + 1] : restarts[r] + length;
        for (uint64_t n = restarts[r]; n < end; ++n) {
            float sample[kChannels];
            for (size_t c = 0; c < kChannels; ++c)
                sample[c] = noise(n, c);
            filter.step(sample, sample);
            for (size_t c = 0; c < kChannels; ++c)
                ASSERT_EQ(bits(sample[c]), bits(defined_output(n, c, k, w, restarts[r])))
                    << "sample " << n << " K " << k << " W " << w;
        }
    }
}

TEST(RestartingCascade, FollowsItsDefinition) {
    for (const uint32_t w : {0u, 1u, 7u, 19u, 20u})
        expect_defined(20, w, {0}, 90);
    expect_defined(1, 0, {0}, 10);
    expect_defined(1, 1, {0}, 10);
}

TEST(RestartingCascade, RestartsAtGapsAnywhereInABlock) {
    for (uint64_t gap = 40; gap < 62; ++gap)
        expect_defined(20, 7, {0, gap}, 60);
    expect_defined(20, 20, {3, 41, 44, 59, 60, 61}, 50);
}

TEST(RestartingCascade, ForgetsWhatCameBeforeKPlusW) {
    // Two filters, one of which joined late: equal from the first block that began after the join.
    std::vector<BiquadState> memory[2];
    RestartingCascade filter[2];
    for (int i = 0; i < 2; ++i) {
        memory[i].resize(RestartingCascade::states_needed(kSections.size(), 1));
        filter[i].bind(Span<const Biquad>(kSections.data(), kSections.size()), 1, 50, 10,
                       Span<BiquadState>(memory[i].data(), memory[i].size()));
    }
    filter[0].restart(0);
    filter[1].restart(65);
    bool differed = false;
    for (uint64_t n = 0; n < 300; ++n) {
        float a = noise(n, 0);
        float b = a;
        filter[0].step(&a, &a);
        if (n < 65) continue;
        filter[1].step(&b, &b);
        if (n >= 100)
            ASSERT_EQ(bits(a), bits(b)) << n;
        else
            differed = differed || bits(a) != bits(b);
    }
    EXPECT_TRUE(differed);
}

}  // namespace
}  // namespace lockstep::dsp
