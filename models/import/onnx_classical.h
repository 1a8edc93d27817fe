// Classical models in ONNX (domain ai.onnx.ml), as scikit-learn's converters write them: Scaler, then a tree
// ensemble, a linear model or a support vector machine; what only renames its answer (ZipMap, Cast, Identity,
// a Normalizer of probabilities) is passed over. Any thread.
#pragma once

#include <string>

#include "dsp/base/span.h"
#include "models/import/onnx_import.h"

namespace lockstep::model {

// Whether a node of the file is of that domain.
bool is_onnx_classical(Bytes file);

// The model as "lockstep-classical" JSON (models/compile/classical.h), which is the one way into a plan.
// Everything that cannot be taken is named at once, in the error and in `problems`.
Result<std::string> classical_from_onnx(Bytes file, const std::string& where, const std::string& name,
                                        std::vector<ImportProblem>* problems = nullptr);

}  // namespace lockstep::model
