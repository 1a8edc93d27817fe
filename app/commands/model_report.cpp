// lockstep model report: report.html and report.json on a model file or a plan
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "app/base/html.h"
#include "app/commands/model.h"
#include "app/commands/model_data.h"
#include "app/commands/model_measure.h"
#include "models/compile/classical.h"
#include "models/core/ops.h"
#include "models/core/runner.h"
#include "models/data/feed.h"
#include "models/import/onnx_classical.h"
#include "models/import/onnx_import.h"
#include "models/import/tflite_import.h"
#include "models/plan/layers.h"
#include "models/plan/plan_file.h"

namespace lockstep::app {
namespace {

struct Request {
    ConvertRequest convert;
    DataRequest data;
    std::string float_model;
    std::string benchmarks;
    std::string folder;
    double max_loss = -1;
    bool no_boards = false;
    bool force = false;
    bool json = false;
};

std::string text_of(const Json& v) {
    if (v.is_string()) return v.get<std::string>();
    return v.is_null() ? "" : v.dump();
}

// Operators that the file names; why not, and what to do, for those that cannot be taken.
Json problems_of(const std::string& path, Json* failure) {
    Json list = Json::array();
    const auto file = read_model_file(path);
    if (!file) {
        *failure = file.error().message();
        return list;
    }
    std::vector<model::ImportProblem> problems;
    if (is_classical(*file)) return list;
    const Bytes bytes(file->data(), file->size());
    if (!is_tflite(*file) && model::is_onnx_classical(bytes)) {
        if (const auto json = model::classical_from_onnx(bytes, path, "", &problems); !json)
            *failure = json.error().message();
        for (const model::ImportProblem& p : problems)
            list.push_back({{"operator", p.op}, {"node", p.node}, {"why", p.what}, {"nearest", p.nearest}});
        return list;
    }
    const auto graph =
        is_tflite(*file) ? model::import_tflite(bytes, path) : model::import_onnx(bytes, path, &problems);
    if (!graph) *failure = graph.error().message();
    for (const model::ImportProblem& p : problems)
        list.push_back({{"operator", p.op}, {"node", p.node}, {"why", p.what}, {"nearest", p.nearest}});
    return list;
}

Json plan_json(const PlanPtr& plan) {
    Json layers = Json::array();
    uint64_t macs = 0;
    size_t params = 0;
    for (const PlanLayer& l : plan_layers(plan->plan)) {
        layers.push_back({{"stage", l.stage},
                          {"operator", l.op},
                          {"output", l.shape},
                          {"macs", l.macs},
                          {"flash_bytes", l.params},
                          {"arena_bytes", l.output},
                          {"scratch_bytes", l.scratch}});
        macs += l.macs;
        params += l.params;
    }
    const Bytes text = plan->plan.provenance();
    const Json provenance = Json::parse(text.data(), text.data() + text.size(), nullptr, false);
    return {{"name", plan->plan.name()},
            {"plan_id", plan->plan_id},
            {"macs", macs},
            {"flash_bytes", plan->bytes.size()},
            {"weights_bytes", params},
            {"arena_bytes", plan->plan.arena_bytes()},
            {"ram_bytes", model::Runner::memory_needed(plan->plan, 0)},
            {"layers", layers},
            {"provenance", provenance.is_discarded() ? Json::object() : provenance}};
}

// Figures of the core's benchmark for a model of this name: core.BOARD.NAME.KIND.
Json boards_json(const std::string& path, const std::string& name) {
    Json boards = Json::object();
    std::ifstream in(path);
    const Json all = Json::parse(in, nullptr, false);
    if (!all.is_object()) return boards;
    const std::string key = name.substr(0, name.find('_')), short_key = key == "ad01" ? "ad" : key;
    for (const auto& [figure, value] : all.items()) {
        const size_t board = figure.find('.'), model = figure.find('.', board + 1),
                     kind = figure.find('.', model + 1);
        if (kind == std::string::npos || figure.compare(0, 5, "core.") != 0) continue;
        const std::string of = figure.substr(model + 1, kind - model - 1);
        if (of == name || of == short_key)
            boards[figure.substr(board + 1, model - board - 1)][figure.substr(kind + 1)] = value;
    }
    return boards;
}

// Instructions and stack on every emulated board; boards that could not be asked say why.
Json measured_json(const LoadedPlan& plan) {
    Json out = Json::object();
    const std::vector<PlanLayer> names = plan_layers(plan.plan);
    for (const BoardMeasure& m : measure_on_boards(plan)) {
        Json& row = out[m.board];
        row["processor"] = m.processor;
        if (!m.why_not.empty()) {
            row["why_not"] = m.why_not;
            continue;
        }
        row["instructions"] = m.instructions;
        if (std::string(m.processor).find("M55") != std::string::npos && has_paired_weights(plan.plan))
            row["advice"] =
                "the weights lie as Cortex-M4 takes them, which Helium has no fast kernels for: convert "
                "with --target cortex-m55";
        row["stack_bytes"] = m.stack_bytes;
        for (size_t i = 0; i < m.layers.size() && i < names.size(); ++i)
            row["layers"].push_back({{"stage", names[i].stage}, {"instructions", m.layers[i]}});
    }
    return out;
}

std::string measured_html(const Json& boards) {
    std::vector<std::vector<std::string>> rows, layers;
    std::vector<std::string> head = {"stage"};
    std::string advice;
    for (const auto& [name, m] : boards.items()) {
        if (m.contains("why_not")) {
            rows.push_back({name, text_of(m["processor"]), text_of(m["why_not"]), ""});
            continue;
        }
        rows.push_back(
            {name, text_of(m["processor"]), text_of(m["instructions"]), text_of(m["stack_bytes"])});
        if (m.contains("advice"))
            advice += "<p>" + html_escape(name) + ": " + html_escape(text_of(m["advice"])) + ".</p>";
        head.push_back(name);
        for (size_t i = 0; i < m["layers"].size(); ++i) {
            if (layers.size() <= i) layers.push_back({text_of(m["layers"][i]["stage"])});
            layers[i].push_back(text_of(m["layers"][i]["instructions"]));
        }
    }
    std::string out =
        "<h2>One inference on the virtual boards</h2><p>Instructions, counted in the emulator; they "
        "are not cycles.</p>" +
        html_table({"board", "processor", "instructions", "peak stack, bytes"}, rows, 2) + advice;
    return layers.empty() ? out : out + html_table(head, layers, 1);
}

std::string card(const std::string& value, const std::string& what) {
    return "<div class=card><b>" + html_escape(value) + "</b><span class=dim>" + html_escape(what) +
           "</span></div>";
}

std::string percent(const Json& v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f %%", 100 * v.get<double>());
    return text;
}

std::string accuracy_html(const Json& a) {
    std::string out = "<h2>Accuracy</h2>";
    std::vector<std::vector<std::string>> rows;
    const std::pair<const char*, std::string> sides[] = {{"int8", text_of(a["activations"])},
                                                         {"decided", "as the board decides, smoothed"},
                                                         {"float", "float"}};
    for (const auto& [side, name] : sides) {
        if (!a.contains(side)) continue;
        const Json& m = a[side];
        rows.push_back({name, percent(m["accuracy"]),
                        percent(m["accuracy_interval"][0]) + " to " + percent(m["accuracy_interval"][1]),
                        percent(m["balanced_accuracy"]), percent(m["f1"]),
                        percent(m["calibration"]["error"])});
    }
    out += html_table({"", "accuracy", "95 %", "balanced", "macro F1", "calibration error"}, rows);
    if (a.contains("difference")) {
        const Json& d = a["difference"];
        out += "<p>" + text_of(a["activations"]) + " - float: " + percent(d["accuracy"]) + ", 95 % " +
               percent(d["interval"][0]) + " to " + percent(d["interval"][1]) + " (" +
               html_escape(text_of(d["method"])) + "), on " + text_of(a["windows"]) + " windows of " +
               text_of(a["people"]) + " people.</p>";
    }
    std::vector<std::string> head = {"label \\ decision"};
    rows.clear();
    const Json& m = a["int8"];
    for (size_t c = 0; c < m["classes"].size(); ++c) {
        head.push_back(text_of(m["classes"][c]["class"]));
        rows.push_back({head.back()});
        for (const Json& n : m["confusion"][c])
            rows.back().push_back(n.dump());
    }
    return out + html_table(head, rows);
}

std::string page(const Json& r) {
    const bool good = r["supported"].get<bool>();
    std::string out = "<h1>" + html_escape(text_of(r["source"])) + "<span class=\"badge " +
                      (good ? "good" : "bad") + "\">" + (good ? "runs on the device" : "does not run yet") +
                      "</span></h1><div class=dim>" + html_escape(text_of(r["tool"])) + ", SHA-256 " +
                      text_of(r["source_sha256"]) + "</div>";
    if (r.contains("failure")) out += "<p>" + html_escape(text_of(r["failure"])) + "</p>";
    if (!r["problems"].empty()) {
        std::vector<std::vector<std::string>> rows;
        for (const Json& p : r["problems"])
            rows.push_back(
                {text_of(p["operator"]), text_of(p["node"]), text_of(p["why"]), text_of(p["nearest"])});
        out += "<h2>What to change</h2>" +
               html_table({"operator", "node", "why not", "nearest form that is supported"}, rows, 4);
    }
    if (r.contains("plan")) {
        const Json& p = r["plan"];
        out += "<div class=cards>" + card(text_of(p["macs"]), "multiplications a window") +
               card(text_of(p["flash_bytes"]), "bytes of flash, plan") +
               card(text_of(p["arena_bytes"]), "bytes of arena") +
               card(text_of(p["ram_bytes"]), "bytes of RAM with windows and filters") + "</div>";
        if (r.contains("accuracy")) out += accuracy_html(r["accuracy"]);
        std::vector<std::vector<std::string>> rows;
        for (const Json& l : p["layers"])
            rows.push_back({text_of(l["stage"]), text_of(l["operator"]), text_of(l["output"]),
                            text_of(l["macs"]), text_of(l["flash_bytes"]), text_of(l["arena_bytes"]),
                            text_of(l["scratch_bytes"])});
        out += "<h2>Layers</h2>" + html_table({"stage", "operator", "output", "multiplications",
                                               "flash, bytes", "output, bytes", "scratch, bytes"},
                                              rows, 2);
        if (r.contains("virtual_boards")) out += measured_html(r["virtual_boards"]);
        rows.clear();
        for (const auto& [board, figures] : r["boards"].items())
            for (const auto& [kind, value] : figures.items())
                rows.push_back(
                    {board, kind,
                     text_of(value.is_object() && value.contains("value") ? value["value"] : value)});
        if (!rows.empty())
            out += "<h2>Figures of the benchmarks</h2>" + html_table({"board", "figure", "value"}, rows, 2);
        rows.clear();
        for (const auto& [key, value] : p["provenance"].items())
            rows.push_back({key, text_of(value)});
        out += "<h2>Where it comes from</h2>" + html_table({"", ""}, rows, 2);
    }
    return html_page("Model " + text_of(r["source"]), out);
}

// The plan itself, or one made from the model file for the report.
Result<PlanPtr> plan_for(Request* r, bool is_plan, Json* out) {
    if (is_plan) return load_plan(r->convert.source);
    r->convert.tool = std::string("lockstep ") + LOCKSTEP_VERSION;
    const auto way = session_windows(r->convert);
    if (!way) return tl::make_unexpected(way.error());
    if (*way) r->convert.windows = &**way;
    ConvertReport report;
    auto bytes = convert(r->convert, &report);
    if (!bytes) return tl::make_unexpected(bytes.error());
    (*out)["rewrites"] = Json::array();
    for (const model::AppliedRewrite& done : report.rewrites)
        (*out)["rewrites"].push_back({{"name", done.name}, {"node", done.node}});
    return plan_from_bytes(std::move(*bytes), r->convert.source);
}

int run(Request r) {
    const std::string& source = r.convert.source;
    std::error_code problem;
    if (!std::filesystem::is_regular_file(source, problem))
        return complain({ErrorKind::usage, "there is no such file", source, "check the path"});
    char magic[6] = {};
    std::ifstream(source, std::ios::binary).read(magic, sizeof magic);
    const bool is_plan = std::string(magic, 6) == "LSPLAN";
    Json out = {{"source", std::filesystem::path(source).filename().string()},
                {"source_sha256", file_hash(source)},
                {"tool", std::string("lockstep ") + LOCKSTEP_VERSION},
                {"supported", false},
                {"problems", Json::array()}};
    Json failure;
    if (!is_plan) out["problems"] = problems_of(source, &failure);
    Evaluation evaluation;
    bool fits = true;
    if (failure.is_null()) {
        const auto plan = plan_for(&r, is_plan, &out);
        if (!plan) {
            failure = plan.error().message();
        } else {
            out["supported"] = true;
            out["plan"] = plan_json(*plan);
            out["boards"] = boards_json(r.benchmarks, (*plan)->plan.name());
            if (!r.no_boards) out["virtual_boards"] = measured_json(**plan);
            if (!r.data.path.empty()) {
                const bool onnx =
                    !is_plan && source.size() > 5 && source.compare(source.size() - 5, 5, ".onnx") == 0;
                const auto e =
                    evaluate_on(*plan, r.data, r.float_model.empty() && onnx ? source : r.float_model);
                if (!e) return complain(e.error());
                out["accuracy"] = evaluation_json(*e);
                out["accuracy"]["data_sha256"] = e->data_sha256;
                fits =
                    r.max_loss < 0 || !e->difference || -100 * e->difference->accuracy <= r.max_loss + 1e-9;
            }
        }
    }
    if (!failure.is_null()) out["failure"] = failure;
    std::filesystem::create_directories(r.folder, problem);
    const std::string html = page(out), text = dump(out) + "\n";
    for (const auto& [name, content] : {std::pair(std::string("report.html"), &html), {"report.json", &text}})
        if (const Status s = write_new(r.folder + "/" + name, content->data(), content->size(), r.force); !s)
            return complain(s.error());
    if (r.json) print_json(out);
    say(r.folder + ": report.html, report.json" + (failure.is_null() ? "" : "; " + text_of(failure)));
    return failure.is_null() && fits ? kYes : kNo;
}

}  // namespace

void add_model_report(CLI::App& model, Chosen* chosen) {
    const auto r = std::make_shared<Request>();
    CLI::App* c = model.add_subcommand("report", "report.html and report.json on a model file or a plan");
    c->add_option("source", r->convert.source, ".onnx, .tflite or .lsplan")->required();
    c->add_option("-o,--output", r->folder, "A folder")->required();
    add_calibration_options(*c, &r->convert);
    c->add_option("--data", r->data.path,
                  "Labelled windows to judge it by: a session, a dataset (test), .npz");
    c->add_option("--classes", r->convert.classes, "Names of the outputs, A,B,C")->delimiter(',');
    c->add_option("--float", r->float_model, "The .onnx file that a plan was made from");
    c->add_option("--max-loss", r->max_loss, "Exit 1 when int8 loses more points of accuracy than this")
        ->check(between(0, 100, "points"));
    c->add_option("--benchmarks", r->benchmarks, "JSON of './dev bench core', for the figures of each board");
    c->add_flag("--no-boards", r->no_boards, "Count nothing on the emulated boards");
    c->add_flag("--force", r->force, "Replace an existing report");
    c->add_flag("--json", r->json, "The same JSON on standard output");
    c->callback([=] { *chosen = [=] { return run(*r); }; });
}

}  // namespace lockstep::app
