// Post-training quantisation: ranges of every value from calibration inputs, int8 weights per output
// channel, int8 activations with a zero point, or int16 activations without one where that is asked for.
#pragma once

#include <set>

#include "models/compile/calibration.h"

namespace lockstep::model {

struct QuantiserOptions {
    RangeMethod method = RangeMethod::minmax;
    double clip = 0.0001;  // percentile only: share of the values left out at each end
    // Moves each bias by the mean error that rounding the weights causes (Nagel et al., ICCV 2019, with
    // the calibration's own means).
    bool correct_bias = false;
    // Layers whose output has 16 bits, over all of its range whatever the method; kInputLayer is the
    // network's input. What only moves numbers goes with what it moves, and conversions stand where types
    // meet. Only for a graph without scales of its own.
    std::set<std::string> int16;
    bool all_int16 = false;                   // every layer that can
    const Calibration* calibrated = nullptr;  // of this graph and these inputs, made before
};

constexpr char kInputLayer[] = "input";

// Names that QuantiserOptions::int16 may hold, in the order of the network.
std::vector<std::string> int16_layers(const Graph& graph);

// `inputs`: as many windows as wanted one after another, each as the graph's input is stored; may be
// empty when the source file states the scale of every value. Values and weights that have a scale
// already (quantised ONNX) keep it. Fills the quantised side of `graph`.
// REQUIRES: check_graph(*graph) was ok and every node has real weights.
Status quantise(Graph* graph, const std::vector<std::vector<float>>& inputs, const QuantiserOptions& options);

}  // namespace lockstep::model
