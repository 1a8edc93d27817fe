// Reads a float ONNX model (opset 9 to 17, one input, one output, batch 1) into a float graph. Inputs
// are [N, F], [N, channels, time] or [N, channels, height, width]; what the file keeps channels-first is
// reordered here. The bytes are untrusted: sizes are checked against the file before memory is spent.
#pragma once

#include "dsp/base/span.h"
#include "models/graph.h"

namespace lockstep::model {

// `where` names the source in errors. Operators that are not supported are named all at once, with
// their nodes.
Result<Graph> import_onnx(Bytes file, const std::string& where);

}  // namespace lockstep::model
