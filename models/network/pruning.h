// Structured pruning of a float graph: whole output channels of convolutions and fully connected layers go,
// those whose weights' absolute values add up to least (Li et al., "Pruning filters for efficient convnets",
// ICLR 2017), and with them what later layers did with them. Less work on every target, unlike zeros in
// weights. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/network/graph.h"

namespace lockstep::model {

struct PrunedLayer {
    std::string node;
    size_t channels = 0, kept = 0;
    std::string why_not;  // it was left alone; else empty
};

struct PruningReport {
    double fraction = 0;
    std::vector<PrunedLayer> layers;  // every convolution and fully connected layer
    uint64_t macs_before = 0, macs_after = 0;
    uint64_t bytes_before = 0, bytes_after = 0;  // int8 weights, and bias, multiplier and shift of a channel
};

// Takes about `fraction` of every layer's channels, never all; where a layer has a multiple of four of them,
// one is left, for the kernels take four at a time. A layer is left alone when its channels do not end in
// other layers' weights: at the output, at additions, concatenations and recurrent layers.
// REQUIRES: check_graph(graph) was ok, 0 <= fraction < 1, real weights. It still is afterwards.
PruningReport prune(Graph* graph, double fraction);

}  // namespace lockstep::model
