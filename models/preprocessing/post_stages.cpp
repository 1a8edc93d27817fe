#include "models/preprocessing/post_stages.h"

#include <cmath>

#include "models/core/ops/windows.h"
#include "models/core/plan_format.h"
#include "models/preprocessing/json_fields.h"

namespace lockstep {
namespace {

using namespace fields;

PostStage post_stage(const json& j, const std::string& pointer) {
    only(j, pointer, {"kind", "windows", "share"});
    const std::string kind = text(j, "kind", pointer);
    const model::HistoryParams p = {natural(j, "windows", pointer, 1, model::kMaxHistory), {}};
    PostStage stage;
    stage.name = kind;
    stage.windows = p.windows;
    std::vector<float> weights;
    if (kind == "moving_average") {
        stage.code = model::kOpSmooth;
        weights.assign(p.windows, 1.0f);
    } else if (kind == "exponential") {
        stage.code = model::kOpSmooth;
        const double share = positive(j, "share", pointer);
        if (share >= 1) throw Misfit{pointer + "/share", "not below 1"};
        for (uint32_t i = 0; i < p.windows; ++i)
            weights.push_back(float(std::pow(1 - share, i)));
    } else if (kind == "majority") {
        stage.code = model::kOpMajority;
    } else {
        throw Misfit{pointer + "/kind", "not moving_average, exponential or majority"};
    }
    const auto* head = reinterpret_cast<const uint8_t*>(&p);
    const auto* tail = reinterpret_cast<const uint8_t*>(weights.data());
    stage.params.assign(head, head + sizeof p);
    stage.params.insert(stage.params.end(), tail, tail + weights.size() * sizeof(float));
    return stage;
}

}  // namespace

std::vector<PostStage> post_stages(const json& j, const std::string& pointer) {
    if (!j.is_array() || j.empty() || j.size() > 4) throw Misfit{pointer, "not a list of 1 to 4 stages"};
    std::vector<PostStage> stages;
    uint32_t memory = 0;
    for (size_t i = 0; i < j.size(); ++i) {
        stages.push_back(post_stage(j[i], pointer + "/" + std::to_string(i)));
        memory += stages.back().windows - 1;
        for (size_t k = 0; k < i; ++k)
            if (stages[k].name == stages[i].name) stages[i].name = stages[k].name + std::to_string(i + 1);
    }
    if (memory > model::kMaxMemory)
        throw Misfit{pointer,
                     "together they look back more than " + std::to_string(model::kMaxMemory) + " windows"};
    return stages;
}

void add_post(const std::vector<PostStage>& stages, uint16_t scores, const std::vector<uint16_t>& dims,
              PlanBuilder* plan) {
    size_t elements = 1;
    for (const uint16_t d : dims)
        elements *= d;
    for (const PostStage& stage : stages) {
        const uint16_t out = plan->add_tensor(model::ElementType::float32, dims);
        plan->add_operator(stage.code, {scores}, out, stage.params, stage.name, model::StageKind::output,
                           model::history_bytes(stage.windows, elements), model::kOperatorKeeps);
        scores = out;
    }
}

}  // namespace lockstep
