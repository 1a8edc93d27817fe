// What a plan may not ask of the stages in front of a model, and values that are no numbers.
#include "models/core/ops/features.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

namespace lockstep {
namespace {

using namespace model;

template <typename Params>
struct Stage {
    Params params{};
    std::vector<float> numbers;  // behind the header
    Tensor in, out;
    std::vector<float> x, y, scratch;
    alignas(16) uint8_t bytes[1024] = {};
    OperatorContext context;

    Stage(uint16_t length, uint16_t channels, std::vector<uint16_t> dims, size_t scratch_bytes)
        : x(size_t(length) * channels), y(256), scratch(scratch_bytes / 4) {
        in = tensor({1, 1, length, channels}, &x);
        out = tensor(std::move(dims), &y);
        for (size_t i = 0; i < x.size(); ++i)
            x[i] = float(int(i * 37 % 101) - 50);
    }
    static Tensor tensor(std::vector<uint16_t> dims, std::vector<float>* data) {
        Tensor t;
        t.rank = uint8_t(dims.size());
        for (size_t d = 0; d < dims.size(); ++d)
            t.dim[d] = dims[d];
        t.data = data->data();
        return t;
    }
    Code prepare(const Operator& op) {
        memcpy(bytes, &params, sizeof params);
        if (!numbers.empty()) memcpy(bytes + sizeof params, numbers.data(), 4 * numbers.size());
        context.input_count = 1;
        context.input[0] = &in;
        context.output = &out;
        context.params = Bytes(bytes, sizeof params + 4 * numbers.size());
        context.scratch = MutableBytes(reinterpret_cast<uint8_t*>(scratch.data()), 4 * scratch.size());
        return op.prepare(context);
    }
};

// Every fault alone is refused, and without it the stage is fine.
template <typename S>
void refuses(const Operator& op, const std::function<S()>& make,
             const std::vector<std::function<void(S*)>>& faults) {
    for (size_t i = 0; i < faults.size(); ++i) {
        S good = make();
        ASSERT_EQ(good.prepare(op), Code::ok) << op.name;
        S bad = make();
        faults[i](&bad);
        EXPECT_NE(bad.prepare(op), Code::ok) << op.name << ", fault " << i;
    }
}

using BandPower = Stage<BandPowerParams>;
BandPower band_power() {
    BandPower s(20, 2, {1, 4}, 40);
    s.params = {10, 5, 2, 0};
    s.numbers.assign(30 + 6, 1.0f);
    const Band bands[2] = {{0, 3, 1.0f}, {4, 5, 1.0f}};
    memcpy(&s.numbers[30], bands, sizeof bands);
    return s;
}

TEST(BandPower, RefusesWhatItCannotDo) {
    const auto band = [](BandPower* s, size_t word, uint32_t v) { memcpy(&s->numbers[30 + word], &v, 4); };
    refuses<BandPower>(
        kBandPower, band_power,
        {[](BandPower* s) { s->params.segment = 21; }, [](BandPower* s) { s->params.segment = 1; },
         [](BandPower* s) { s->params.step = 0; }, [](BandPower* s) { s->params.step = UINT32_MAX; },
         [](BandPower* s) { s->params.bands = 0; }, [](BandPower* s) { s->params.bands = 33; },
         [](BandPower* s) { s->params.flags = 4; }, [](BandPower* s) { s->out.dim[1] = 3; },
         [](BandPower* s) { s->out.type = ElementType::int8; }, [](BandPower* s) { s->numbers.pop_back(); },
         [](BandPower* s) { s->scratch.pop_back(); },
         [](BandPower* s) { s->numbers[12] = std::numeric_limits<float>::quiet_NaN(); },
         [&](BandPower* s) { band(s, 1, 6); }, [&](BandPower* s) { band(s, 3, 6); },
         [&](BandPower* s) { band(s, 4, UINT32_MAX); }, [&](BandPower* s) { band(s, 5, 0x7f800000); }});
}

TEST(BandPower, RefusesWorkWithoutEnd) {
    BandPower s(65535, 8, {1, 16}, 40);
    s.params = {10, 1, 2, 0};
    s.numbers = band_power().numbers;
    EXPECT_EQ(s.prepare(kBandPower), Code::ok);
    const Band wide[24] = {};
    s.params.bands = 24;
    s.numbers.assign(30 + 72, 0.0f);
    memcpy(&s.numbers[30], wide, sizeof wide);
    for (size_t b = 0; b < 24; ++b) {
        const Band all = {0, 5, 1.0f};
        memcpy(&s.numbers[30 + 3 * b], &all, sizeof all);
    }
    s.out.dim[1] = 24 * 8;
    EXPECT_EQ(s.prepare(kBandPower), Code::ok);
    s.in.dim[3] = 65535;
    s.out.rank = 2;
    s.out.dim[0] = 24;
    s.out.dim[1] = 65535;
    EXPECT_EQ(s.prepare(kBandPower), Code::out_of_range);
}

TEST(BandPower, ANumberThatIsNoneStaysInItsChannel) {
    BandPower s = band_power();
    s.params.flags = kBandLog | kBandRelative;
    ASSERT_EQ(s.prepare(kBandPower), Code::ok);
    s.x[6] = std::numeric_limits<float>::infinity();
    kBandPower.eval(s.context);
    EXPECT_TRUE(std::isfinite(s.y[2]) && std::isfinite(s.y[3]));
}

TEST(NaturalLog, IsNear) {
    for (float x = 1e-40f; x < 1e38f; x *= 1.37f) {
        const double wanted = std::log(double(x));
        EXPECT_NEAR(double(natural_log(x)), wanted, 3e-7 * std::max(1.0, std::fabs(wanted))) << x;
    }
}

using Resample = Stage<ResampleParams>;
TEST(Resample, RefusesWhatItCannotDo) {
    const auto make = [] {
        Resample s(20, 2, {1, 1, 12, 2}, 0);  // ((20 - 1) * 2 - 4) / 3 + 1
        s.params = {2, 3, 5, 0};
        s.numbers.assign(5, 0.2f);
        return s;
    };
    refuses<Resample>(
        kResample, make,
        {[](Resample* s) { s->params.up = 0; }, [](Resample* s) { s->params.up = 257; },
         [](Resample* s) { s->params.down = 0; }, [](Resample* s) { s->params.count = 0; },
         [](Resample* s) { s->params.count = UINT32_MAX; }, [](Resample* s) { s->params.count = 4; },
         [](Resample* s) { s->out.dim[2] = 13; }, [](Resample* s) { s->out.dim[3] = 3; },
         [](Resample* s) { s->in.rank = 3; }, [](Resample* s) { s->in.type = ElementType::int8; },
         [](Resample* s) { s->numbers[0] = std::numeric_limits<float>::infinity(); }});
    EXPECT_EQ(resampled_length(2, {1, 1, 4, 0}), 0u);
    EXPECT_EQ(resampled_length(4, {1, 1, 4, 0}), 1u);
}

using Heart = Stage<HeartRateParams>;
TEST(HeartRate, RefusesWhatItCannotDo) {
    const auto make = [] {
        Heart s(60, 1, {1, 2}, heart_rate_scratch_bytes(60, {1, 3, 20, 1, 1, 1, 1, 1}));
        s.params = {1, 3, 20, 0.75f, 0.6f, 0.65f, 1.35f, 6000};
        return s;
    };
    refuses<Heart>(
        kHeartRate, make,
        {[](Heart* s) { s->params.decimation = 0; }, [](Heart* s) { s->params.decimation = 61; },
         [](Heart* s) { s->params.lag_min = 1; }, [](Heart* s) { s->params.lag_max = 2; },
         [](Heart* s) { s->params.lag_max = 59; }, [](Heart* s) { s->params.lag_max = UINT32_MAX; },
         [](Heart* s) { s->params.gap = std::nanf(""); }, [](Heart* s) { s->params.per_minute = -1; },
         [](Heart* s) { s->out.dim[1] = 3; }, [](Heart* s) { s->scratch.pop_back(); },
         [](Heart* s) { s->in.dim[3] = 2; }, [](Heart* s) { s->numbers.push_back(0); }});
}

using Skin = Stage<SkinConductanceParams>;
Skin skin() {
    Skin s(40, 1, {1, 4}, 0);
    s.params = {5, 2, 19.5f, 5330, 32, 3, 8, 0};
    return s;
}

TEST(SkinConductance, RefusesWhatItCannotDo) {
    refuses<Skin>(kSkinConductance, skin,
                  {[](Skin* s) { s->params.threshold = 0; }, [](Skin* s) { s->params.fall = std::nanf(""); },
                   [](Skin* s) { s->params.squares = 0; }, [](Skin* s) { s->params.longest = 0; },
                   [](Skin* s) { s->params.longest = UINT32_MAX; }, [](Skin* s) { s->out.dim[1] = 5; },
                   [](Skin* s) { s->in.dim[2] = 1; }, [](Skin* s) { s->in.dim[3] = 2; },
                   [](Skin* s) { s->numbers.push_back(0); }});
}

TEST(SkinConductance, CountsRisesAndNotDrift) {
    Skin s = skin();
    for (size_t i = 0; i < 40; ++i)
        s.x[i] = 0.5f * float(i) + (i >= 10 && i < 14 ? 8.0f : 0.0f) + (i >= 36 ? 6.0f : 0.0f);
    ASSERT_EQ(s.prepare(kSkinConductance), Code::ok);
    kSkinConductance.eval(s.context);
    EXPECT_EQ(s.y[2], 6.0f);  // the first, and one that the window's end cuts
    EXPECT_GT(s.y[3], 6.0f);
    EXPECT_LT(s.y[3], 14.0f);
}

}  // namespace
}  // namespace lockstep
