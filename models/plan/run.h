// Runs a plan's network on tensors from a file, past streams and filters: `lockstep model run`. Any
// thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "acquisition/error.h"
#include "acquisition/loaded_plan.h"
#include "models/core/operator.h"

namespace lockstep {

struct StageTensor {
    std::string name;
    model::StageKind kind = model::StageKind::layer;
    model::ElementType type = model::ElementType::int8;
    std::vector<uint16_t> dims;
    bool over_windows = false;  // smoothing or a majority, here of this window alone
    std::vector<uint8_t> bytes;
};

// What raw files of this plan hold: int8 or int16 (little-endian) for a model that came quantised (its
// input's channels have the unit "int8" or "int16"), float32 otherwise.
model::ElementType raw_type(const model::Plan& plan);

// Whether smoothing or a majority over windows stands between the scores and the result.
bool smooths(const model::Plan& plan);

// One or more inputs, one after another, as the network takes them after filters and before
// normalisation; the network's outputs, one after another, of the same type.
Result<std::vector<uint8_t>> run_raw(const PlanPtr& plan, const std::vector<uint8_t>& inputs);

// Whether the engine of this build accepts the plan's operators and their parameters.
Status check_runs(const PlanPtr& plan);

// The last stage that looks at its own window only: the scores before smoothing. REQUIRES: !stages.empty().
const StageTensor& own_scores(const std::vector<StageTensor>& stages);

// Every operator's output for one float32 input [window][channels], in order.
Result<std::vector<StageTensor>> run_stages(const PlanPtr& plan, const std::vector<float>& input);

// The same for many inputs: keeps the engine. One caller at a time.
class StageRunner {
  public:
    static Result<std::unique_ptr<StageRunner>> make(const PlanPtr& plan);
    ~StageRunner();
    StageRunner(const StageRunner&) = delete;
    StageRunner& operator=(const StageRunner&) = delete;
    Result<std::vector<StageTensor>> run(const std::vector<float>& input);

  private:
    class Machine;
    explicit StageRunner(std::unique_ptr<Machine> machine);
    std::unique_ptr<Machine> machine_;
};

}  // namespace lockstep
