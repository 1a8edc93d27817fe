// Gives the Python tests the converter, the float network and every stage of a plan.
//
//   model_probe convert SOURCE PREPROCESSING|- CALIBRATION PLAN   prints windows, same decisions, error
//   model_probe float SOURCE INPUTS.npy OUT.f32                   before and after simplify(), in turn
//   model_probe stages PLAN INPUT.f32 OUT                         every operator's output, window by window
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "models/convert.h"
#include "models/data/npy.h"
#include "models/import/onnx_import.h"
#include "models/network/float_executor.h"
#include "models/network/rewrites.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"

namespace lockstep {
namespace {

int complain(const Error& e) {
    fprintf(stderr, "%s\n", e.message().c_str());
    return 2;
}

std::vector<uint8_t> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_floats(std::ofstream* out, const std::vector<float>& values) {
    out->write(reinterpret_cast<const char*>(values.data()), std::streamsize(values.size() * 4));
}

int convert_command(char** a) {
    ConvertRequest request;
    request.source = a[0];
    request.preprocessing = strcmp(a[1], "-") == 0 ? "" : a[1];
    request.calibration = a[2];
    ConvertReport report;
    const auto blob = convert(request, &report);
    if (!blob) return complain(blob.error());
    if (const Status s = save_plan(a[3], *blob, true); !s) return complain(s.error());
    printf("%zu %zu %.9g\n", report.calibration_windows, report.same_decision, double(report.largest_error));
    return 0;
}

// The inputs are as the graph stores them: channels last.
int float_command(char** a) {
    const std::vector<uint8_t> file = read_file(a[0]);
    auto graph = model::import_onnx(Bytes(file.data(), file.size()), a[0]);
    if (!graph) return complain(graph.error());
    const auto inputs = read_npy(a[1]);
    if (!inputs) return complain(inputs.error());
    const size_t n = graph->values[graph->input].elements();
    std::ofstream out(a[2], std::ios::binary);
    for (int pass = 0; pass < 2; ++pass) {
        if (pass == 1) model::simplify(&*graph);
        if (const Status s = model::check_graph(*graph); !s) return complain(s.error());
        for (size_t at = 0; at + n <= inputs->values.size(); at += n) {
            const std::vector<float> x(inputs->values.begin() + long(at),
                                       inputs->values.begin() + long(at + n));
            write_floats(&out, model::run_float(*graph, x)[graph->output]);
        }
    }
    return 0;
}

int stages_command(char** a) {
    const auto plan = load_plan(a[0]);
    if (!plan) return complain(plan.error());
    const model::InputSpec spec = (*plan)->plan.input(0);
    const size_t n = size_t(spec.window) * spec.channels;
    const std::vector<uint8_t> bytes = read_file(a[1]);
    std::ofstream out(a[2], std::ios::binary);
    for (size_t at = 0; at + n * 4 <= bytes.size(); at += n * 4) {
        std::vector<float> x(n);
        memcpy(x.data(), bytes.data() + at, n * 4);
        const auto stages = run_stages(*plan, x);
        if (!stages) return complain(stages.error());
        for (const StageTensor& s : *stages)
            out.write(reinterpret_cast<const char*>(s.bytes.data()), std::streamsize(s.bytes.size()));
    }
    return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
    const std::string command = argc > 1 ? argv[1] : "";
    if (command == "convert" && argc == 6) return lockstep::convert_command(argv + 2);
    if (command == "float" && argc == 5) return lockstep::float_command(argv + 2);
    if (command == "stages" && argc == 5) return lockstep::stages_command(argv + 2);
    fprintf(stderr, "usage: model_probe convert|float|stages ...\n");
    return 2;
}
