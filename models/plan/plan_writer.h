// Builds the blob of a plan on the desktop: collects inputs, tensors and operators, places tensors and
// scratch in the arena with reuse, and lays out the bytes of models/core/plan_format.h.
//
//   PlanBuilder b("movement");
//   uint16_t x = b.add_input(input);                          // float32 [1,1,window,channels]
//   uint16_t q = b.add_tensor(ElementType::int8, {1, 1, 100, 6}, 0.05f, -3);
//   b.add_operator(kOpQuantise, {x}, q, {}, "quantise", StageKind::quantised_input);
//   ...
//   b.set_scores({"WALKING", ...}, {"", ...}, true);
//   Result<std::vector<uint8_t>> blob = b.finish();
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "acquisition/error.h"
#include "models/core/operator.h"
#include "models/core/plan.h"

namespace lockstep {

struct PlanChannel {
    std::string name;
    std::string unit;
};

struct PlanInput {
    std::string kind;
    uint32_t rate_num = 1;
    uint32_t rate_den = 1;
    std::vector<PlanChannel> channels;
    uint32_t window = 0;
    uint32_t span = 0;                           // with rings (core/ops/ring.h): what they make of it; else 0
    uint32_t hop = 0;                            // input 0 only
    uint32_t warmup = 0;                         // W
    uint32_t reset_period = 0;                   // K
    std::vector<std::array<float, 5>> sections;  // b0 b1 b2 a1 a2
};

class PlanBuilder {
  public:
    explicit PlanBuilder(std::string name) : name_(std::move(name)) {}

    // Returns the tensor that receives the window. The first input is the primary.
    uint16_t add_input(PlanInput input);
    uint16_t add_tensor(model::ElementType type, const std::vector<uint16_t>& dims, float scale = 1,
                        int32_t zero_point = 0);
    // Operators run in the order they are added; each output is written once.
    void add_operator(uint16_t code, std::vector<uint16_t> inputs, uint16_t output,
                      std::vector<uint8_t> params, std::string stage_name, model::StageKind kind,
                      uint32_t scratch_bytes = 0, uint16_t keeps = 0);  // keeps: Operator::keeps
    void set_scores(std::vector<std::string> names, std::vector<std::string> units, bool is_classifier);
    void set_provenance(std::string json) { provenance_ = std::move(json); }

    // The blob, already accepted by Plan::open; the error names what does not fit the format.
    Result<std::vector<uint8_t>> finish() const;

  private:
    struct TensorEntry {
        model::ElementType type = model::ElementType::float32;
        std::vector<uint16_t> dims;
        float scale = 1;
        int32_t zero_point = 0;
        uint32_t bytes() const;
    };
    struct OperatorEntry {
        uint16_t code = 0;
        std::vector<uint16_t> inputs;
        uint16_t output = 0;
        std::vector<uint8_t> params;
        std::string stage_name;
        model::StageKind kind = model::StageKind::layer;
        uint32_t scratch_bytes = 0;
        uint16_t keeps = 0;
    };
    struct Placement {
        std::vector<uint32_t> tensor;   // arena offset of each tensor
        std::vector<uint32_t> scratch;  // of each operator
        uint32_t bytes = 0;
    };
    Placement place() const;

    std::string name_;
    std::vector<PlanInput> inputs_;
    std::vector<uint16_t> input_tensors_;
    std::vector<TensorEntry> tensors_;
    std::vector<OperatorEntry> operators_;
    std::vector<std::string> score_names_;
    std::vector<std::string> score_units_;
    bool is_classifier_ = false;
    std::string provenance_;
};

// Recomputes the checksum of a blob whose bytes were changed on purpose (planted faults, tests).
// REQUIRES: blob.size() >= sizeof(model::PlanHeader).
void seal_plan(std::vector<uint8_t>& blob);

}  // namespace lockstep
