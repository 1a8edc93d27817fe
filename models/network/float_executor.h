// Runs a float graph in float32: the reference that an int8 plan is judged by. Any thread.
#pragma once

#include "models/network/graph.h"

namespace lockstep::model {

// Every value of the graph, by index. REQUIRES: check_graph(graph) was ok, input.size() fits.
std::vector<std::vector<float>> run_float(const Graph& graph, const std::vector<float>& input);

}  // namespace lockstep::model
