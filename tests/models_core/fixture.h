// Plans and runners for the tests.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "models/compile/vitals_plan.h"
#include "models/core/ops.h"
#include "models/core/ops/ring.h"
#include "models/core/runner.h"
#include "models/plan/plan_file.h"
#include "models/plan/plan_writer.h"

namespace lockstep {

inline std::string source_path(const std::string& relative) {
    const char* root = std::getenv("LOCKSTEP_SOURCE");
    return std::string(root == nullptr ? "." : root) + "/" + relative;
}

template <typename T>
Bytes bytes_of(const std::vector<T>& v) {
    return Bytes(reinterpret_cast<const uint8_t*>(v.data()), v.size() * sizeof(T));
}

inline std::vector<uint8_t> float_params(const std::vector<float>& v) {
    const Bytes b = bytes_of(v);
    return {b.begin(), b.end()};
}

// A low-pass and a high-pass section with a long memory.
inline std::vector<std::array<float, 5>> test_sections() {
    return {{0.0675f, 0.1349f, 0.0675f, -1.143f, 0.4128f}, {0.9565f, -1.9131f, 0.9565f, -1.9112f, 0.9150f}};
}

struct TestInput {
    uint32_t rate = 100;
    uint32_t channels = 2;
    uint32_t window = 20;
    uint32_t hop = 5;
    uint32_t warmup = 0;
    uint32_t period = 0;  // 0 = no filter
};

inline PlanInput plan_input(const TestInput& t, const std::string& kind) {
    PlanInput in;
    in.kind = kind;
    in.rate_num = t.rate;
    for (uint32_t c = 0; c < t.channels; ++c)
        in.channels.push_back({"c" + std::to_string(c), "u"});
    in.window = t.window;
    in.hop = t.hop;
    in.warmup = t.warmup;
    in.reset_period = t.period;
    if (t.period != 0) in.sections = test_sections();
    return in;
}

// One input: normalise, quantise, dequantise. The window is short enough for its elements to be scores.
inline Result<std::vector<uint8_t>> chain_plan(const TestInput& t, const std::vector<PostStage>& post = {}) {
    PlanBuilder b("chain");
    const uint16_t dims_t = uint16_t(t.window);
    const uint16_t dims_c = uint16_t(t.channels);
    const uint16_t x = b.add_input(plan_input(t, "imu"));
    const uint16_t n = b.add_tensor(model::ElementType::float32, {1, 1, dims_t, dims_c});
    const uint16_t q = b.add_tensor(model::ElementType::int8, {1, 1, dims_t, dims_c}, 0.25f, -3);
    const uint16_t y = b.add_tensor(model::ElementType::float32, {1, 1, dims_t, dims_c});
    std::vector<float> norm(t.channels, 0.5f);
    norm.insert(norm.end(), t.channels, 3.0f);
    b.add_operator(model::kOpNormalise, {x}, n, float_params(norm), "normalised", model::StageKind::features);
    b.add_operator(model::kOpQuantise, {n}, q, {}, "quantised", model::StageKind::quantised_input);
    b.add_operator(model::kOpDequantise, {q}, y, {}, "out", model::StageKind::output);
    add_post(post, y, {1, 1, dims_t, dims_c}, &b);
    std::vector<std::string> names;
    for (uint32_t i = 0; i < t.window * t.channels; ++i)
        names.push_back("s" + std::to_string(i));
    b.set_scores(names, std::vector<std::string>(names.size(), "u"), false);
    b.set_provenance("{\"test\": true}");
    return b.finish();
}

// A hop of 5 samples of 2 channels, quantised; a ring makes 20 of them.
inline Result<std::vector<uint8_t>> ring_plan() {
    PlanBuilder b("ring");
    PlanInput in = plan_input({100, 2, 5, 5}, "imu");
    in.span = 20;
    const uint16_t x = b.add_input(in);
    const uint16_t q = b.add_tensor(model::ElementType::int8, {1, 1, 5, 2}, 0.25f, -3);
    const uint16_t longer = b.add_tensor(model::ElementType::int8, {1, 1, 20, 2}, 0.25f, -3);
    const uint16_t y = b.add_tensor(model::ElementType::float32, {1, 1, 20, 2});
    const model::RingParams p{4, 2, 15, 0};
    std::vector<uint8_t> params(sizeof p);
    memcpy(params.data(), &p, sizeof p);
    b.add_operator(model::kOpQuantise, {x}, q, {}, "quantised", model::StageKind::quantised_input);
    b.add_operator(model::kOpRing, {q}, longer, params, "earlier", model::StageKind::layer,
                   model::kRingScratchBytes, model::kRing.keeps);
    b.add_operator(model::kOpDequantise, {longer}, y, {}, "out", model::StageKind::output);
    std::vector<std::string> names;
    for (int i = 0; i < 40; ++i)
        names.push_back("s" + std::to_string(i));
    b.set_scores(names, std::vector<std::string>(names.size(), ""), false);
    return b.finish();
}

// Two inputs of one channel each into the vitals operator.
inline Result<std::vector<uint8_t>> pair_plan(TestInput primary, TestInput secondary) {
    primary.channels = secondary.channels = 1;
    secondary.hop = 0;
    PlanBuilder b("pair");
    const uint16_t x = b.add_input(plan_input(primary, "ppg"));
    const uint16_t z = b.add_input(plan_input(secondary, "gsr"));
    const uint16_t y = b.add_tensor(model::ElementType::float32, {1, 4});
    const model::VitalsParams p{1, 2, 8, 0.75f, 0.6f, 0.65f, 1.35f, 6000, 3.5f, 42, 32};
    std::vector<uint8_t> params(sizeof p);
    memcpy(params.data(), &p, sizeof p);
    b.add_operator(model::kOpVitals, {x, z}, y, params, "vitals", model::StageKind::output,
                   model::vitals_scratch_bytes(primary.window, p));
    b.set_scores({"a", "b", "c", "d"}, {"", "", "", ""}, false);
    return b.finish();
}

inline Result<std::vector<uint8_t>> shipped_vitals_plan() {
    const auto m = read_preprocessing(source_path("resources/models/vitals/vitals.json"));
    if (!m) return tl::make_unexpected(m.error());
    return make_operator_plan(*m, "{}");
}

// A runner with its memory; channel c of the plan is channel c + 1 of a stream with one more channel.
struct BoundRunner {
    BoundRunner(const model::Plan& plan, uint32_t slack_ms, float scale_of_all = 0.5f,
                float offset_of_all = 1) {
        for (size_t i = 0; i < plan.inputs(); ++i) {
            const size_t n = plan.input(i).channels;
            channel.emplace_back();
            for (size_t c = 0; c < n; ++c)
                channel.back().push_back(uint16_t(c + 1));
            scale.emplace_back(n, scale_of_all);
            offset.emplace_back(n, offset_of_all);
        }
        for (size_t i = 0; i < plan.inputs(); ++i)
            binding.push_back({channel[i].data(), scale[i].data(), offset[i].data(),
                               uint16_t(plan.input(i).channels + 1), false});
        memory.resize(model::Runner::memory_needed(plan, slack_ms));
        code = runner.bind(plan, model::all_operators(),
                           Span<const model::InputBinding>(binding.data(), binding.size()),
                           MutableBytes(memory.data(), memory.size()), slack_ms);
    }
    std::vector<std::vector<uint16_t>> channel;
    std::vector<std::vector<float>> scale;
    std::vector<std::vector<float>> offset;
    std::vector<model::InputBinding> binding;
    std::vector<uint8_t> memory;
    model::Runner runner;
    Code code = Code::invalid;
};

}  // namespace lockstep
