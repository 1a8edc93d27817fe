#include "models/preprocessing/front.h"

#include <algorithm>

#include "models/core/ops/params.h"

namespace lockstep {
namespace {

using model::ElementType;
using model::StageKind;

template <typename T>
void append(std::vector<uint8_t>* out, const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
    out->insert(out->end(), bytes, bytes + values.size() * sizeof(T));
}

// Rows one behind another, an operator for every four.
Front joined(std::vector<Front> rows, const std::string& name, PlanBuilder* plan) {
    while (rows.size() > 1) {
        const size_t n = std::min(rows.size(), model::kMaxOperatorInputs);
        Front row;
        size_t width = 0;
        std::vector<uint16_t> inputs;
        for (size_t i = 0; i < n; ++i) {
            inputs.push_back(rows[i].tensor);
            width += rows[i].dims[1];
        }
        row.dims = {1, uint16_t(width)};
        row.tensor = plan->add_tensor(ElementType::float32, row.dims);
        std::vector<uint8_t> params;
        append(&params, std::vector<int32_t>{1, 0, 0, 0});
        plan->add_operator(model::kOpConcat, std::move(inputs), row.tensor, std::move(params), name,
                           StageKind::features);
        rows.erase(rows.begin(), rows.begin() + long(n));
        rows.insert(rows.begin(), row);
    }
    return rows[0];
}

Front add_stage(const FrontStage& stage, uint16_t input, PlanBuilder* plan) {
    Front out;
    out.dims = stage.dims;
    out.tensor = plan->add_tensor(ElementType::float32, stage.dims);
    plan->add_operator(stage.code, {input}, out.tensor, stage.params, stage.name, StageKind::features,
                       stage.scratch);
    return out;
}

Front add_input(const PreprocessingInput& in, bool normalise, PlanBuilder* plan) {
    Front x;
    x.tensor = plan->add_input(in.stream);
    x.dims = {1, 1, uint16_t(in.stream.window), uint16_t(in.stream.channels.size())};
    if (in.resample) x = add_stage(*in.resample, x.tensor, plan);
    if (!in.features.empty()) {
        std::vector<Front> rows;
        for (const FrontStage& stage : in.features)
            rows.push_back(add_stage(stage, x.tensor, plan));
        x = joined(std::move(rows), in.stream.kind + ".features", plan);
    }
    if (in.standardise && normalise) {
        std::vector<uint8_t> params;
        append(&params, in.mean);
        append(&params, in.deviation);
        const uint16_t y = plan->add_tensor(ElementType::float32, x.dims);
        plan->add_operator(model::kOpNormalise, {x.tensor}, y, std::move(params), "normalise",
                           StageKind::features);
        x.tensor = y;
    }
    return x;
}

}  // namespace

size_t Front::elements() const {
    size_t n = 1;
    for (const uint16_t d : dims)
        n *= d;
    return n;
}

Status check_front(const Preprocessing& way, const std::string& where) {
    if (way.inputs.size() == 1) return {};
    size_t features = 0;
    for (size_t i = 0; i < way.inputs.size(); ++i) {
        if (way.inputs[i].features.empty())
            return fail(ErrorKind::usage,
                        "a model takes one stream, or features of several; this one has none",
                        where + ": /inputs/" + std::to_string(i) + "/features");
        features += way.inputs[i].dims[1];
    }
    if (features > 65535) return fail(ErrorKind::usage, "more than 65535 features", where + ": /inputs");
    return {};
}

Front add_front(const Preprocessing& way, bool normalise, PlanBuilder* plan) {
    std::vector<Front> rows;
    for (const PreprocessingInput& in : way.inputs)
        rows.push_back(add_input(in, normalise, plan));
    return joined(std::move(rows), "features", plan);
}

Result<std::vector<uint8_t>> front_plan(const Preprocessing& way) {
    Preprocessing unfiltered = way;
    for (PreprocessingInput& in : unfiltered.inputs) {
        in.stream.sections.clear();
        in.stream.warmup = in.stream.reset_period = 0;
    }
    PlanBuilder plan(way.model);
    const Front x = add_front(unfiltered, true, &plan);
    const uint16_t q = plan.add_tensor(ElementType::int8, x.dims);
    const uint16_t first = plan.add_tensor(ElementType::int8, std::vector<uint16_t>(x.dims.size(), 1));
    const uint16_t score = plan.add_tensor(ElementType::float32, {1});
    plan.add_operator(model::kOpQuantise, {x.tensor}, q, {}, "quantise", StageKind::quantised_input);
    plan.add_operator(model::kOpSlice, {q}, first, std::vector<uint8_t>(sizeof(model::SliceParams), 0),
                      "first", StageKind::layer);
    plan.add_operator(model::kOpDequantise, {first}, score, {}, "score", StageKind::output);
    plan.set_scores({"first"}, {""}, false);
    return plan.finish();
}

}  // namespace lockstep
