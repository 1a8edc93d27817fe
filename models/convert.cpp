#include "models/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "models/compile/assemble.h"
#include "models/compile/classical.h"
#include "models/compile/vitals_plan.h"
#include "models/data/feed.h"
#include "models/import/onnx_classical.h"
#include "models/import/onnx_import.h"
#include "models/import/tflite_import.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"
#include "models/preprocessing/front.h"

namespace lockstep {
namespace {

using model::Graph;
using model::Shape;

size_t argmax(const float* v, size_t n) {
    return size_t(std::max_element(v, v + n) - v);
}

// The network part of a plan, past filters and normalisation, against the float graph.
Status judge(const Graph& g, const std::vector<uint8_t>& raw, const Windows& windows, ConvertReport* report,
             std::vector<float>* int8_scores) {
    const auto plan = plan_from_bytes(raw);
    if (!plan) return tl::make_unexpected(plan.error());
    const auto got = score(*plan, windows);
    if (!got) return tl::make_unexpected(got.error());
    const std::vector<float> wanted = score_float(g, windows);
    const size_t scores = got->scores, outputs = wanted.size() / windows.size();
    report->calibration_windows = windows.size();
    for (size_t w = 0; w < windows.size(); ++w) {
        const float *x = &wanted[w * outputs], *y = &got->values[w * scores];
        report->same_decision += argmax(x, scores) == argmax(y, scores);
        for (size_t i = 0; i < scores; ++i)
            report->largest_error = std::max(report->largest_error, std::fabs(x[i] - y[i]));
    }
    *int8_scores = got->values;
    return {};
}

// Whether going by hops changes a bit of the scores.
Status count_same(const std::vector<uint8_t>& raw, const Windows& windows, const std::vector<float>& wanted,
                  ConvertReport* report) {
    const auto plan = plan_from_bytes(raw);
    if (!plan) return tl::make_unexpected(plan.error());
    const auto got = score(*plan, windows);
    if (!got) return tl::make_unexpected(got.error());
    const size_t n = got->scores;
    for (size_t w = 0; w < windows.size(); ++w) {
        const float *x = &got->values[w * n], *y = &wanted[w * n];
        report->same_scores += memcmp(x, y, n * sizeof(float)) == 0;
        report->same_by_hops += argmax(x, n) == argmax(y, n);
    }
    return {};
}

// Of a model without a network: everything that is known of it stands in the plan itself.
nlohmann::json source_provenance(const ConvertRequest& request) {
    nlohmann::json j = {{"source", std::filesystem::path(request.source).filename().string()},
                        {"source_sha256", file_hash(request.source)},
                        {"arithmetic", "float32, fixed order"}};
    if (!request.tool.empty()) j["tool"] = request.tool;
    return j;
}

bool is_operator(const std::vector<uint8_t>& file) {
    constexpr char kSign[] = "lockstep-preprocessing";
    return !file.empty() && file[0] == '{' &&
           std::search(file.begin(), file.end(), kSign, kSign + sizeof kSign - 1) != file.end();
}

Result<std::vector<uint8_t>> convert_operator(const ConvertRequest& request,
                                              const std::vector<uint8_t>& file) {
    auto way = parse_preprocessing(std::string(file.begin(), file.end()), request.source);
    if (!way) return tl::make_unexpected(way.error());
    if (way->operator_name.empty())
        return fail(ErrorKind::usage, "describes the inputs of a network and holds no operator",
                    request.source, "convert the network and give this file with --preprocessing");
    if (!request.name.empty()) way->model = request.name;
    return make_operator_plan(
        *way, source_provenance(request).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Result<std::vector<uint8_t>> convert_classical(const ConvertRequest& request,
                                               const std::vector<uint8_t>& file) {
    std::optional<Preprocessing> way;
    if (!request.preprocessing.empty()) {
        auto parsed = read_preprocessing(request.preprocessing);
        if (!parsed) return tl::make_unexpected(parsed.error());
        if (const Status s = check_front(*parsed, request.preprocessing); !s)
            return tl::make_unexpected(s.error());
        way = std::move(*parsed);
    }
    nlohmann::json provenance = source_provenance(request);
    if (way) provenance["preprocessing_sha256"] = file_hash(request.preprocessing);
    return classical_plan(std::string(file.begin(), file.end()), request.source, way, request.name,
                          provenance.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Result<std::vector<uint8_t>> convert_onnx_classical(const ConvertRequest& request, Bytes file) {
    const auto json = model::classical_from_onnx(file, request.source,
                                                 std::filesystem::path(request.source).stem().string());
    if (!json) return tl::make_unexpected(json.error());
    return convert_classical(request, {json->begin(), json->end()});
}

tl::unexpected<Error> no_streaming(const ConvertRequest& request) {
    return fail(ErrorKind::usage, "only a network on a stream goes by hops", request.source,
                "give --preprocessing, which says window and hop, or leave out --streaming");
}

// The network by hops, and the way to it; what the streams give is then a hop.
Status go_by_hops(const ConvertRequest& request, Graph* graph, Preprocessing* way, ConvertReport* report) {
    PreprocessingInput& in = way->inputs[0];
    if (way->inputs.size() != 1 || in.resample || !in.features.empty())
        return fail(ErrorKind::usage, "resampling, features and several streams need whole windows",
                    request.preprocessing, "leave out --streaming");
    report->streaming.emplace();
    auto streamed = stream_by_hop(*graph, int32_t(in.stream.hop), request.lag, &*report->streaming);
    if (!streamed) return tl::make_unexpected(streamed.error());
    *graph = std::move(*streamed);
    in.stream.span = in.stream.window;
    in.stream.window = in.stream.hop;
    in.dims[2] = uint16_t(in.stream.hop);
    return {};
}

std::string arithmetic_of(const Graph& g) {
    size_t wide = 0;
    for (const model::Node& n : g.nodes)
        wide += g.values[n.output].type == model::ElementType::int16 ? 1 : 0;
    return wide == 0                ? "int8, weights per channel"
           : wide == g.nodes.size() ? "int16 activations, int8 weights per channel"
                                    : "int8 and int16 activations, int8 weights per channel";
}

std::string provenance_of(const ConvertRequest& request, const Graph& g, const ConvertReport& report,
                          const WindowSet* windows) {
    nlohmann::json j = {{"source", std::filesystem::path(request.source).filename().string()},
                        {"source_sha256", file_hash(request.source)},
                        {"macs", multiply_accumulates(g)},
                        {"arithmetic", arithmetic_of(g)}};
    if (report.precision) {
        nlohmann::json layers = nlohmann::json::array();
        for (const LayerPrecision& l : report.precision->layers)
            if (!l.why.empty()) layers.push_back(l.layer);
        j["int16_layers"] = std::move(layers);
    }
    if (!request.tool.empty()) j["tool"] = request.tool;
    if (!request.preprocessing.empty()) j["preprocessing_sha256"] = file_hash(request.preprocessing);
    if (windows != nullptr) {
        const model::QuantiserOptions& q = request.quantiser;
        nlohmann::json c = {{"source", std::filesystem::path(windows->source).filename().string()},
                            {"sha256", windows->sha256},
                            {"windows", windows->count},
                            {"same_decision", report.same_decision},
                            {"method", model::range_method_name(q.method)},
                            {"bias_correction", q.correct_bias}};
        if (q.method == model::RangeMethod::percentile) c["clip"] = q.clip;
        if (windows->part != "all" && !windows->part.empty()) c["part"] = windows->part;
        const std::set<std::string> people(windows->people.begin(), windows->people.end());
        if (!people.empty()) c["people"] = people;
        j["calibration"] = std::move(c);
    }
    std::set<std::string> names;
    for (const model::AppliedRewrite& r : report.rewrites)
        names.insert(r.name);
    if (!names.empty()) j["rewrites"] = names;
    if (report.streaming)
        j["streaming"] = {{"window", report.streaming->window},
                          {"macs_of_window", report.streaming->macs_before}};
    if (request.prune > 0)
        j["pruning"] = {{"fraction", request.prune}, {"macs_before", report.pruning.macs_before}};
    return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<std::optional<WindowSet>> calibration_of(const ConvertRequest& request) {
    if (request.windows != nullptr) return *request.windows;
    if (request.calibration.empty()) return std::nullopt;
    std::string part = request.part;
    auto set = read_windows(request.calibration, part.empty() ? "train" : part);
    // A file that has no parts, and nobody asked for one, is taken whole.
    if (!set && part.empty()) set = read_windows(request.calibration);
    if (!set) return tl::make_unexpected(set.error());
    return std::move(*set);
}

// What leaves the streams is in physical units: the plan's own normalisation comes before the network.
void normalise(const PreprocessingInput& in, WindowSet* set) {
    if (!in.standardise || !set->time_first) return;
    const size_t channels = in.mean.size();
    for (size_t i = 0; i < set->values.size(); ++i)
        set->values[i] = (set->values[i] - in.mean[i % channels]) / in.deviation[i % channels];
}

// Windows of a stream, seen through the plan's resampling, features and normalisation.
Status take_front(const Preprocessing& way, WindowSet* set) {
    if (!set->time_first) return {};  // NumPy files hold what the network takes
    const PreprocessingInput& in = way.inputs[0];
    if (!in.resample && in.features.empty()) {
        normalise(in, set);
        return {};
    }
    if (way.inputs.size() != 1)
        return fail(ErrorKind::usage, "the model takes features of several streams, these are windows of one",
                    set->source, "calibrate with NumPy rows of the features, as the network takes them");
    const auto blob = front_plan(way);
    if (!blob) return tl::make_unexpected(blob.error());
    const auto plan = plan_from_bytes(*blob);
    if (!plan) return tl::make_unexpected(plan.error());
    auto windows = arranged(*set, {in.stream.window, in.stream.channels.size(), false});
    if (!windows) return tl::make_unexpected(windows.error());
    const auto scored = score(*plan, *windows);
    if (!scored) return tl::make_unexpected(scored.error());
    set->values.clear();
    for (const std::vector<float>& row : scored->network_input)
        set->values.insert(set->values.end(), row.begin(), row.end());
    set->time_first = in.features.empty();
    set->shape.assign(in.dims.begin() + (set->time_first ? 2 : 1), in.dims.end());
    return {};
}

// A network that does not keep a signal as [1, 1, time, channels] gets it turned: one that takes
// [time, channels] as ONNX has it, or an image of one colour, as networks for EEG often do.
void take_signal(Graph* graph, const PreprocessingInput& in) {
    Graph& g = *graph;
    const Shape kept = g.values[g.input].shape;
    if (in.dims.size() != 4) return;
    const auto time = int32_t(in.dims[2]), channels = int32_t(in.dims[3]);
    model::Node turn;
    if (in.layout == "NTC" && kept == Shape{1, 1, channels, time})
        turn.axes = {0, 1, 3, 2};
    else if (in.layout == "NTC" && kept == Shape{1, time, channels, 1})
        turn.axes = {0, 2, 3, 1};
    else if (in.layout == "NCT" && kept == Shape{1, channels, time, 1})
        turn.axes = {0, 3, 2, 1};
    else
        return;
    turn.kind = model::NodeKind::transpose;
    turn.name = "signal";
    turn.output = g.input;
    g.input = g.add_value(g.values[turn.output].name + ":stream", {1, 1, time, channels});
    turn.inputs = {g.input};
    g.values[g.input].scale = g.values[turn.output].scale;
    g.values[g.input].zero_point = g.values[turn.output].zero_point;
    g.nodes.insert(g.nodes.begin(), std::move(turn));
}

bool asks_int16(const ConvertRequest& request) {
    return request.activations != ConvertRequest::Activations::int8 || !request.quantiser.int16.empty();
}

tl::unexpected<Error> no_choice(const std::string& source) {
    return fail(ErrorKind::usage, "only the activations of a float network can be chosen", source,
                "convert the float network, or leave out --activations and --int16");
}

Status can_choose(const Graph& g, const Windows& windows, const std::string& source) {
    for (const model::Value& v : g.values)
        if (v.scale > 0) return no_choice(source);
    if (windows.empty())
        return fail(ErrorKind::usage, "int16 activations need calibration windows", source,
                    "give --calibration FILE with typical inputs");
    return {};
}

tl::unexpected<Error> no_pruning(const ConvertRequest& request) {
    return fail(ErrorKind::usage, "only a network with real weights can be pruned", request.source,
                "prune the float network, or leave out --prune");
}

Result<std::vector<uint8_t>> convert_onnx(const ConvertRequest& request, const std::vector<uint8_t>& file,
                                          model::Target target, ConvertReport* report) {
    for (const std::string& name : request.without) {
        bool known = false;
        for (const model::RewriteInfo& r : model::rewrite_list())
            known = known || name == r.name;
        if (!known) return fail(ErrorKind::usage, "no rewrite has this name", name, "see --list-rewrites");
    }
    auto graph = model::import_onnx(Bytes(file.data(), file.size()), request.source);
    if (!graph) return tl::make_unexpected(graph.error());
    std::optional<Preprocessing> way;
    if (!request.preprocessing.empty()) {
        auto parsed = read_preprocessing(request.preprocessing);
        if (!parsed) return tl::make_unexpected(parsed.error());
        if (const Status s = check_front(*parsed, request.preprocessing); !s)
            return tl::make_unexpected(s.error());
        way = std::move(*parsed);
    }
    graph->name = !request.name.empty() ? request.name
                  : way                 ? way->model
                                        : std::filesystem::path(request.source).stem().string();
    if (way) take_signal(&*graph, way->inputs[0]);
    report->rewrites = simplify(&*graph, request.without);
    if (request.prune > 0) {
        for (const model::Node& n : graph->nodes)
            if (n.has_weights() && n.weights.empty()) return no_pruning(request);
        report->pruning = prune(&*graph, request.prune);
        if (const Status s = check_graph(*graph); !s) return tl::make_unexpected(s.error());
    }

    auto set = calibration_of(request);
    if (!set) return tl::make_unexpected(set.error());
    Windows windows;
    if (*set) {
        // A flat network behind a stream keeps the stream's order.
        const bool flat = graph->values[graph->input].shape.size() == 2;
        if (way && (*set)->time_first && !(*set)->filtered && !way->inputs[0].stream.sections.empty())
            return fail(
                ErrorKind::usage, "the model filters its stream, the dataset holds windows cut before that",
                (*set)->source, "calibrate with a session, or with NumPy windows as the network takes them");
        if (way)
            if (const Status s = take_front(*way, &**set); !s) return tl::make_unexpected(s.error());
        auto kept = arranged(**set, order_of(*graph, !flat && !(way && way->inputs[0].layout == "NTC")));
        if (!kept) return tl::make_unexpected(kept.error());
        windows = std::move(*kept);
    }
    model::QuantiserOptions quantiser = request.quantiser;
    quantiser.all_int16 = request.activations == ConvertRequest::Activations::int16;
    if (asks_int16(request)) {
        if (const Status s = can_choose(*graph, windows, request.source); !s)
            return tl::make_unexpected(s.error());
        const bool search = request.activations == ConvertRequest::Activations::mixed;
        auto chosen = choose_int16(*graph, windows, search ? &request.limits : nullptr, &quantiser);
        if (!chosen) return tl::make_unexpected(chosen.error());
        report->precision = std::move(*chosen);
    }
    if (const Status s = quantise(&*graph, windows, quantiser); !s) return tl::make_unexpected(s.error());

    std::vector<float> scores;
    if (!windows.empty()) {
        const auto raw = raw_plan(*graph, "float32", "{}", target);
        if (!raw) return tl::make_unexpected(raw.error());
        if (const Status s = judge(*graph, *raw, windows, report, &scores); !s)
            return tl::make_unexpected(s.error());
    }
    if (request.streaming) {
        if (const Status s = go_by_hops(request, &*graph, &*way, report); !s)
            return tl::make_unexpected(s.error());
        if (!windows.empty()) {
            const auto raw =
                raw_plan(*graph, "float32", "{}", target, {}, uint32_t(report->streaming->window));
            if (!raw) return tl::make_unexpected(raw.error());
            if (const Status s = count_same(*raw, windows, scores, report); !s)
                return tl::make_unexpected(s.error());
        }
    }
    report->macs = multiply_accumulates(*graph);
    const std::string provenance = provenance_of(request, *graph, *report, *set ? &**set : nullptr);
    return way ? stream_plan(*graph, *way, provenance, target)
               : raw_plan(*graph, "float32", provenance, target, request.classes);
}

Result<std::vector<uint8_t>> convert_tflite(const ConvertRequest& request, const std::vector<uint8_t>& file,
                                            model::Target target, ConvertReport* report) {
    auto graph = model::import_tflite(Bytes(file.data(), file.size()), request.source);
    if (!graph) return tl::make_unexpected(graph.error());
    graph->name = request.name.empty() ? std::filesystem::path(request.source).stem().string() : request.name;
    Result<Preprocessing> way;
    if (!request.preprocessing.empty()) {
        way = read_preprocessing(request.preprocessing);
        if (!way) return tl::make_unexpected(way.error());
        take_signal(&*graph, way->inputs[0]);
        if (request.streaming)
            if (const Status s = go_by_hops(request, &*graph, &*way, report); !s)
                return tl::make_unexpected(s.error());
    }
    report->macs = multiply_accumulates(*graph);
    const std::string provenance = provenance_of(request, *graph, *report, nullptr);
    if (request.preprocessing.empty()) {
        const bool wide = graph->values[graph->input].type == model::ElementType::int16;
        return raw_plan(*graph, wide ? "int16" : "int8", provenance, target, request.classes);
    }
    return stream_plan(*graph, *way, provenance, target);
}

Result<model::Target> target_of(const std::string& name) {
    if (name == "cortex-m4" || name == "cortex-m7" || name == "cortex-m33") return model::Target::armv7em;
    for (const std::string& known : known_targets())
        if (name == known) return model::Target::any;
    return fail(ErrorKind::usage, "no such target", name,
                "one of: any, cortex-m3, cortex-m4, cortex-m7, "
                "cortex-m33, cortex-m55, host");
}

}  // namespace

const std::vector<std::string>& known_targets() {
    static const std::vector<std::string> names = {"any",        "cortex-m3",  "cortex-m4", "cortex-m7",
                                                   "cortex-m33", "cortex-m55", "host"};
    return names;
}

Result<std::vector<uint8_t>> read_model_file(const std::string& path) {
    std::error_code code;
    if (!std::filesystem::is_regular_file(path, code))
        return fail(ErrorKind::usage, "there is no such file", path);
    const auto size = std::filesystem::file_size(path, code);
    if (code || size > model::kMaxModelFile)
        return fail(ErrorKind::usage, "the model file is too large", path);
    std::ifstream in(path, std::ios::binary);
    std::vector<uint8_t> bytes(size);
    if (!in.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(size)))
        return fail(ErrorKind::system, "cannot read the file", path);
    return bytes;
}

bool is_tflite(const std::vector<uint8_t>& file) {
    return file.size() >= 8 && memcmp(file.data() + 4, "TFL3", 4) == 0;
}

Result<std::vector<uint8_t>> convert(const ConvertRequest& request, ConvertReport* report) {
    ConvertReport unused;
    if (report == nullptr) report = &unused;
    *report = {};
    const auto target = target_of(request.target);
    if (!target) return tl::make_unexpected(target.error());
    const auto file = read_model_file(request.source);
    if (!file) return tl::make_unexpected(file.error());
    const Bytes whole(file->data(), file->size());
    if (request.prune > 0 &&
        (is_operator(*file) || is_classical(*file) || is_tflite(*file) || model::is_onnx_classical(whole)))
        return no_pruning(request);
    if (request.streaming && (request.preprocessing.empty() || is_operator(*file) || is_classical(*file) ||
                              model::is_onnx_classical(whole)))
        return no_streaming(request);
    if (asks_int16(request) &&
        (is_operator(*file) || is_classical(*file) || is_tflite(*file) || model::is_onnx_classical(whole)))
        return no_choice(request.source);
    if (is_operator(*file)) return convert_operator(request, *file);
    auto bytes = is_classical(*file)               ? convert_classical(request, *file)
                 : is_tflite(*file)                ? convert_tflite(request, *file, *target, report)
                 : model::is_onnx_classical(whole) ? convert_onnx_classical(request, whole)
                                                   : convert_onnx(request, *file, *target, report);
    if (!bytes) return bytes;
    const auto plan = plan_from_bytes(*bytes, request.source);
    if (!plan) return tl::make_unexpected(plan.error());
    if (const Status s = check_runs(*plan); !s) return tl::make_unexpected(s.error());
    return bytes;
}

}  // namespace lockstep
