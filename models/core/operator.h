// The operator contract. Everything is checked once in prepare(); eval() then runs blind and cannot
// fail. One file per operator in ops/, one line in ops.cpp. Operators see tensors in the arena and
// their own parameters in the plan, nothing else. Only those of ops/windows.h and
// ops/ring.h keep state between windows.
#pragma once

#include "dsp/base/code.h"
#include "dsp/base/span.h"

namespace lockstep::model {

enum class ElementType : uint8_t { float32 = 1, int8 = 2, int16 = 3, int32 = 4 };

constexpr size_t element_bytes(ElementType t) {
    return t == ElementType::int8 ? 1 : t == ElementType::int16 ? 2 : 4;
}

struct Tensor {
    ElementType type = ElementType::float32;
    uint8_t rank = 0;
    uint16_t dim[4] = {1, 1, 1, 1};  // row-major, last dimension contiguous
    float scale = 1;                 // quantised: real = (q - zero_point) * scale
    int32_t zero_point = 0;
    void* data = nullptr;  // in the arena, 16-byte aligned

    size_t elements() const { return size_t(dim[0]) * dim[1] * dim[2] * dim[3]; }
    size_t bytes() const { return elements() * element_bytes(type); }
};

constexpr size_t kMaxOperatorInputs = 4;

struct OperatorContext {
    uint8_t input_count = 0;
    const Tensor* input[kMaxOperatorInputs] = {};
    Tensor* output = nullptr;
    Bytes params;          // the operator's own section of the plan, 16-byte aligned
    MutableBytes scratch;  // size named by the plan
};

struct Operator {
    uint16_t code = 0;  // stable number, part of the plan format
    const char* name = "";
    // Checks shapes, types, parameters and scratch size against each other; untrusted input.
    Code (*prepare)(const OperatorContext& context) = nullptr;
    // REQUIRES: prepare(context) was ok.
    void (*eval)(const OperatorContext& context) = nullptr;
    // Its scratch keeps its bytes from window to window, zeros at first, or its output does as well: the
    // flags that its record in a plan must have.
    uint16_t keeps = 0;
};

using OperatorTable = Span<const Operator* const>;

// Every operator of this build (models/core/ops.cpp). Firmware may pass a shorter table of its own.
OperatorTable all_operators();

}  // namespace lockstep::model
