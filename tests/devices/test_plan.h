// Small plans over the streams of the fake board, with a filter, so that history matters.
#pragma once

#include <gtest/gtest.h>

#include "models/core/ops.h"
#include "models/plan/plan_file.h"
#include "models/plan/plan_writer.h"

namespace lockstep::test {

inline PlanPtr make_plan(const std::string& name = "test", uint32_t warmup = 50, float scale = 0.01f) {
    PlanBuilder b(name);
    PlanInput input;
    input.kind = "imu";
    input.rate_num = 100;
    input.channels = {{"x", "g"}, {"y", "g"}};
    input.window = 30;
    input.hop = 15;
    input.warmup = warmup;
    input.reset_period = 500;
    input.sections = {{0.5f, -0.5f, 0, -0.9f, 0}};
    const uint16_t x = b.add_input(input);
    const uint16_t q = b.add_tensor(model::ElementType::int8, {1, 1, 30, 2}, scale, 0);
    b.add_operator(model::kOpQuantise, {x}, q, {}, "quantise", model::StageKind::quantised_input);
    const uint16_t y = b.add_tensor(model::ElementType::float32, {1, 1, 30, 2}, 1, 0);
    b.add_operator(model::kOpDequantise, {q}, y, {}, "output", model::StageKind::output);
    std::vector<std::string> names;
    for (int i = 0; i < 60; ++i)
        names.push_back("s" + std::to_string(i));
    b.set_scores(names, std::vector<std::string>(60), true);
    auto blob = b.finish();
    EXPECT_TRUE(blob) << blob.error().message();
    auto plan = plan_from_bytes(std::move(*blob));
    EXPECT_TRUE(plan) << plan.error().message();
    return *plan;
}

}  // namespace lockstep::test
