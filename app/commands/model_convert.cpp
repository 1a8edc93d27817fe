// lockstep model convert
#include <cstdio>
#include <map>

#include "app/base/session_windows.h"
#include "app/commands/model.h"
#include "app/commands/model_data.h"
#include "models/compile/assemble.h"
#include "models/convert.h"
#include "models/plan/plan_file.h"

namespace lockstep::app {
namespace {

struct Request {
    ConvertRequest convert;
    std::string output;
    std::vector<std::string> without, int16;
    bool list_rewrites = false;
    bool force = false;
    bool json = false;
};

int list_rewrites(bool json) {
    Json out = Json::array();
    for (const model::RewriteInfo& r : model::rewrite_list()) {
        out.push_back({{"name", r.name}, {"what", r.what}});
        if (!json) std::printf("%-18s %s\n", r.name, r.what);
    }
    if (json) print_json({{"rewrites", out}});
    return kYes;
}

Json pruning_json(const model::PruningReport& p) {
    Json layers = Json::array();
    for (const model::PrunedLayer& l : p.layers) {
        layers.push_back({{"node", l.node}, {"channels", l.channels}, {"kept", l.kept}});
        if (!l.why_not.empty()) layers.back()["why_not"] = l.why_not;
    }
    return {{"fraction", p.fraction},         {"macs_before", p.macs_before}, {"macs_after", p.macs_after},
            {"bytes_before", p.bytes_before}, {"bytes_after", p.bytes_after}, {"layers", layers}};
}

void say_pruning(const model::PruningReport& p) {
    for (const model::PrunedLayer& l : p.layers)
        say("pruned \"" + l.node + "\": " + std::to_string(l.kept) + " of " + std::to_string(l.channels) +
            " channels" + (l.why_not.empty() ? "" : ", " + l.why_not));
    say("pruned: " + std::to_string(p.macs_after) + " of " + std::to_string(p.macs_before) +
        " multiplications, " + std::to_string(p.bytes_after) + " of " + std::to_string(p.bytes_before) +
        " bytes of weights; 'lockstep model evaluate --float' tells what it costs");
}

Json streaming_json(const ConvertReport& report) {
    const model::StreamingReport& s = *report.streaming;
    Json whole = Json::array();
    for (const auto& stop : s.whole)
        whole.push_back({{"node", stop.node}, {"why", stop.why}});
    return {{"window", s.window},
            {"hop", s.hop},
            {"windows", s.windows},
            {"lag", s.lag},
            {"macs_before", s.macs_before},
            {"macs_after", s.macs_after},
            {"same_scores", report.same_scores},
            {"same_decision", report.same_by_hops},
            {"whole_windows", whole},
            {"history_for_padding", s.history}};
}

void say_streaming(const ConvertReport& report) {
    const model::StreamingReport& s = *report.streaming;
    for (const auto& stop : s.whole)
        say("\"" + stop.node + "\" and what follows it take whole windows: " + stop.why);
    for (const std::string& node : s.history)
        say("\"" + node + "\" sees the rows around a window where that had padding");
    std::string text = "by hops of " + std::to_string(s.hop) + " of " + std::to_string(s.window) +
                       " samples: " + std::to_string(s.macs_after) + " of " + std::to_string(s.macs_before) +
                       " multiplications";
    if (s.lag != 0) text += "; results are " + std::to_string(s.lag) + " samples late";
    const bool same = s.history.empty();
    if (report.calibration_windows != 0)
        text += "; " + std::to_string(same ? report.same_scores : report.same_by_hops) + " of " +
                std::to_string(report.calibration_windows) + " calibration windows have the same " +
                (same ? "bits" : "decision") + " as by whole windows";
    say(text);
}

Json precision_json(const PrecisionReport& p) {
    Json layers = Json::array();
    for (const LayerPrecision& l : p.layers) {
        layers.push_back({{"layer", l.layer},
                          {"activations", l.why.empty() ? "int8" : "int16"},
                          {"int8_sqnr_db", l.int8_db},
                          {"sqnr_db", l.chosen_db},
                          {"macs", l.macs},
                          {"int8_bytes", l.bytes}});
        if (l.why.empty()) continue;
        layers.back()["why"] = l.why;
        layers.back()["score_error_without"] = l.error_without;
    }
    Json out = {{"windows", p.windows},
                {"score_error", p.error},
                {"int8_score_error", p.int8_error},
                {"int16_score_error", p.int16_error},
                {"arena_bytes", p.arena},
                {"int8_arena_bytes", p.int8_arena},
                {"int16_arena_bytes", p.int16_arena},
                {"macs", p.macs},
                {"int16_macs", p.int16_macs},
                {"layers", layers}};
    if (p.limit > 0) out["limit"] = p.limit;
    return out;
}

std::string share(double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f %%", 100 * v);
    return text;
}

void say_precision(const PrecisionReport& p) {
    for (const LayerPrecision& l : p.layers) {
        if (l.why.empty()) continue;
        char noise[64];
        std::snprintf(noise, sizeof noise, "%.1f dB above its noise, %.1f in int8", l.chosen_db, l.int8_db);
        std::string text = "int16 \"" + l.layer + "\" (" + l.why + "): " + noise + "; " +
                           std::to_string(l.bytes) + " bytes more, " + std::to_string(l.macs) +
                           " multiplications in int16";
        say(text + "; the scores' error without it: " + share(l.error_without));
    }
    say("error of the scores on " + std::to_string(p.windows) + " windows, of their spread: " +
        share(p.error) + " (all int8 " + share(p.int8_error) + ", all int16 " + share(p.int16_error) +
        (p.limit > 0 ? "; limit " + share(p.limit) : "") + "); arena " + std::to_string(p.arena) +
        " bytes (" + std::to_string(p.int8_arena) + ", " + std::to_string(p.int16_arena) + "); " +
        std::to_string(p.int16_macs) + " of " + std::to_string(p.macs) + " multiplications in int16");
}

int run(Request r) {
    if (r.list_rewrites) return list_rewrites(r.json);
    if (r.convert.source.empty() || r.output.empty())
        return complain({ErrorKind::usage, "a source and a plan are needed", "",
                         "lockstep model convert SOURCE -o NAME.lsplan"});
    r.convert.without.insert(r.without.begin(), r.without.end());
    r.convert.quantiser.int16.insert(r.int16.begin(), r.int16.end());
    r.convert.tool = std::string("lockstep ") + LOCKSTEP_VERSION;
    const auto windows = session_windows(r.convert);
    if (!windows) return complain(windows.error());
    if (*windows) r.convert.windows = &**windows;
    ConvertReport report;
    const auto bytes = convert(r.convert, &report);
    if (!bytes) return complain(bytes.error());
    if (const Status saved = save_plan(r.output, *bytes, r.force); !saved) return complain(saved.error());
    const std::string id = plan_id_of(*bytes);
    Json rewrites = Json::array();
    for (const model::AppliedRewrite& done : report.rewrites)
        rewrites.push_back({{"name", done.name}, {"node", done.node}});
    if (r.json) {
        Json out = {{"plan", r.output},
                    {"plan_id", id},
                    {"bytes", bytes->size()},
                    {"macs", report.macs},
                    {"calibration_windows", report.calibration_windows},
                    {"same_decision", report.same_decision},
                    {"largest_error", report.largest_error},
                    {"rewrites", rewrites}};
        if (report.precision) out["precision"] = precision_json(*report.precision);
        if (r.convert.prune > 0) out["pruning"] = pruning_json(report.pruning);
        if (report.streaming) out["streaming"] = streaming_json(report);
        print_json(out);
    }
    if (report.streaming) say_streaming(report);
    if (report.precision) say_precision(*report.precision);
    if (r.convert.prune > 0) say_pruning(report.pruning);
    std::string text = r.output + ": plan " + id.substr(0, 16) + ", " + std::to_string(bytes->size()) +
                       " bytes, " + std::to_string(report.macs) + " multiplications a window";
    if (report.macs == 0)
        text = r.output + ": plan " + id.substr(0, 16) + ", " + std::to_string(bytes->size()) + " bytes";
    if (report.calibration_windows != 0)
        text += "; on " + std::to_string(report.calibration_windows) + " calibration windows " +
                std::to_string(report.same_decision) + " have the float network's decision";
    say(text);
    return kYes;
}

// An option that is one of a few words.
template <typename T>
void add_choice(CLI::App& c, const std::string& name, T* value, const std::map<std::string, T>& words,
                const std::string& what) {
    std::vector<std::string> names;
    names.reserve(words.size());
    for (const auto& [word, meaning] : words)
        names.push_back(word);
    c.add_option_function<std::string>(
         name, [=](const std::string& word) { *value = words.at(word); }, what)
        ->check(CLI::IsMember(names));
}

}  // namespace

// Windows of a session need the model's own way from counts; other files speak for themselves.
Result<std::optional<WindowSet>> session_windows(const ConvertRequest& request) {
    if (request.calibration.empty() || request.preprocessing.empty()) return std::nullopt;
    const auto way = read_preprocessing(request.preprocessing);
    if (!way) return tl::make_unexpected(way.error());
    const auto bytes = model::window_plan(*way);
    if (!bytes) return tl::make_unexpected(bytes.error());
    const auto plan = plan_from_bytes(*bytes, request.preprocessing);
    if (!plan) return tl::make_unexpected(plan.error());
    auto set = session_windows_for(request.calibration, *plan);
    if (!set) return tl::make_unexpected(set.error());
    return std::move(*set);
}

void add_calibration_options(CLI::App& c, ConvertRequest* request) {
    c.add_option("--preprocessing", request->preprocessing,
                 "JSON: streams, filters, windows, names of the outputs");
    c.add_option("--calibration", request->calibration,
                 "Windows to choose the quantisation by: a session, a training dataset, .npy or .npz");
    c.add_option("--part", request->part, "Of a dataset: train, val, test or all; train when it has one");
    add_choice(c, "--method", &request->quantiser.method,
               {{"minmax", model::RangeMethod::minmax},
                {"percentile", model::RangeMethod::percentile},
                {"mse", model::RangeMethod::mse}},
               "How the ranges are chosen (minmax)");
    c.add_option("--clip", request->quantiser.clip,
                 "With percentile: share of the values at each end that may be clipped (0.0001)")
        ->check(between(0, 0.4));
    CLI::Option* streaming =
        c.add_flag("--streaming", request->streaming,
                   "Compute each hop's new samples only: layers keep what they need of earlier ones");
    c.add_flag(
         "--lag", request->lag,
         "With --streaming: layers that are padded at both ends of a window wait for the rows that follow")
        ->needs(streaming);
    c.add_flag("--bias-correction", request->quantiser.correct_bias,
               "Move biases by the mean error of the rounded weights");
}

void add_model_convert(CLI::App& model, Chosen* chosen) {
    const auto r = std::make_shared<Request>();
    CLI::App* c = model.add_subcommand("convert", "Make a plan from a trained network");
    c->add_option("source", r->convert.source,
                  ".onnx, .tflite, or .json of a classical model or an operator");
    c->add_option("plan,-o,--output", r->output, "NAME.lsplan");
    add_calibration_options(*c, &r->convert);
    add_choice(*c, "--activations", &r->convert.activations,
               {{"int8", ConvertRequest::Activations::int8},
                {"int16", ConvertRequest::Activations::int16},
                {"mixed", ConvertRequest::Activations::mixed}},
               "Of a float network; mixed: int16 where int8 loses too much (int8)");
    c->add_option("--int16", r->int16,
                  "A layer that gets int16, by its name, or input; may be given several times");
    c->add_option("--int16-layers", r->convert.limits.layers,
                  "With mixed: at most so many layers in int16; without it as many as help")
        ->check(between(0, 1000));
    c->add_option("--score-error", r->convert.limits.score_error,
                  "With mixed: RMS error of the scores that may be, as a share of their spread (0.01)")
        ->check(between(0, 10));
    c->add_option("--target", r->convert.target,
                  "Whose kernels the weights are laid out for; the bits are the same (any)")
        ->check(CLI::IsMember(known_targets()));
    c->add_option("--name", r->convert.name,
                  "Name of the plan; the preprocessing file's, or the source's, otherwise");
    c->add_option("--classes", r->convert.classes, "Names of the outputs, A,B,C, when they are classes")
        ->delimiter(',');
    c->add_option("--without", r->without, "A rewrite to leave out; may be given several times");
    c->add_option("--prune", r->convert.prune,
                  "Share of each layer's channels that go, the weakest first; of a float network")
        ->check(between(0, 0.95));
    c->add_flag("--list-rewrites", r->list_rewrites, "The rewrites of a float network, and end");
    c->add_flag("--force", r->force, "Replace an existing plan");
    c->add_flag("--json", r->json, "One JSON object on standard output");
    c->callback([=] { *chosen = [=] { return run(*r); }; });
}

}  // namespace lockstep::app
