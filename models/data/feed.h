// Brings windows into the order in which a network keeps its input, and runs plans and float networks on
// them. Any thread.
#pragma once

#include "acquisition/loaded_plan.h"
#include "models/data/windows.h"
#include "models/network/graph.h"

namespace lockstep {

using Windows = std::vector<std::vector<float>>;

// How a network keeps one window: [cells][channels]. `channels_first`: files in the model's own order,
// NumPy's, have the channels before the cells, as ONNX means it.
struct InputOrder {
    size_t cells = 0;
    size_t channels = 0;
    bool channels_first = false;
};
InputOrder order_of(const model::Graph& graph, bool channels_first);
Result<InputOrder> order_of(const PlanPtr& plan);

// Every window as the network keeps it. Values that are not finite are kept: what a network makes of
// them is defined (docs/model_format.md).
Result<Windows> arranged(const WindowSet& set, const InputOrder& order);

struct Scored {
    size_t scores = 0;          // a window
    std::vector<float> values;  // [windows][scores]
    Windows network_input;      // after the plan's features and normalisation
};
// A plan's scores of windows that passed its filters already.
Result<Scored> score(const PlanPtr& plan, const Windows& windows);

// The float network's outputs, [windows][outputs].
std::vector<float> score_float(const model::Graph& graph, const Windows& windows);

}  // namespace lockstep
