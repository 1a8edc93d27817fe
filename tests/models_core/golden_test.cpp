// The runner against numbers computed by NumPy (models/training): counts in, filtered windows and
// outputs out, equal to the bit.
#include <gtest/gtest.h>

#include "dsp/base/crc32c.h"
#include "dsp/restarting_cascade.h"
#include "models/core/engine.h"
#include "tests/models_core/fixture.h"
#include "tests/models_core/npz.h"

namespace lockstep {
namespace {

using namespace model;

// Counts of a single channel as the second of two, as BoundRunner binds it.
template <typename T>
std::vector<int32_t> beside(const std::vector<T>& counts) {
    std::vector<int32_t> out;
    for (const T v : counts) {
        out.push_back(-7);
        out.push_back(v);
    }
    return out;
}

BlockView block_of(const std::vector<int32_t>& counts, uint64_t first, uint64_t time_us) {
    BlockView b;
    b.first = first;
    b.time_us = time_us;
    b.channels = 2;
    b.count = uint32_t(counts.size() / 2);
    b.counts = Span<const int32_t>(counts.data(), counts.size());
    return b;
}

TEST(VitalsGolden, WindowsFromCounts) {
    const auto blob = shipped_vitals_plan();
    ASSERT_TRUE(blob) << blob.error().message();
    const auto plan = plan_from_bytes(*blob);
    ASSERT_TRUE(plan) << plan.error().message();
    const Npz golden(source_path("resources/models/vitals/golden/golden.npz"));
    ASSERT_EQ((*plan)->plan.stages(), 4u);

    for (size_t g = 0; g < golden["window_start"].shape[0]; ++g) {
        BoundRunner bound((*plan)->plan, 30000, 1, 0);
        ASSERT_EQ(bound.code, Code::ok);
        bound.scale[1][0] = 0.001f;
        const auto start = uint64_t(golden["window_start"].row<int32_t>(g)[0]);
        const auto ppg_first = uint64_t(golden["ppg_first"].row<int32_t>(g)[0]);
        const auto eda_first = uint64_t(golden["eda_first"].row<int32_t>(g)[0]);
        const auto ppg = beside(golden["ppg_counts"].row<int32_t>(g));
        auto eda_counts = golden["eda_counts"].row<int16_t>(g);
        eda_counts.push_back(0);  // the first one after the window tells that it is over
        const auto eda = beside(eda_counts);

        WindowResult r;
        bool seen = false;
        const auto check = [&](WindowState state, const WindowResult& w) {
            if (w.first[0] != start) return;
            seen = true;
            ASSERT_EQ(state, WindowState::result);
            EXPECT_EQ(w.first[1], eda_first);
            EXPECT_EQ(w.stage_hash[1], crc32c(bytes_of(golden["filtered"].row<float>(g))));
            EXPECT_EQ(w.output_hash, crc32c(bytes_of(golden["output"].row<float>(g))));
            for (size_t i = 0; i < 4; ++i)
                EXPECT_EQ(w.scores[i], golden["output"].row<float>(g)[i]);
        };
        feed(bound.runner, 1, block_of(eda, eda_first, eda_first * 31250), &r, check);
        feed(bound.runner, 0, block_of(ppg, ppg_first, ppg_first * 10000), &r, check);
        EXPECT_TRUE(seen) << "golden window " << g;
    }
}

TEST(VitalsGolden, OperatorAlone) {
    const auto blob = shipped_vitals_plan();
    ASSERT_TRUE(blob);
    const auto plan = plan_from_bytes(*blob);
    ASSERT_TRUE(plan);
    const Npz golden(source_path("resources/models/vitals/golden/golden.npz"));
    Engine engine;
    std::vector<uint8_t> memory(Engine::memory_needed((*plan)->plan));
    ASSERT_EQ(engine.bind((*plan)->plan, all_operators(), MutableBytes(memory.data(), memory.size())),
              Code::ok);
    const size_t cases = golden["case_output"].shape[0];
    ASSERT_GE(cases, 10u);
    for (size_t i = 0; i < cases; ++i) {
        const auto ppg = golden["case_ppg"].row<float>(i);
        const auto eda = golden["case_eda"].row<float>(i);
        memcpy(engine.input(0).data, ppg.data(), 4 * ppg.size());
        memcpy(engine.input(1).data, eda.data(), 4 * eda.size());
        engine.run(nullptr, nullptr);
        EXPECT_EQ(tensor_hash(engine.output()), crc32c(bytes_of(golden["case_output"].row<float>(i))))
            << "case " << i;
    }
}

// The movement model's way in, without its network.
TEST(MovementGolden, Filter) {
    const auto m = read_preprocessing(source_path("resources/models/movement/preprocessing.json"));
    ASSERT_TRUE(m) << m.error().message();
    const PlanInput& in = m->inputs[0].stream;
    ASSERT_EQ(in.channels.size(), 6u);
    const Npz golden(source_path("resources/models/movement/golden/golden.npz"));
    std::vector<dsp::Biquad> cascade;
    for (const auto& s : in.sections)
        cascade.push_back({s[0], s[1], s[2], s[3], s[4]});
    for (size_t c = 0; c < 6; ++c) {
        std::vector<dsp::BiquadState> state(dsp::RestartingCascade::states_needed(cascade.size(), 1));
        dsp::RestartingCascade filter;
        filter.bind(Span<const dsp::Biquad>(cascade.data(), cascade.size()), 1, in.reset_period, in.warmup,
                    Span<dsp::BiquadState>(state.data(), state.size()));
        const float scale = c < 3 ? 0.00048828125f : 0.06103515625f;
        std::vector<float> got;
        for (const int16_t count : golden["run_counts"].row<int16_t>(c)) {
            const float physical = float(count) * scale;
            got.push_back(0);
            filter.step(&physical, &got.back());
        }
        EXPECT_EQ(crc32c(bytes_of(got)), crc32c(bytes_of(golden["run_filtered"].row<float>(c))))
            << "channel " << c;
    }
}

std::vector<float> transposed(const std::vector<float>& channels_first) {  // [6][100] -> [100][6]
    std::vector<float> out;
    for (size_t t = 0; t < 100; ++t)
        for (size_t c = 0; c < 6; ++c)
            out.push_back(channels_first[c * 100 + t]);
    return out;
}

TEST(MovementGolden, Normalise) {
    const auto m = read_preprocessing(source_path("resources/models/movement/preprocessing.json"));
    ASSERT_TRUE(m) << m.error().message();
    const Npz golden(source_path("resources/models/movement/golden/golden.npz"));
    std::vector<float> norm = m->inputs[0].mean;
    norm.insert(norm.end(), m->inputs[0].deviation.begin(), m->inputs[0].deviation.end());
    for (size_t g = 0; g < golden["filtered"].shape[0]; ++g) {
        std::vector<float> in = transposed(golden["filtered"].row<float>(g));
        std::vector<float> out(in.size());
        Tensor x;
        x.rank = 4;
        x.dim[2] = 100;
        x.dim[3] = 6;
        x.data = in.data();
        Tensor y = x;
        y.data = out.data();
        OperatorContext c;
        c.input_count = 1;
        c.input[0] = &x;
        c.output = &y;
        c.params = bytes_of(norm);
        ASSERT_EQ(kNormalise.prepare(c), Code::ok);
        kNormalise.eval(c);
        EXPECT_EQ(tensor_hash(y), crc32c(bytes_of(transposed(golden["input"].row<float>(g)))))
            << "window " << g;
    }
}

}  // namespace
}  // namespace lockstep
