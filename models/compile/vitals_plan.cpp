#include "models/compile/vitals_plan.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "models/core/engine.h"
#include "models/core/ops.h"
#include "models/plan/plan_writer.h"

namespace lockstep {
namespace {

using model::VitalsParams;

Error misfit(const Preprocessing& m, std::string what) {
    return {ErrorKind::usage, std::move(what), m.model + ": /operator", ""};
}

bool one_channel(const PreprocessingInput& in) {
    return in.stream.channels.size() == 1 && !in.standardise;
}

Result<VitalsParams> vitals_params(const Preprocessing& m) {
    const PlanInput& ppg = m.inputs[0].stream;
    const PlanInput& eda = m.inputs[1].stream;
    VitalsParams p{};
    try {
        const auto j = nlohmann::json::parse(m.operator_json);
        p.decimation = j.at("decimation").get<uint32_t>();
        p.lag_min = j.at("lag_min").get<uint32_t>();
        p.lag_max = j.at("lag_max").get<uint32_t>();
        p.first_peak = j.at("first_peak").get<float>();
        p.gap = j.at("gap").get<float>();
        p.low = j.at("low").get<float>();
        p.high = j.at("high").get<float>();
    } catch (const nlohmann::json::exception& e) {
        return tl::make_unexpected(misfit(m, e.what()));
    }
    if (p.decimation == 0 || p.lag_min < 2 || p.lag_max < p.lag_min || p.lag_max > 4096)
        return tl::make_unexpected(misfit(m, "decimation or lags make no search"));
    const double samples = eda.window;
    p.ppg_per_minute = float(60.0 * ppg.rate_num / ppg.rate_den);
    p.eda_middle = float((samples - 1) / 2);
    p.eda_squares = float(samples * (samples * samples - 1) / 12);  // sum of (i - middle)^2
    p.eda_rate = float(double(eda.rate_num) / eda.rate_den);
    return p;
}

}  // namespace

Result<std::vector<uint8_t>> make_operator_plan(const Preprocessing& m, const std::string& provenance) {
    if (m.operator_name != "vitals")
        return tl::make_unexpected(
            misfit(m, "no operator named \"" + m.operator_name + "\", only \"vitals\""));
    if (m.inputs.size() != 2 || !one_channel(m.inputs[0]) || !one_channel(m.inputs[1]))
        return tl::make_unexpected(misfit(m, "takes two inputs of one channel each, not normalised"));
    if (m.score_names.size() != 4) return tl::make_unexpected(misfit(m, "gives four values"));
    const auto params = vitals_params(m);
    if (!params) return tl::make_unexpected(params.error());
    std::vector<uint8_t> bytes(sizeof(VitalsParams));
    memcpy(bytes.data(), &*params, bytes.size());

    PlanBuilder builder(m.model);
    const uint16_t ppg = builder.add_input(m.inputs[0].stream);
    const uint16_t eda = builder.add_input(m.inputs[1].stream);
    const uint16_t out = builder.add_tensor(model::ElementType::float32, {1, 4});
    builder.add_operator(model::kOpVitals, {ppg, eda}, out, bytes, m.output_tensor, model::StageKind::output,
                         model::vitals_scratch_bytes(m.inputs[0].stream.window, *params));
    add_post(m.post, out, {1, 4}, &builder);
    builder.set_scores(m.score_names, m.score_units, m.is_classifier());
    builder.set_provenance(provenance);
    auto blob = builder.finish();
    if (!blob) return blob;

    // A plan that no engine would bind is refused here, where the words are.
    model::Plan plan;
    model::Engine engine;
    Code code = model::Plan::open(Bytes(blob->data(), blob->size()), &plan);
    std::vector<uint8_t> memory(code == Code::ok ? model::Engine::memory_needed(plan) : 0);
    if (code == Code::ok)
        code = engine.bind(plan, model::all_operators(), MutableBytes(memory.data(), memory.size()));
    if (code != Code::ok)
        return tl::make_unexpected(
            misfit(m, std::string("does not suit its inputs (") + code_name(code) + ")"));
    return blob;
}

}  // namespace lockstep
