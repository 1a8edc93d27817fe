// Makes a float graph smaller without changing what it computes: batch norms and constants go into the
// weights beside them, a ReLU into its producer's clamp, moves of data into the order of weights.
#pragma once

#include "models/graph.h"

namespace lockstep::model {

// REQUIRES: check_graph(graph) was ok. It still is afterwards.
void simplify(Graph* graph);

}  // namespace lockstep::model
