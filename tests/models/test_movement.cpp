// The shipped movement model: its ONNX file, its preprocessing file and its calibration windows become
// a plan; the float network equals PyTorch's logits, the int8 plan decides as the float network does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "models/convert.h"
#include "models/data/npy.h"
#include "models/import/onnx_import.h"
#include "models/network/float_executor.h"
#include "models/network/rewrites.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"

namespace lockstep {
namespace {

std::string folder() {
    return std::string(getenv("LOCKSTEP_SOURCE")) + "/resources/models/movement";
}

// [channels][time] of window w -> [time][channels]
std::vector<float> window_of(const NpyArray& a, size_t w) {
    const size_t channels = a.shape[1], time = a.shape[2];
    std::vector<float> out(channels * time);
    for (size_t c = 0; c < channels; ++c)
        for (size_t t = 0; t < time; ++t)
            out[t * channels + c] = a.values[(w * channels + c) * time + t];
    return out;
}

TEST(Movement, FloatNetworkEqualsGoldenLogits) {
    std::ifstream in(folder() + "/movement.onnx", std::ios::binary);
    const std::vector<uint8_t> file{std::istreambuf_iterator<char>(in), {}};
    auto graph = model::import_onnx(Bytes(file.data(), file.size()), "movement.onnx");
    ASSERT_TRUE(graph) << graph.error().message();
    const auto input = read_npy(folder() + "/golden/golden.npz", "input");
    ASSERT_TRUE(input) << input.error().message();
    const auto logits = read_npy(folder() + "/golden/golden.npz", "logits");
    ASSERT_TRUE(logits) << logits.error().message();
    for (const bool simplified : {false, true}) {
        if (simplified) model::simplify(&*graph);
        ASSERT_TRUE(model::check_graph(*graph));
        for (size_t w = 0; w < input->shape[0]; ++w) {
            const auto out = model::run_float(*graph, window_of(*input, w))[graph->output];
            ASSERT_EQ(out.size(), 5u);
            for (size_t i = 0; i < 5; ++i)
                EXPECT_NEAR(out[i], logits->values[w * 5 + i], 1e-4) << "window " << w;
        }
    }
}

TEST(Movement, Int8PlanDecidesAsTheFloatNetwork) {
    ConvertRequest request;
    request.source = folder() + "/movement.onnx";
    request.preprocessing = folder() + "/preprocessing.json";
    request.calibration = folder() + "/calibration/inputs.npy";
    ConvertReport report;
    const auto blob = convert(request, &report);
    ASSERT_TRUE(blob) << blob.error().message();
    EXPECT_EQ(report.calibration_windows, 300u);
    EXPECT_EQ(report.macs, 252960u);
    EXPECT_GE(report.same_decision * 100, report.calibration_windows * 97);

    const auto plan = plan_from_bytes(*blob);
    ASSERT_TRUE(plan) << plan.error().message();
    EXPECT_STREQ((*plan)->plan.name(), "movement");
    EXPECT_STREQ((*plan)->plan.input(0).kind, "imu");
    EXPECT_EQ((*plan)->plan.input(0).reset_period, 100u);
    EXPECT_TRUE((*plan)->plan.is_classifier());
    EXPECT_STREQ((*plan)->plan.score_name(2), "WALKING");

    // The filtered window in, scores near PyTorch's out.
    const auto filtered = read_npy(folder() + "/golden/golden.npz", "filtered");
    const auto logits = read_npy(folder() + "/golden/golden.npz", "logits");
    ASSERT_TRUE(filtered && logits);
    for (size_t w = 0; w < filtered->shape[0]; ++w) {
        const auto stages = run_stages(*plan, window_of(*filtered, w));
        ASSERT_TRUE(stages) << stages.error().message();
        ASSERT_EQ(stages->back().bytes.size(), 20u);
        for (size_t i = 0; i < 5; ++i) {
            float got;
            memcpy(&got, stages->back().bytes.data() + 4 * i, 4);
            EXPECT_NEAR(got, logits->values[w * 5 + i], 0.5) << "window " << w;
        }
    }

    printf("same decision %zu of %zu, largest error of a logit %.3f\n", report.same_decision,
           report.calibration_windows, double(report.largest_error));
}

TEST(Movement, AccuracySurvivesQuantisation) {
    ConvertRequest request;
    request.source = folder() + "/movement.onnx";
    request.calibration = folder() + "/calibration/inputs.npy";
    const auto blob = convert(request);  // without preprocessing: takes normalised windows
    ASSERT_TRUE(blob) << blob.error().message();
    const auto plan = plan_from_bytes(*blob);
    ASSERT_TRUE(plan) << plan.error().message();
    const auto inputs = read_npy(folder() + "/calibration/inputs.npy");
    const auto labels = read_npy(folder() + "/calibration/labels.npy");
    ASSERT_TRUE(inputs && labels);
    size_t right = 0;
    for (size_t w = 0; w < labels->values.size(); ++w) {
        const std::vector<float> window = window_of(*inputs, w);
        const auto* bytes = reinterpret_cast<const uint8_t*>(window.data());
        const auto out = run_raw(*plan, {bytes, bytes + 4 * window.size()});
        ASSERT_TRUE(out) << out.error().message();
        float scores[5];
        memcpy(scores, out->data(), sizeof scores);
        right += size_t(std::max_element(scores, scores + 5) - scores) == size_t(labels->values[w]);
    }
    printf("int8 accuracy on its own calibration windows: %zu of %zu\n", right, labels->values.size());
    EXPECT_GE(right * 100, labels->values.size() * 90);
}

TEST(Movement, TheShippedPlanIsWhatTheConverterMakes) {
    ConvertRequest request;
    request.source = folder() + "/movement.onnx";
    request.preprocessing = folder() + "/preprocessing.json";
    request.calibration = folder() + "/calibration/inputs.npy";
    const auto loaded = load_plan(folder() + "/movement.lsplan");
    ASSERT_TRUE(loaded) << loaded.error().message();
    const std::vector<uint8_t>& shipped = (*loaded)->bytes;
    const Bytes provenance = (*loaded)->plan.provenance();
    // A later version of the program makes the same plan but for its own name.
    request.tool = nlohmann::json::parse(provenance.data(), provenance.data() + provenance.size())["tool"];
    const auto made = convert(request);
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_TRUE(*made == shipped) << "convert resources/models/movement again";
}

}  // namespace
}  // namespace lockstep
