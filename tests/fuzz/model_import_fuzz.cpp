// Hostile ONNX and TFLite files: what the importers accept must survive rewriting, shape checks and, when
// it is small, one run of the float network or the making of a plan.
#include <vector>

#include "models/assemble.h"
#include "models/float_executor.h"
#include "models/onnx_import.h"
#include "models/rewrites.h"
#include "models/tflite_import.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace lockstep;
    using namespace lockstep::model;
    const std::vector<uint8_t> file(data, data + size);
    const Bytes bytes(file.data(), file.size());
    if (const auto graph = import_tflite(bytes, "fuzz")) {
        const auto plan = raw_plan(*graph, "int8", "{}");
        (void)plan;
    }
    auto graph = import_onnx(bytes, "fuzz");
    if (!graph) return 0;
    simplify(&*graph);
    if (!check_graph(*graph)) __builtin_trap();
    size_t elements = 0;
    for (const Value& v : graph->values)
        elements += v.elements();
    if (multiply_accumulates(*graph) > 300000 || elements > 300000) return 0;
    run_float(*graph, std::vector<float>(graph->values[graph->input].elements(), 0.5f));
    return 0;
}
