// Reads an ONNX model (opset 9 to 17, one input, one output, batch 1) into a float graph. Inputs are
// [N, F], [N, channels, time] or [N, channels, height, width]; what the file keeps channels-first is
// reordered here. The bytes are untrusted: sizes are checked against the file before memory is spent.
#pragma once

#include "dsp/base/span.h"
#include "models/network/graph.h"

namespace lockstep::model {

// Why a node cannot be taken over, and the nearest form that can.
struct ImportProblem {
    std::string op;    // "ConvTranspose"; "" when the whole model is meant
    std::string node;  // its name in the file
    std::string what;
    std::string nearest;  // may be empty
};

// `where` names the source in errors. Everything that is not supported is named at once, with its nodes;
// `problems`, when given, has the same as a list.
Result<Graph> import_onnx(Bytes file, const std::string& where,
                          std::vector<ImportProblem>* problems = nullptr);

}  // namespace lockstep::model
