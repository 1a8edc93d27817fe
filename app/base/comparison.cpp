#include "app/base/comparison.h"

#include <map>
#include <set>
#include <tuple>

#include "acquisition/session.h"
#include "models/plan/plan_file.h"

namespace lockstep::app {
namespace {

using WindowKey = std::tuple<int, std::string, uint32_t>;  // segment, plan, window

std::string model_name(int model, const std::vector<PlanPtr>& plans) {
    return model >= 0 && size_t(model) < plans.size() ? plans[size_t(model)]->plan.name()
                                                      : "model " + std::to_string(model);
}

}  // namespace

Result<std::vector<PlanPtr>> plans_of_session(const SessionReader& reader) {
    std::vector<PlanPtr> plans;
    for (const SessionModel& model : reader.models()) {
        auto plan = plan_from_bytes(model.plan);
        if (!plan) {
            Error error = plan.error();
            error.where = reader.path() + ": model " + model.name;
            return tl::make_unexpected(error);
        }
        plans.push_back(std::move(*plan));
    }
    return plans;
}

Result<Recomputed> recompute(SessionReader& reader, std::vector<PlanPtr> plans) {
    Recomputed out;
    if (plans.empty()) {
        auto own = plans_of_session(reader);
        if (!own) return tl::make_unexpected(own.error());
        plans = std::move(*own);
    }
    if (plans.empty())
        return fail(ErrorKind::usage, "the session holds no model", reader.path(), "give one with --model");
    out.plans = plans;

    // Where the recorded host and the device agreed, the recorded host's stage hashes are the device's
    // too: they tell at which stage a later difference begins.
    std::map<WindowKey, Prediction> recorded_host;
    std::map<WindowKey, std::pair<uint32_t, uint32_t>> recorded_device;  // hashes of input, output
    std::set<WindowKey> repeated;  // the host computes what it computed then
    const auto stored = reader.predictions();
    if (!stored) return tl::make_unexpected(stored.error());
    for (const Prediction& p : *stored) {
        const WindowKey key{p.segment, p.plan_id.substr(0, 16), p.window};
        if (p.origin == Origin::host)
            recorded_host[key] = p;
        else
            recorded_device[key] = {p.input_hash, p.output_hash};
    }
    const auto key_of = [&](int segment, int model, uint32_t window) {
        const bool known = model >= 0 && size_t(model) < plans.size();
        return WindowKey{segment, known ? plans[size_t(model)]->plan_id.substr(0, 16) : "", window};
    };
    const auto stages = [&](int segment, int model, uint32_t window) -> Result<std::vector<uint32_t>> {
        const WindowKey key = key_of(segment, model, window);
        const auto host = recorded_host.find(key);
        const auto device = recorded_device.find(key);
        if (host == recorded_host.end() || device == recorded_device.end() || host->second.stages.empty() ||
            device->second != std::make_pair(host->second.input_hash, host->second.output_hash))
            return fail(ErrorKind::usage, "the session does not tell the device's stages");
        return host->second.stages;
    };
    const auto publish = [&](const Event& event) {
        if (const auto* verdict = std::get_if<WindowVerdict>(&event)) {
            out.verdicts.push_back(*verdict);
        } else if (const auto* p = std::get_if<Prediction>(&event);
                   p != nullptr && p->origin == Origin::host) {
            const auto host = recorded_host.find(WindowKey{p->segment, p->plan_id.substr(0, 16), p->window});
            if (host == recorded_host.end()) return;
            ++out.host_compared;
            if (host->second.input_hash != p->input_hash || host->second.output_hash != p->output_hash)
                return;
            ++out.host_equal;
            repeated.insert(host->first);
        }
    };
    OfflineComparison comparison(plans, publish, stages);
    const Status read = reader.replay([&](const Event& event) {
        comparison.on_event(event);
        return true;
    });
    if (!read) return tl::make_unexpected(read.error());
    comparison.finish();

    // The stage that the device was asked for while it could be is in the recorded verdict.
    const auto live = reader.verdicts();
    if (!live) return tl::make_unexpected(live.error());
    std::map<WindowKey, const WindowVerdict*> located;
    for (const WindowVerdict& v : *live)
        if (v.verdict == Verdict::different && v.stage >= 0)
            located[key_of(v.segment, v.model, v.window)] = &v;
    for (WindowVerdict& v : out.verdicts) {
        const WindowKey key = key_of(v.segment, v.model, v.window);
        const auto found = located.find(key);
        if (v.verdict != Verdict::different || v.stage >= 0 || found == located.end() ||
            repeated.count(key) == 0)
            continue;
        v.difference = found->second->difference;
        v.stage = found->second->stage;
        v.reason = found->second->reason;
    }

    Ledger ledger;
    for (const WindowVerdict& verdict : out.verdicts)
        ledger.on_event(verdict);
    const Summary summary = ledger.summary();
    out.models = summary.models;
    out.windows = summary.windows;
    return out;
}

std::string stage_name(const WindowVerdict& verdict, const std::vector<PlanPtr>& plans) {
    if (verdict.stage < 0 || verdict.model < 0 || size_t(verdict.model) >= plans.size()) return {};
    const model::Plan& plan = plans[size_t(verdict.model)]->plan;
    return size_t(verdict.stage) < plan.stages() ? plan.stage(size_t(verdict.stage)).name : "";
}

Json to_json(const WindowVerdict& verdict, const std::vector<PlanPtr>& plans) {
    return {{"model", model_name(verdict.model, plans)},
            {"window", verdict.window},
            {"segment", verdict.segment},
            {"verdict", verdict_name(verdict.verdict)},
            {"difference", difference_name(verdict.difference)},
            {"stage", verdict.stage},
            {"stage_name", stage_name(verdict, plans)},
            {"reason", verdict.reason}};
}

std::string describe(const WindowVerdict& verdict, const std::vector<PlanPtr>& plans) {
    std::string text = model_name(verdict.model, plans) + " window " + std::to_string(verdict.window) + ": " +
                       verdict_name(verdict.verdict);
    const std::string stage = stage_name(verdict, plans);
    if (verdict.verdict == Verdict::different) {
        text += std::string(" (") + difference_name(verdict.difference) + ")";
        if (!stage.empty()) text += " from stage " + std::to_string(verdict.stage) + " '" + stage + "'";
    }
    return verdict.reason.empty() ? text : text + ": " + verdict.reason;
}

Json models_json(const std::vector<PlanPtr>& plans, const std::vector<WindowAccount>& accounts) {
    Json out = Json::array();
    for (size_t i = 0; i < std::max(plans.size(), accounts.size()); ++i) {
        Json entry = i < accounts.size() ? to_json(accounts[i]) : to_json(WindowAccount{});
        entry["name"] = model_name(int(i), plans);
        entry["plan_id"] = i < plans.size() ? plans[i]->plan_id : "";
        out.push_back(entry);
    }
    return out;
}

}  // namespace lockstep::app
