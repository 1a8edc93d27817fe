// A hostile ONNX or TFLite file gives an error or a graph, nothing else.
#include "models/compile/classical.h"
#include "models/import/onnx_classical.h"
#include "models/import/onnx_import.h"
#include "models/import/tflite_import.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace lockstep;
    (void)model::import_onnx(Bytes(data, size), "fuzz");
    const auto json = model::classical_from_onnx(Bytes(data, size), "fuzz", "");
    if (json) (void)classical_plan(*json, "fuzz", {}, "", "");
    (void)model::import_tflite(Bytes(data, size), "fuzz");
    return 0;
}
