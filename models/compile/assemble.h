// Puts a quantised graph between an input and scores: the common end of every conversion.
#pragma once

#include "models/compile/lower.h"
#include "models/network/graph.h"
#include "models/plan/plan_writer.h"
#include "models/preprocessing/preprocessing.h"

namespace lockstep::model {

// A plan whose input is a file of numbers (kind "raw", one window = one input); `unit` is "int8" or
// "float32", what run_raw then takes. With `classes` the plan is a classifier; one name a score. `span`: the
// window of a graph that goes by hops (streaming.h), else 0.
Result<std::vector<uint8_t>> raw_plan(const Graph& graph, const std::string& unit,
                                      const std::string& provenance, Target target = Target::any,
                                      const std::vector<std::string>& classes = {}, uint32_t span = 0);

// A plan on live streams, as the preprocessing file describes them.
Result<std::vector<uint8_t>> stream_plan(const Graph& graph, const Preprocessing& way,
                                         const std::string& provenance, Target target = Target::any);

// A plan that only cuts and filters the stream's windows: to calibrate a model that is no plan yet.
Result<std::vector<uint8_t>> window_plan(const Preprocessing& way);

}  // namespace lockstep::model
