// lockstep compare: the verdicts recomputed from the file alone.
#include <algorithm>
#include <filesystem>

#include "app/base/comparison.h"
#include "app/commands/commands.h"
#include "models/plan/plan_file.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

constexpr size_t kLines = 20;  // of windows that are not the same; --json has all

std::string why_none(const SessionReader& reader, const std::vector<PlanPtr>& plans) {
    std::string ran;
    for (const SegmentInfo& segment : reader.segments())
        for (const DeviceModel& model : segment.started.info.models) {
            const bool wanted = std::any_of(plans.begin(), plans.end(), [&](const PlanPtr& plan) {
                return plan->plan_id == model.plan_id;
            });
            if (model.active && wanted) return "was the recording long enough for the model?";
            const std::string name = model.name + " (" + model.plan_id.substr(0, 16) + ")";
            if (model.active && ran.find(name) == std::string::npos) ran += (ran.empty() ? "" : ", ") + name;
        }
    return ran.empty() ? "the device ran no model" : "the device ran other plans: " + ran;
}

int compare(const std::string& path, const std::vector<std::string>& models, bool json) {
    auto reader = storage::open_session(path);
    if (!reader) return complain(reader.error());
    std::vector<PlanPtr> plans;
    for (const std::string& model : models) {
        auto plan = load_plan(model);
        if (!plan) return complain(plan.error());
        plans.push_back(std::move(*plan));
    }
    const auto result = recompute(**reader, std::move(plans));
    if (!result) return complain(result.error());

    const WindowAccount& w = result->windows;
    const bool equal =
        w.expected > 0 && w.different == 0 && w.lost == 0 && result->host_equal == result->host_compared;
    if (json) {
        Json list = Json::array();
        for (const WindowVerdict& verdict : result->verdicts)
            list.push_back(to_json(verdict, result->plans));
        print_json({{"session", std::filesystem::path(path).filename().string()},
                    {"equal", equal},
                    {"windows", to_json(w)},
                    {"models", models_json(result->plans, result->models)},
                    {"host_recorded", {{"compared", result->host_compared}, {"equal", result->host_equal}}},
                    {"list", list}});
    }
    size_t shown = 0;
    for (const WindowVerdict& verdict : result->verdicts) {
        if (verdict.verdict != Verdict::different && verdict.verdict != Verdict::lost) continue;
        if (++shown <= kLines) say(describe(verdict, result->plans));
    }
    if (shown > kLines) say("and " + std::to_string(shown - kLines) + " more; --json lists every window");
    say(path + ": " + std::to_string(w.expected) + " windows = " + std::to_string(w.same) + " same + " +
        std::to_string(w.different) + " different + " + std::to_string(w.lost) + " lost + " +
        std::to_string(w.outside) + " outside; recorded host predictions: " +
        std::to_string(result->host_equal) + " of " + std::to_string(result->host_compared) + " equal");
    if (w.expected == 0)
        say("lockstep: " + path + ": no window to compare; " + why_none(**reader, result->plans));
    return equal ? kYes : kNo;
}

}  // namespace

void add_compare(CLI::App& root, Chosen* chosen) {
    CLI::App* command = root.add_subcommand(
        "compare", "Recompute a session's predictions on the host: same, different, lost, outside");
    auto path = std::make_shared<std::string>();
    auto models = std::make_shared<std::vector<std::string>>();
    auto json = std::make_shared<bool>(false);
    command->add_option("session", *path, "NAME.h5")->required();
    command->add_option("--model", *models, "Plan to use in place of the session's own")
        ->allow_extra_args(false);
    command->add_flag("--json", *json, "Every window, as one JSON object on standard output");
    command->callback([=] { *chosen = [=] { return compare(*path, *models, *json); }; });
}

}  // namespace lockstep::app
