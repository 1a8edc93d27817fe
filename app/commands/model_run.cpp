// lockstep model run
#include <cstdio>
#include <fstream>
#include <iterator>

#include "app/base/session_windows.h"
#include "app/commands/model.h"
#include "app/commands/model_data.h"
#include "models/data/feed.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"

namespace lockstep::app {
namespace {

struct Request {
    std::string plan;
    std::string input;  // raw tensors
    std::string output;
    DataRequest data;
    bool json = false;
};

Result<std::vector<uint8_t>> read_all(const std::string& path) {
    std::vector<uint8_t> bytes;
    if (path == "-") {
        std::freopen(nullptr, "rb", stdin);
        uint8_t block[65536];
        for (size_t n; (n = std::fread(block, 1, sizeof block, stdin)) > 0;)
            bytes.insert(bytes.end(), block, block + n);
        return bytes;
    }
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(ErrorKind::usage, "cannot read the file", path, "check the path");
    bytes.assign(std::istreambuf_iterator<char>(file), {});
    return bytes;
}

int write_all(const std::string& path, const std::vector<uint8_t>& bytes) {
    if (path == "-") {
        std::fwrite(bytes.data(), 1, bytes.size(), stdout);
        return std::fflush(stdout) == 0 ? kYes : kFailed;
    }
    if (const Status s = write_new(path, bytes.data(), bytes.size(), false); !s) return complain(s.error());
    return kYes;
}

int run_on_tensors(const Request& r, const PlanPtr& plan) {
    const auto bytes = read_all(r.input);
    if (!bytes) return complain(bytes.error());
    const auto result = run_raw(plan, *bytes);
    if (!result) return complain(result.error());
    return write_all(r.output, *result);
}

// A line a window: its number, its label when it has one, its scores, and the class that wins.
std::string csv_of(const PlanPtr& plan, const WindowSet& set, const Scored& scored) {
    std::string text = "window,label";
    for (size_t i = 0; i < scored.scores; ++i)
        text += std::string(",") + plan->plan.score_name(i);
    text += plan->plan.is_classifier() ? ",decision\n" : "\n";
    for (size_t w = 0; w < set.count; ++w) {
        const int32_t label = set.labels.empty() ? -1 : set.labels[w];
        const bool named = label >= 0 && size_t(label) < set.classes.size();
        text += std::to_string(w) + "," +
                (label < 0 ? ""
                 : named   ? set.classes[size_t(label)]
                           : std::to_string(label));
        size_t best = 0;
        for (size_t i = 0; i < scored.scores; ++i) {
            char number[32];
            const float v = scored.values[w * scored.scores + i];
            std::snprintf(number, sizeof number, ",%.9g", double(v));
            text += number;
            if (v > scored.values[w * scored.scores + best]) best = i;
        }
        text += plan->plan.is_classifier() ? std::string(",") + plan->plan.score_name(best) + "\n" : "\n";
    }
    return text;
}

// Scores of every window; of a session those that a board gives, smoothed and of several streams.
Result<Scored> score_data(const Request& r, const PlanPtr& plan, WindowSet* set) {
    if (looks_beyond_window(plan)) {
        auto decided = session_decisions_for(r.data.path, plan);
        if (!decided) return tl::make_unexpected(decided.error());
        if (*decided) {
            *set = std::move(**decided);
            Scored scored;
            scored.scores = plan->plan.scores();
            scored.values = set->values;
            return scored;
        }
    }
    auto windows = windows_for(r.data, plan);
    if (!windows) return tl::make_unexpected(windows.error());
    *set = std::move(*windows);
    const auto order = order_of(plan);
    if (!order) return tl::make_unexpected(order.error());
    const auto arrangement = arranged(*set, *order);
    if (!arrangement) return tl::make_unexpected(arrangement.error());
    return score(plan, *arrangement);
}

int run_on_data(const Request& r, const PlanPtr& plan) {
    WindowSet set;
    const auto scored = score_data(r, plan, &set);
    if (!scored) return complain(scored.error());
    if (r.json) {
        Json rows = Json::array();
        for (size_t w = 0; w < set.count; ++w) {
            Json scores = Json::array();
            for (size_t i = 0; i < scored->scores; ++i)
                scores.push_back(scored->values[w * scored->scores + i]);
            rows.push_back(scores);
        }
        Json names = Json::array();
        for (size_t i = 0; i < scored->scores; ++i)
            names.push_back(plan->plan.score_name(i));
        print_json({{"plan_id", plan->plan_id},
                    {"data", r.data.path},
                    {"windows", set.count},
                    {"names", names},
                    {"scores", rows},
                    {"labels", set.labels}});
    }
    if (r.output.empty()) {
        if (!r.json) std::fputs(csv_of(plan, set, *scored).c_str(), stdout);
        return kYes;
    }
    const std::string text = csv_of(plan, set, *scored);
    return write_all(r.output, {text.begin(), text.end()});
}

int run(const Request& r) {
    const auto plan = load_plan(r.plan);
    if (!plan) return complain(plan.error());
    if (r.input.empty() == r.data.path.empty())
        return complain({ErrorKind::usage, "give either raw tensors or data", r.plan,
                         "--raw-input FILE --raw-output FILE, or --data FILE"});
    if (!r.input.empty() && r.output.empty())
        return complain({ErrorKind::usage, "where shall the outputs go", r.plan, "give --raw-output FILE"});
    return r.input.empty() ? run_on_data(r, *plan) : run_on_tensors(r, *plan);
}

}  // namespace

void add_model_run(CLI::App& model, Chosen* chosen) {
    const auto r = std::make_shared<Request>();
    CLI::App* c =
        model.add_subcommand("run", "Run a plan on a session, a dataset, NumPy windows or raw tensors");
    c->add_option("plan", r->plan, "NAME.lsplan")->required();
    c->add_option("--raw-input,--raw", r->input, "Input tensors, one after another; - for standard input");
    c->add_option("--raw-output,-o,--output", r->output,
                  "Outputs, one after another, or CSV with --data; - for standard output");
    add_data_options(*c, &r->data, false);
    c->add_flag("--json", r->json, "With --data: one JSON object on standard output");
    c->callback([=] { *chosen = [=] { return run(*r); }; });
}

}  // namespace lockstep::app
