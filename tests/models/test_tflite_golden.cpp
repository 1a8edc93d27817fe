// TFLite's int8 reference gives these outputs for these inputs; the core gives the same bytes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "models/compile/assemble.h"
#include "models/import/tflite_import.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"

namespace lockstep {
namespace {

std::vector<uint8_t> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

class TfliteGolden : public testing::TestWithParam<const char*> {};

TEST_P(TfliteGolden, EveryByteOfEveryOutput) {
    const char* data = getenv("LOCKSTEP_DATA");
    ASSERT_NE(data, nullptr);
    const std::string stem = std::string(data) + "/models/" + GetParam();
    const std::vector<uint8_t> file = read_file(stem + ".tflite");
    ASSERT_FALSE(file.empty()) << stem;
    const auto graph = model::import_tflite(Bytes(file.data(), file.size()), stem);
    ASSERT_TRUE(graph) << graph.error().message();
    const auto blob = model::raw_plan(*graph, "int8", "{}");
    ASSERT_TRUE(blob) << blob.error().message();
    const auto plan = plan_from_bytes(*blob);
    ASSERT_TRUE(plan) << plan.error().message();

    const auto output = run_raw(*plan, read_file(stem + ".input.i8"));
    ASSERT_TRUE(output) << output.error().message();
    const std::vector<uint8_t> wanted = read_file(stem + ".output.i8");
    ASSERT_EQ(output->size(), wanted.size());
    size_t wrong = 0;
    for (size_t i = 0; i < wanted.size(); ++i)
        wrong += (*output)[i] != wanted[i];
    EXPECT_EQ(wrong, 0u) << "of " << wanted.size();
}

INSTANTIATE_TEST_SUITE_P(Models, TfliteGolden, testing::Values("ad01_int8", "kws_ref_model", "imu", "eeg"));

}  // namespace
}  // namespace lockstep
