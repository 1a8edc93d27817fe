// A network over windows that overlap becomes one that takes a hop of new samples: what convolutions and
// pools need of earlier ones stays in rings (core/ops/ring.h), so that nothing is computed twice.
//
//   window    [1, 1, 500, 8]  conv 25  [1, 1, 476, 40]  mean
//   by hops   [1, 1, 50, 8]  ring +24  conv 25  [1, 1, 50, 40]  ring +426  mean
//
// The scores have the bits of the windows' network. One thing differs: a layer that is padded before its
// first row only (causal) then sees the rows before the window instead of zeros. A layer that cannot go by
// hops gets whole windows from a ring, and so does what follows it; the report says which and why.
//
// A layer that is padded after its last row, too, takes whole windows, or with `lag` waits for the rows that
// follow: then it sees those instead of zeros, and results are of a window that ended so much earlier.
#pragma once

#include "models/network/graph.h"

namespace lockstep::model {

struct StreamingReport {
    int32_t window = 0;  // rows of the network's input, before and after
    int32_t hop = 0;
    uint32_t windows = 1;  // hops that a result depends on, this one counted
    int32_t lag = 0;       // rows of the network's input by which its window ended earlier
    uint64_t macs_before = 0, macs_after = 0;
    struct Stop {
        std::string node;
        std::string why;
    };
    std::vector<Stop> whole;           // layers that take whole windows
    std::vector<std::string> history;  // layers that see the rows around the window where there was padding
};

// The input is a signal [1, 1, time, channels] of a multiple of `hop`. Works on quantised graphs: rings
// begin with a value's zero point.
// Errors: usage, when no layer can go by hops or a result would look back too far.
// REQUIRES: check_graph(graph) was ok; hop >= 1.
Result<Graph> stream_by_hop(const Graph& graph, int32_t hop, bool lag, StreamingReport* report);

}  // namespace lockstep::model
