// Quantised graph -> operators of a plan: parameters in the form the engine runs them, multipliers as
// TFLite derives them, zero points folded into the biases.
#pragma once

#include "models/network/graph.h"
#include "models/plan/plan_writer.h"

namespace lockstep::model {

// A real factor as multiplier * 2^(shift - 31).
struct Factor {
    int32_t multiplier = 0;
    int32_t shift = 0;
};
Factor factor(double real);

// Round to nearest, ties away from zero, then into int8.
int32_t quantised(float real, float scale, int32_t zero_point);

std::vector<uint16_t> plan_dims(const Shape& shape);

// What the weights are laid out for. Every plan runs everywhere with the same bits; it is fast where its
// layout has a kernel.
enum class Target { any, armv7em };

// Adds every node of the graph; `input` is the plan's tensor that holds the graph's input. Returns
// the tensor of the graph's output.
// REQUIRES: check_graph(graph) was ok.
Result<uint16_t> emit_network(const Graph& graph, uint16_t input, PlanBuilder* plan,
                              Target target = Target::any);

}  // namespace lockstep::model
