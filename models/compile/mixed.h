// Which layers get int16 activations: chosen by what each does to the scores of the calibration windows,
// measured on the plan itself against the float network. Any thread.
//
// Starting from all that can be int16, every layer is tried in int8; the one that adds least to the error of
// the scores becomes int8; again, until none is left that keeps the error within its limit. From the other
// end, int8, the way is blocked: one int16 layer between int8 neighbours gains nothing, its numbers pass int8
// again.
#pragma once

#include <string>
#include <vector>

#include "models/compile/assemble.h"
#include "models/compile/quantiser.h"
#include "models/data/feed.h"

namespace lockstep {

struct MixedLimits {
    // RMS error of the scores as a share of their own standard deviation. Where int16 everywhere does not
    // reach it, the limit is what that reaches and a tenth.
    double score_error = 0.01;
    size_t layers = SIZE_MAX;  // that may be int16; comes before the error
};

// A layer, in the order of the network. Noise is what its output has in the plan, from all layers before it,
// too: the ratio of the float signal's power to it, in dB; at most 200.
struct LayerPrecision {
    std::string layer;
    std::string why;       // it is int16; empty = int8
    double int8_db = 0;    // with all layers int8
    double chosen_db = 0;  // in the plan that was made
    uint64_t macs = 0;
    size_t bytes = 0;          // of its output in int8; int16 takes twice as many
    double error_without = 0;  // int16 only: of the scores, if this layer alone were int8
};

struct PrecisionReport {
    double limit = 0;    // of the error, that the search kept; 0 without a search
    size_t windows = 0;  // that were measured
    double int8_error = 0, error = 0, int16_error = 0;
    size_t int8_arena = 0, arena = 0, int16_arena = 0;  // bytes
    uint64_t macs = 0, int16_macs = 0;                  // of the plan, and those in its int16 layers
    std::vector<LayerPrecision> layers;
};

// Measures the plan that `options` makes of the float graph; with `limits` chooses the layers first,
// besides those that options->int16 names, and puts them there. Takes at most 32 of the windows, fewer for
// large networks. REQUIRES: check_graph(graph) was ok, no value has a scale, windows is not empty.
Result<PrecisionReport> choose_int16(const model::Graph& graph, const Windows& windows,
                                     const MixedLimits* limits, model::QuantiserOptions* options);

}  // namespace lockstep
