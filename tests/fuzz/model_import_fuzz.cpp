// A hostile ONNX or TFLite file gives an error or a graph, nothing else.
#include "models/onnx_import.h"
#include "models/tflite_import.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace lockstep;
    (void)model::import_onnx(Bytes(data, size), "fuzz");
    (void)model::import_tflite(Bytes(data, size), "fuzz");
    return 0;
}
