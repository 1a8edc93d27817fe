#include "models/core/ops.h"

#include "models/core/ops/classical.h"
#include "models/core/ops/features.h"
#include "models/core/ops/int16.h"
#include "models/core/ops/params.h"
#include "models/core/ops/recurrent.h"
#include "models/core/ops/ring.h"
#include "models/core/ops/windows.h"

namespace lockstep::model {
namespace {

const Operator* const kTable[] = {
    &kNormalise,
    &kQuantise,
    &kDequantise,
    &kConv2d,
    &kDepthwiseConv2d,
    &kFullyConnected,
    &kMaxPool,
    &kAveragePool,
    &kMean,
    &kSoftmax,
    &kAdd,
    &kMul,
    &kConcat,
    &kPad,
    &kReshape,
    &kLookupTable,
    &kTranspose,
    &kSlice,
    &kArgmax,
    &kGru,
    &kLstm,
    &kVitals,
    &kBandPower,
    &kResample,
    &kHeartRate,
    &kSkinConductance,
    &kTrees,
    &kVectors,
    &kSmooth,
    &kMajority,
    &kRing,
    &kQuantise16,
    &kDequantise16,
    &kRequantise,
    &kConv2d16,
    &kDepthwiseConv2d16,
    &kFullyConnected16,
    &kMaxPool16,
    &kAveragePool16,
    &kMean16,
    &kAdd16,
    &kMul16,
    &kCurve,
    &kSigmoid16,
    &kSoftmax16,
    &kOctaves,
};

}  // namespace

OperatorTable all_operators() {
    return OperatorTable(kTable);
}

}  // namespace lockstep::model
