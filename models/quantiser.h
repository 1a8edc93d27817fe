// Post-training quantisation: ranges of every value from calibration inputs, int8 weights per output
// channel, int8 activations with a zero point.
#pragma once

#include "models/graph.h"

namespace lockstep::model {

struct QuantiserOptions {
    double clip = 0;  // share of the values at each end that may be clipped; 0 = minimum to maximum
};

// `inputs`: as many windows as wanted one after another, each as the graph's input is stored. Fills the
// quantised side of `graph`. REQUIRES: check_graph(*graph) was ok and every node has real weights.
Status quantise(Graph* graph, const std::vector<std::vector<float>>& inputs, const QuantiserOptions& options);

}  // namespace lockstep::model
