// Runs the operators of one plan over tensors in an arena. Everything is checked by bind(); run()
// cannot fail. The caller fills input(i) first and reads output() after.
#pragma once

#include "models/core/operator.h"
#include "models/core/plan.h"

namespace lockstep::model {

// CRC-32C over the elements, little-endian, row-major; every NaN counts as 7fc00000.
uint32_t tensor_hash(const Tensor& tensor);

class Engine {
  public:
    // Called after each operator, in order; `index` counts operators from 0.
    using StageSink = void (*)(void* user, size_t index, const Tensor& output);

    static size_t memory_needed(const Plan& plan);

    // REQUIRES: plan was opened; its blob and `memory` outlive the engine.
    // Code::unsupported: an operator that `operators` does not have; no_space: memory is too small;
    // otherwise what the operator's prepare() found.
    Code bind(const Plan& plan, OperatorTable operators, MutableBytes memory);

    size_t operators() const { return operator_count_; }
    const Tensor& input(size_t i) const { return *input_[i]; }  // float32 [1, 1, window, channels]
    const Tensor& output() const { return *contexts_[operator_count_ - 1].output; }
    void run(StageSink sink, void* user);
    // Drops what operators kept of earlier windows.
    void forget();

  private:
    size_t operator_count_ = 0;
    OperatorContext* contexts_ = nullptr;
    const Operator** evaluate_ = nullptr;
    const Tensor* input_[kMaxInputs] = {};
};

}  // namespace lockstep::model
