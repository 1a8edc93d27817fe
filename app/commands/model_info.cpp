// lockstep model info
#include <cstdio>

#include "app/commands/model.h"
#include "models/plan/layers.h"
#include "models/plan/plan_file.h"

namespace lockstep::app {
namespace {

const char* kind_name(model::StageKind kind) {
    static const char* const names[] = {"samples",         "filtered", "features",
                                        "quantised_input", "layer",    "output"};
    return size_t(kind) < 6 ? names[size_t(kind)] : "?";
}

int info(const std::string& path, bool json) {
    const auto loaded = load_plan(path);
    if (!loaded) return complain(loaded.error());
    const model::Plan& plan = (*loaded)->plan;
    Json out = {{"plan", path},
                {"name", plan.name()},
                {"plan_id", (*loaded)->plan_id},
                {"bytes", (*loaded)->bytes.size()},
                {"arena_bytes", plan.arena_bytes()},
                {"activations", activations_of(plan)},
                {"classifier", plan.is_classifier()},
                {"inputs", Json::array()},
                {"stages", Json::array()},
                {"scores", Json::array()}};
    for (size_t i = 0; i < plan.inputs(); ++i) {
        const model::InputSpec input = plan.input(i);
        Json channels = Json::array();
        for (size_t c = 0; c < input.channels; ++c)
            channels.push_back({{"name", plan.channel_name(i, c)}, {"unit", plan.channel_unit(i, c)}});
        out["inputs"].push_back({{"kind", input.kind},
                                 {"rate", double(input.rate_num) / input.rate_den},
                                 {"window", input.window},
                                 {"span", input.span},
                                 {"hop", input.hop},
                                 {"warmup", input.warmup},
                                 {"reset_period", input.reset_period},
                                 {"channels", channels}});
    }
    for (size_t i = 0; i < plan.stages(); ++i)
        out["stages"].push_back({{"name", plan.stage(i).name}, {"kind", kind_name(plan.stage(i).kind)}});
    for (size_t i = 0; i < plan.scores(); ++i)
        out["scores"].push_back({{"name", plan.score_name(i)}, {"unit", plan.score_unit(i)}});
    if (json) {
        print_json(out);
        return kYes;
    }
    std::printf("%s: %s, %zu bytes, arena %zu bytes, %s\n  plan %s\n", path.c_str(), plan.name(),
                (*loaded)->bytes.size(), plan.arena_bytes(), activations_of(plan),
                (*loaded)->plan_id.c_str());
    for (const Json& input : out["inputs"])
        std::printf("  input %s: %zu channels at %g Hz, window %u, hop %u%s\n",
                    input["kind"].get<std::string>().c_str(), input["channels"].size(),
                    input["rate"].get<double>(), input["span"].get<unsigned>(), input["hop"].get<unsigned>(),
                    input["span"] == input["window"] ? "" : ", streaming: each result takes one hop");
    for (size_t i = 0; i < plan.stages(); ++i)
        std::printf("  stage %2zu %-16s %s\n", i, kind_name(plan.stage(i).kind), plan.stage(i).name);
    for (size_t i = 0; i < plan.scores(); ++i)
        std::printf("  score %2zu %s %s\n", i, plan.score_name(i), plan.score_unit(i));
    return kYes;
}

}  // namespace

void add_model_info(CLI::App& model, Chosen* chosen) {
    const auto path = std::make_shared<std::string>();
    const auto json = std::make_shared<bool>(false);
    CLI::App* c = model.add_subcommand("info", "Inputs, stages, outputs and memory of a plan");
    c->add_option("plan", *path, "NAME.lsplan")->required();
    c->add_flag("--json", *json, "One JSON object on standard output");
    c->callback([=] { *chosen = [=] { return info(*path, *json); }; });
}

}  // namespace lockstep::app
