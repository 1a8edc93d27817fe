// The input way of a model: the JSON file "lockstep-preprocessing", version 1, that stands beside an
// ONNX model or, with an `operator` block, is a whole model. Streams, filters, windows, features,
// normalisation and the names of the outputs (docs/model_format.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "acquisition/error.h"
#include "models/plan/plan_writer.h"
#include "models/preprocessing/feature_stages.h"
#include "models/preprocessing/post_stages.h"

namespace lockstep {

struct PreprocessingInput {
    std::string tensor;          // name of the model's input tensor
    std::vector<int64_t> shape;  // as the model wants it, {1, 6, 100}
    std::string layout;          // "NCT" or "NTC"
    PlanInput stream;            // kind, rate, channels, window, hop, filter
    std::optional<FrontStage> resample;
    std::vector<FrontStage> features;  // of the (resampled) window, side by side; empty: the window itself
    std::vector<uint16_t> dims;        // what a model gets: {1, 1, time, channels}, or {1, features}
    bool standardise = false;          // (x - mean) / std per channel or feature
    std::vector<float> mean;
    std::vector<float> deviation;
};

struct Preprocessing {
    std::string model;
    std::vector<PreprocessingInput> inputs;  // the primary first
    std::string operator_name;               // "vitals"; "" when a network does the work
    std::string operator_json;               // the operator block as text
    std::string output_tensor;
    std::string output_kind;  // "logits", "probabilities" or "values"
    std::vector<std::string> score_names;
    std::vector<std::string> score_units;  // "" for classes
    std::vector<PostStage> post;           // behind the scores

    bool is_classifier() const { return output_kind != "values"; }
};

// `where` names the source in errors; they point at the field: "vitals.json: /inputs/0/filter/sos".
Result<Preprocessing> parse_preprocessing(const std::string& json_text, const std::string& where);
Result<Preprocessing> read_preprocessing(const std::string& path);

}  // namespace lockstep
