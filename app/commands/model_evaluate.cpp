// lockstep model evaluate
#include <cmath>
#include <cstdio>

#include "app/base/session_windows.h"
#include "app/commands/model.h"
#include "app/commands/model_data.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"

namespace lockstep::app {
namespace {

double rounded(double v) {
    return std::round(v * 1e6) / 1e6;
}

Json to_json(const Interval& i) {
    return Json::array({rounded(i.low), rounded(i.high)});
}

Json to_json(const ClassifierMetrics& m, const std::vector<std::string>& classes) {
    Json each = Json::array(), bins = Json::array();
    for (size_t c = 0; c < m.each.size(); ++c)
        each.push_back({{"class", classes[c]},
                        {"precision", rounded(m.each[c].precision)},
                        {"recall", rounded(m.each[c].recall)},
                        {"f1", rounded(m.each[c].f1)},
                        {"windows", m.each[c].support}});
    for (const ReliabilityBin& b : m.reliability)
        bins.push_back(
            {{"windows", b.count}, {"confidence", rounded(b.confidence)}, {"accuracy", rounded(b.accuracy)}});
    return {{"accuracy", rounded(m.accuracy)},
            {"accuracy_interval", to_json(m.accuracy_interval)},
            {"balanced_accuracy", rounded(m.balanced_accuracy)},
            {"f1", rounded(m.f1)},
            {"calibration",
             {{"error", rounded(m.calibration_error)}, {"brier", rounded(m.brier)}, {"bins", bins}}},
            {"classes", each},
            {"confusion", m.confusion}};
}

std::string percent(double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f %%", 100 * v);
    return text;
}

std::string points(double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%+.2f", 100 * v);
    return text;
}

std::string row_text(const char* name, const ClassifierMetrics& m) {
    return std::string(name) + ": accuracy " + percent(m.accuracy) + " (95 % " +
           percent(m.accuracy_interval.low) + " to " + percent(m.accuracy_interval.high) + "), balanced " +
           percent(m.balanced_accuracy) + ", F1 " + percent(m.f1) + ", calibration error " +
           percent(m.calibration_error) + "\n";
}

struct Request {
    std::string plan;
    DataRequest data;
    std::string float_model;
    double max_loss = -1;
    bool json = false;
};

int run(const Request& r) {
    const auto plan = load_plan(r.plan);
    if (!plan) return complain(plan.error());
    if (r.max_loss >= 0 && r.float_model.empty())
        return complain({ErrorKind::usage, "--max-loss needs the float model to compare with", r.plan,
                         "give --float MODEL.onnx"});
    const auto e = evaluate_on(*plan, r.data, r.float_model);
    if (!e) return complain(e.error());
    const bool fits = r.max_loss < 0 || -100 * e->difference->accuracy <= r.max_loss + 1e-9;
    if (r.json) {
        Json out = {{"plan", r.plan},
                    {"plan_id", (*plan)->plan_id},
                    {"data", r.data.path},
                    {"data_sha256", e->data_sha256},
                    {"part", e->part}};
        out.update(evaluation_json(*e));
        if (r.max_loss >= 0) out["max_loss"] = r.max_loss;
        out["within_limit"] = fits;
        print_json(out);
    }
    say(evaluation_text(*e));
    if (smooths((*plan)->plan) && !e->decided)
        say("each window by itself, before smoothing; --data SESSION judges the board's decisions, too");
    if (!fits)
        say("lockstep: " + e->activations + " loses " + points(-e->difference->accuracy) +
            " points, more than the " + points(r.max_loss / 100) + " that --max-loss allows");
    return fits ? kYes : kNo;
}

}  // namespace

Result<Evaluation> evaluate_on(const PlanPtr& plan, const DataRequest& data, const std::string& float_model) {
    EvaluateRequest request;
    request.plan = plan;
    request.float_model = float_model;
    std::optional<WindowSet> decided;
    if (looks_beyond_window(plan)) {
        auto rows = session_decisions_for(data.path, plan);
        if (!rows) return tl::make_unexpected(rows.error());
        decided = std::move(*rows);
        if (decided) request.decided = &*decided;
    }
    std::optional<WindowSet> windows;
    if (!decided || plan->plan.inputs() == 1) {
        auto cut = windows_for(data, plan);
        if (!cut) return tl::make_unexpected(cut.error());
        windows = std::move(*cut);
        request.windows = &*windows;
    }
    return evaluate(request);
}

Json evaluation_json(const Evaluation& e) {
    Json out = {{"windows", e.windows},
                {"people", e.people},
                {"activations", e.activations},
                {"int8", to_json(e.int8, e.classes)}};
    if (e.decided) out["decided"] = to_json(*e.decided, e.classes);
    if (!e.calibrated_on.empty()) out["also_in_calibration"] = e.calibrated_on;
    if (!e.real) return out;
    out["float"] = to_json(*e.real, e.classes);
    const PairedDifference& d = *e.difference;
    out["difference"] = {{"accuracy", rounded(d.accuracy)},
                         {"interval", to_json(d.interval)},
                         {"method", "Newcombe 1998, method 10, 95 %"},
                         {"mcnemar_p", rounded(d.mcnemar_p)},
                         {"same_decision", d.same_decision},
                         {"only_float_right", d.only_first},
                         {"only_int8_right", d.only_second},
                         {"largest_score_error", rounded(e.largest_error)}};
    if (d.people > 1) out["difference"]["people_interval"] = to_json(d.people_interval);
    return out;
}

std::string evaluation_text(const Evaluation& e) {
    std::string text = std::to_string(e.windows) + " windows" +
                       (e.people == 0 ? "" : " of " + std::to_string(e.people) + " people") + "\n";
    text += row_text(e.activations == "int8" ? "int8 " : e.activations.c_str(), e.int8);
    if (e.decided) text += row_text("as the board decides, smoothed", *e.decided);
    if (e.real) {
        const PairedDifference& d = *e.difference;
        text += row_text("float", *e.real);
        text += e.activations + " - float: " + points(d.accuracy) + " points (95 % " +
                points(d.interval.low) + " to " + points(d.interval.high) +
                ", Newcombe 1998), the same decision in " + std::to_string(d.same_decision) + " of " +
                std::to_string(d.windows) + "\n";
    }
    if (!e.calibrated_on.empty())
        text += "warning: " + std::to_string(e.calibrated_on.size()) +
                " of these people also chose the quantisation: the figure flatters\n";
    text += "labels (rows) and decisions:\n";
    for (size_t c = 0; c < e.classes.size(); ++c) {
        for (const size_t n : e.int8.confusion[c]) {
            char cell[24];
            std::snprintf(cell, sizeof cell, "%7zu", n);
            text += cell;
        }
        text += "  " + e.classes[c] + "\n";
    }
    text.pop_back();
    return text;
}

void add_model_evaluate(CLI::App& model, Chosen* chosen) {
    const auto r = std::make_shared<Request>();
    CLI::App* c = model.add_subcommand("evaluate", "How good a plan is, and what int8 costs");
    c->add_option("plan", r->plan, "NAME.lsplan")->required();
    add_data_options(*c, &r->data, true);
    c->add_option("--float", r->float_model, "The .onnx file that was converted, to compare with");
    c->add_option("--max-loss", r->max_loss, "Exit 1 when int8 loses more points of accuracy than this")
        ->check(CLI::NonNegativeNumber);
    c->add_flag("--json", r->json, "One JSON object on standard output");
    c->callback([=] { *chosen = [=] { return run(*r); }; });
}

}  // namespace lockstep::app
