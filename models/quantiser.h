// Post-training quantisation: ranges of every value from calibration inputs, int8 weights per output
// channel, int8 activations with a zero point.
#pragma once

#include "models/calibration.h"

namespace lockstep::model {

struct QuantiserOptions {
    RangeMethod method = RangeMethod::minmax;
    double clip = 0.0001;  // percentile only: share of the values left out at each end
    // Moves each bias by the mean error that rounding the weights causes (Nagel et al., ICCV 2019, with
    // the calibration's own means).
    bool correct_bias = false;
};

// `inputs`: as many windows as wanted one after another, each as the graph's input is stored; may be
// empty when the source file states the scale of every value. Values and weights that have a scale
// already (quantised ONNX) keep it. Fills the quantised side of `graph`.
// REQUIRES: check_graph(*graph) was ok and every node has real weights.
Status quantise(Graph* graph, const std::vector<std::vector<float>>& inputs, const QuantiserOptions& options);

}  // namespace lockstep::model
