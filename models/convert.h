// `lockstep model convert`: a trained network becomes a plan for the shared engine.
//
//   ONNX + preprocessing file + calibration windows   a model on live streams
//   ONNX + calibration, TFLite                        a "raw" plan, fed by run_raw (models/plan/run.h)
//
// Any thread; the files are untrusted.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "acquisition/error.h"
#include "models/compile/mixed.h"
#include "models/compile/quantiser.h"
#include "models/data/windows.h"
#include "models/network/pruning.h"
#include "models/network/rewrites.h"
#include "models/network/streaming.h"

namespace lockstep {

struct ConvertRequest {
    std::string source;         // .onnx or .tflite; told apart by their content
    std::string preprocessing;  // "lockstep-preprocessing" JSON, may be empty
    // A training dataset in physical units, or NumPy windows as the network itself takes them, after any
    // normalisation (models/data/windows.h). Quantised sources need none.
    std::string calibration;
    std::string part;                    // of a dataset; "" = "train" when it is split, else all
    const WindowSet* windows = nullptr;  // instead of `calibration`: from a session
    std::vector<std::string> classes;    // of a network without preprocessing: its outputs are classes
    std::string name;                    // of the plan; empty: the preprocessing's, else the file's
    model::QuantiserOptions quantiser;
    // Of a float network: int8, int16 (every layer that can) or those that mixed.h chooses; the layers that
    // quantiser.int16 names have int16 with each.
    enum class Activations { int8, int16, mixed } activations = Activations::int8;
    MixedLimits limits;
    std::set<std::string> without;  // names of rewrites
    double prune = 0;        // share of the channels that go (models/network/pruning.h); float networks only
    bool streaming = false;  // by hops (models/network/streaming.h); with preprocessing, which says the hop
    bool lag = false;        // by hops: layers wait for the rows that follow
    std::string tool;        // for the provenance, "lockstep 0.1.0"
    // Whose kernels the weights are laid out for: "any", or one of known_targets(). Bits do not depend on it.
    std::string target = "any";
};

struct ConvertReport {
    size_t calibration_windows = 0;
    size_t same_decision = 0;  // windows where the int8 plan and the float network have one argmax
    float largest_error = 0;   // of a score, in the unit of the scores
    uint64_t macs = 0;
    std::vector<model::AppliedRewrite> rewrites;
    std::optional<model::StreamingReport> streaming;
    // Calibration windows whose scores have the same bits by hops, and whose decisions are the same.
    size_t same_scores = 0;
    size_t same_by_hops = 0;
    std::optional<PrecisionReport> precision;  // when int16 was asked for
    model::PruningReport pruning;              // its fraction is 0 when none was asked for
};

const std::vector<std::string>& known_targets();

// The bytes of the plan. `report`, when given, compares the plan with the float network.
Result<std::vector<uint8_t>> convert(const ConvertRequest& request, ConvertReport* report = nullptr);

// A whole file, at most of the size a model may have.
Result<std::vector<uint8_t>> read_model_file(const std::string& path);
bool is_tflite(const std::vector<uint8_t>& file);

}  // namespace lockstep
