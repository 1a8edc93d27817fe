// Recurrent layers over the time of one window: int8 inputs, hidden state and weights, int16 gates and cell.
// A window starts from zero state, so that a prediction depends on its own samples only.
//
// Arithmetic, the contract of models/core/ops/recurrent.cpp. r(x, n) is x / 2^n rounded, ties away from zero.
//
// - Two sums a row in int32, bias_x + Wx*x and bias_h + Wh*h over raw bytes, zero points folded into the
//   biases. Each is brought to Q3.12 by its row's multiplier (quant.h) and clamped to int16; then added and
//   clamped.
// - tanh: a table of tanh(i / 32) in Q0.15, 0 <= i <= 256, linear between two entries. sigmoid(v) is
//   (32769 + tanh(v / 2)) >> 1, v / 2 rounded towards 0, clamped to int16.
// - LSTM: c = r(f*c, 15) + r(i*g, 19) in Q4.11, clamped; h = r(o * tanh(c), 15).
// - GRU: n = tanh(a + r(reset*b, 15)), a and b the two sums of its rows; with reset_first n = tanh(a + b), b
// the
//   sum over r(r(reset*h, 15), 8) instead of h. h = n + r(z * (h - n), 15).
// - h is Q0.15 inside; as int8, for the next step and as output, it is r(h, 8), clamped: scale 1/128, zero
//   point 0.
#pragma once

#include "models/core/operator.h"

namespace lockstep::model {

// Beside the numbers of models/core/ops.h; never reused either.
constexpr uint16_t kOpGru = 26;
constexpr uint16_t kOpLstm = 27;

// Input int8 [1, 1, time, inputs]; output int8 [1, 1, time, hidden], or [1, hidden] with last_only. Behind
// the header, with rows = gates * hidden (GRU: update, reset, new; LSTM: input, output, forget, cell):
//   int32 bias_x[rows], bias_h[rows], multiplier_x[rows], shift_x[rows], multiplier_h[rows], shift_h[rows];
//   int8 weights_x[rows][inputs], weights_h[rows][hidden]
struct RecurrentParams {
    int32_t hidden;
    int32_t reverse;      // 1: from the last step to the first; the output stays in the order of time
    int32_t last_only;    // 1: the state after the last step only
    int32_t reset_first;  // GRU, 1: the reset gate comes before the product (ONNX linear_before_reset = 0)
};
constexpr int32_t kMaxHidden = 512;
constexpr uint32_t kGruGates = 3;
constexpr uint32_t kLstmGates = 4;
constexpr uint32_t recurrent_scratch_bytes(uint32_t hidden) {
    return (3 * 2 + 2) * hidden;  // three rows of int16, two of int8
}
constexpr float kHiddenScale = 1.0f / 128;

void eval_gru(const OperatorContext& c);
void eval_lstm(const OperatorContext& c);
// With plain C++ sums, which are the contract.
void reference_gru(const OperatorContext& c);
void reference_lstm(const OperatorContext& c);
extern const Operator kGru;
extern const Operator kLstm;

}  // namespace lockstep::model
