#include "models/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "models/assemble.h"
#include "models/float_executor.h"
#include "models/npy.h"
#include "models/onnx_import.h"
#include "models/plan_file.h"
#include "models/quantiser.h"
#include "models/rewrites.h"
#include "models/run.h"
#include "models/tflite_import.h"

namespace lockstep {
namespace {

using model::Graph;
using model::Shape;
using Windows = std::vector<std::vector<float>>;

Result<std::vector<uint8_t>> read_file(const std::string& path) {
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

// Windows of the file's layout, [n, channels, time] and so on, as the graph stores its input.
Result<Windows> stored_windows(const NpyArray& array, const Shape& input, const std::string& layout,
                               const std::string& where) {
    size_t per = 1;
    for (const int32_t d : input)
        per *= size_t(d);
    size_t given = 1;
    for (size_t i = 1; i < array.shape.size(); ++i)
        given *= array.shape[i];
    if (array.shape.empty() || array.shape[0] == 0 || given != per)
        return fail(
            ErrorKind::usage,
            "each window has " + std::to_string(given) + " values, the model takes " + std::to_string(per),
            where);
    // Channels-first in the file, channels-last in memory.
    const bool first = input.size() == 4 && layout != "NTC";
    const auto channels = size_t(input.back());
    const size_t cells = per / channels;
    Windows windows(array.shape[0], std::vector<float>(per));
    for (size_t w = 0; w < windows.size(); ++w)
        for (size_t i = 0; i < per; ++i)
            windows[w][first ? (i % cells) * channels + i / cells : i] = array.values[w * per + i];
    return windows;
}

size_t argmax(const float* v, size_t n) {
    return size_t(std::max_element(v, v + n) - v);
}

// The network part of a plan, past filters and normalisation, against the float graph.
Status judge(const Graph& g, const std::vector<uint8_t>& raw, const Windows& windows, ConvertReport* report) {
    const auto plan = plan_from_bytes(raw);
    if (!plan) return tl::make_unexpected(plan.error());
    std::vector<uint8_t> bytes;
    for (const std::vector<float>& w : windows)
        bytes.insert(bytes.end(), reinterpret_cast<const uint8_t*>(w.data()),
                     reinterpret_cast<const uint8_t*>(w.data() + w.size()));
    const auto out = run_raw(*plan, bytes);
    if (!out) return tl::make_unexpected(out.error());
    const size_t scores = (*plan)->plan.scores();
    std::vector<float> got(out->size() / 4);
    memcpy(got.data(), out->data(), out->size());
    report->calibration_windows = windows.size();
    report->macs = multiply_accumulates(g);
    for (size_t w = 0; w < windows.size(); ++w) {
        const std::vector<float> wanted = model::run_float(g, windows[w])[g.output];
        const float* scored = &got[w * scores];
        report->same_decision += argmax(wanted.data(), scores) == argmax(scored, scores);
        for (size_t i = 0; i < scores; ++i)
            report->largest_error = std::max(report->largest_error, std::fabs(wanted[i] - scored[i]));
    }
    return {};
}

std::string provenance_of(const ConvertRequest& request, const Graph& g, const ConvertReport& report) {
    nlohmann::json j = {{"source", std::filesystem::path(request.source).filename().string()},
                        {"macs", multiply_accumulates(g)},
                        {"arithmetic", "int8, weights per channel"}};
    if (report.calibration_windows != 0) {
        j["calibration_windows"] = report.calibration_windows;
        j["same_decision"] = report.same_decision;
    }
    return j.dump();
}

Result<std::vector<uint8_t>> convert_onnx(const ConvertRequest& request, const std::vector<uint8_t>& file,
                                          model::Target target, ConvertReport* report) {
    auto graph = model::import_onnx(Bytes(file.data(), file.size()), request.source);
    if (!graph) return tl::make_unexpected(graph.error());
    std::optional<Preprocessing> way;
    if (!request.preprocessing.empty()) {
        auto parsed = read_preprocessing(request.preprocessing);
        if (!parsed) return tl::make_unexpected(parsed.error());
        if (parsed->inputs.size() != 1)
            return fail(ErrorKind::usage, "a network takes one input", request.preprocessing + ": /inputs");
        way = std::move(*parsed);
    }
    graph->name = !request.name.empty() ? request.name
                  : way                 ? way->model
                                        : std::filesystem::path(request.source).stem().string();
    if (request.calibration.empty())
        return fail(ErrorKind::usage, "a float model needs calibration windows", request.source,
                    "give --calibration FILE.npy with typical inputs");
    simplify(&*graph);
    const auto array = read_npy(request.calibration, "inputs");
    if (!array) return tl::make_unexpected(array.error());
    const auto windows = stored_windows(*array, graph->values[graph->input].shape,
                                        way ? way->inputs[0].layout : "", request.calibration);
    if (!windows) return tl::make_unexpected(windows.error());
    if (const Status s = quantise(&*graph, *windows, {request.clip}); !s)
        return tl::make_unexpected(s.error());

    const auto raw = raw_plan(*graph, "float32", "{}", target);
    if (!raw) return raw;
    if (const Status s = judge(*graph, *raw, *windows, report); !s) return tl::make_unexpected(s.error());
    const std::string provenance = provenance_of(request, *graph, *report);
    return way ? stream_plan(*graph, *way, provenance, target)
               : raw_plan(*graph, "float32", provenance, target);
}

Result<std::vector<uint8_t>> convert_tflite(const ConvertRequest& request, const std::vector<uint8_t>& file,
                                            model::Target target, ConvertReport* report) {
    auto graph = model::import_tflite(Bytes(file.data(), file.size()), request.source);
    if (!graph) return tl::make_unexpected(graph.error());
    graph->name = request.name.empty() ? std::filesystem::path(request.source).stem().string() : request.name;
    report->macs = multiply_accumulates(*graph);
    const std::string provenance = provenance_of(request, *graph, *report);
    if (request.preprocessing.empty()) return raw_plan(*graph, "int8", provenance, target);
    const auto way = read_preprocessing(request.preprocessing);
    if (!way) return tl::make_unexpected(way.error());
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

Result<std::vector<uint8_t>> convert(const ConvertRequest& request, ConvertReport* report) {
    ConvertReport unused;
    if (report == nullptr) report = &unused;
    *report = {};
    const auto target = target_of(request.target);
    if (!target) return tl::make_unexpected(target.error());
    const auto file = read_file(request.source);
    if (!file) return tl::make_unexpected(file.error());
    const bool tflite = file->size() >= 8 && memcmp(file->data() + 4, "TFL3", 4) == 0;
    auto bytes = tflite ? convert_tflite(request, *file, *target, report)
                        : convert_onnx(request, *file, *target, report);
    if (!bytes) return bytes;
    const auto plan = plan_from_bytes(*bytes, request.source);
    if (!plan) return tl::make_unexpected(plan.error());
    if (const Status s = check_runs(*plan); !s) return tl::make_unexpected(s.error());
    return bytes;
}

}  // namespace lockstep
