// Reads an int8 TensorFlow Lite model (one subgraph, one input, one output) into a quantised graph.
// The bytes are untrusted: they are verified before they are read, and nothing larger than the file
// itself is allocated on their word.
#pragma once

#include "dsp/base/span.h"
#include "models/network/graph.h"

namespace lockstep::model {

// `where` names the source in errors. An operator that is not supported is an error that lists every
// such operator of the model.
Result<Graph> import_tflite(Bytes file, const std::string& where);

}  // namespace lockstep::model
