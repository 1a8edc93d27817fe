// `lockstep model convert`: a trained network becomes a plan for the shared engine.
//
//   ONNX + preprocessing file + calibration windows   a model on live streams
//   ONNX + calibration, TFLite                        a "raw" plan, fed by run_raw (models/run.h)
//
// Any thread; the files are untrusted.
#pragma once

#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep {

struct ConvertRequest {
    std::string source;         // .onnx or .tflite; told apart by their content
    std::string preprocessing;  // "lockstep-preprocessing" JSON, may be empty
    std::string calibration;    // .npy, or .npz with one array or one named "inputs": float32 [n, ...]
    std::string name;           // of the plan; empty: the preprocessing's, else the file's
    // Whose kernels the weights are laid out for: "any", or one of known_targets(). Bits do not depend on it.
    std::string target = "any";
    // Share of the calibration values at each end that may be clipped; 0 keeps the whole range.
    double clip = 0;
};

struct ConvertReport {
    size_t calibration_windows = 0;
    size_t same_decision = 0;  // windows where the int8 plan and the float network have one argmax
    float largest_error = 0;   // of a score, in the unit of the scores
    uint64_t macs = 0;
};

const std::vector<std::string>& known_targets();

// The bytes of the plan. `report`, when given, compares the plan with the float network.
Result<std::vector<uint8_t>> convert(const ConvertRequest& request, ConvertReport* report = nullptr);

}  // namespace lockstep
