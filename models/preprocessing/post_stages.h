// What stands between a model's scores and its decision, as the preprocessing file describes it: smoothing
// and majority over the last windows (docs/model_format.md). They become operators of
// models/core/ops/windows.h.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/plan/plan_writer.h"

namespace lockstep {

struct PostStage {
    uint16_t code = 0;
    std::string name;  // of the stage
    std::vector<uint8_t> params;
    uint32_t windows = 1;
};

// Throws fields::Misfit.
std::vector<PostStage> post_stages(const nlohmann::json& j, const std::string& pointer);

// Adds them behind `scores`, float32 of `dims`.
void add_post(const std::vector<PostStage>& stages, uint16_t scores, const std::vector<uint16_t>& dims,
              PlanBuilder* plan);

}  // namespace lockstep
