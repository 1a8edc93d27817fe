// What calibration windows tell about every value of a network: ranges by three methods, and channel
// means for bias correction.
//
//   minmax      the whole range seen
//   percentile  without the share `clip` of all values at each end
//   mse         the range that gives the least squared error of int8, by search over a histogram
#pragma once

#include "models/network/graph.h"

namespace lockstep::model {

enum class RangeMethod { minmax, percentile, mse };
const char* range_method_name(RangeMethod method);

struct ValueRange {
    float low = 0;  // low <= 0 <= high: padding and ReLU must be exact
    float high = 0;
    void include(float v);
    void include(const ValueRange& r);
};

struct Calibration {
    std::vector<ValueRange> range;          // one a value, by the method
    std::vector<ValueRange> whole;          // all that was seen
    std::vector<std::vector<double>> mean;  // of each element of the last dimension (rows: of each element)
};

// REQUIRES: check_graph(graph) was ok, windows fit the graph's input. Fails when a window or what the
// network makes of it is not finite.
Result<Calibration> calibrate(const Graph& graph, const std::vector<std::vector<float>>& windows,
                              RangeMethod method, double clip);

}  // namespace lockstep::model
