// The stages between a stream's window and a model, as the preprocessing file describes them: resampling,
// then features (docs/model_format.md). They become operators of models/core/ops/features.h.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace lockstep {

struct FrontStage {
    uint16_t code = 0;  // of the operator
    std::string name;   // of the stage, "eeg.band_power"
    std::vector<uint8_t> params;
    uint32_t scratch = 0;
    std::vector<uint16_t> dims;  // of the output
};

// The signal that a stage takes.
struct FrontSignal {
    std::string kind;  // of stream
    uint32_t length = 0;
    uint32_t channels = 0;
    double rate = 0;  // Hz
};

// Both throw fields::Misfit. Resampling changes `signal` to what leaves it.
FrontStage resample_stage(const nlohmann::json& j, const std::string& pointer, FrontSignal* signal);
std::vector<FrontStage> feature_stages(const nlohmann::json& j, const std::string& pointer,
                                       const FrontSignal& signal);

}  // namespace lockstep
