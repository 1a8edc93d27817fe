#include "models/core/ops.h"

namespace lockstep::model {
namespace {

const Operator* const kTable[] = {
    &kNormalise,
    &kQuantise,
    &kDequantise,
};

}  // namespace

OperatorTable all_operators() {
    return OperatorTable(kTable);
}

}  // namespace lockstep::model
