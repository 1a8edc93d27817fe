#include "models/plan/layers.h"

#include <cstring>

#include "models/core/ops.h"
#include "models/core/ops/classical.h"
#include "models/core/ops/features.h"
#include "models/core/ops/int16.h"
#include "models/core/ops/params.h"
#include "models/core/ops/recurrent.h"
#include "models/core/ops/windows.h"
#include "models/core/plan_format.h"

namespace lockstep {
namespace {

using namespace model;

uint64_t elements(const TensorRecord& t) {
    uint64_t n = 1;
    for (size_t d = 0; d < t.rank; ++d)
        n *= t.dim[d];
    return n;
}

uint64_t macs_of(Bytes blob, const OperatorRecord& op, const TensorRecord& in, const TensorRecord& out) {
    if (op.code == kOpFullyConnected || op.code == kOpFullyConnected16) return elements(in) * elements(out);
    if (op.code == kOpGru || op.code == kOpLstm) {
        const uint64_t hidden = out.dim[out.rank - 1];
        return in.dim[2] * (op.code == kOpGru ? kGruGates : kLstmGates) * hidden * (in.dim[3] + hidden);
    }
    const bool whole = op.code == kOpConv2d || op.code == kOpConv2d16;
    if (!whole && op.code != kOpDepthwiseConv2d && op.code != kOpDepthwiseConv2d16) return 0;
    if (op.params_bytes < sizeof(WindowParams)) return 0;
    const auto w = load_record<WindowParams>(blob, op.params);
    const uint64_t taps = uint64_t(uint32_t(w.kernel_h)) * uint32_t(w.kernel_w);
    return elements(out) * taps * (whole ? in.dim[3] : 1);
}

}  // namespace

const char* operator_name(uint16_t code) {
    switch (code) {
        case kOpNormalise:
            return "normalise";
        case kOpQuantise:
            return "quantise";
        case kOpDequantise:
            return "dequantise";
        case kOpConv2d:
            return "conv2d";
        case kOpDepthwiseConv2d:
            return "depthwise conv2d";
        case kOpFullyConnected:
            return "fully connected";
        case kOpMaxPool:
            return "max pool";
        case kOpAveragePool:
            return "average pool";
        case kOpMean:
            return "mean";
        case kOpSoftmax:
            return "softmax";
        case kOpAdd:
            return "add";
        case kOpMul:
            return "mul";
        case kOpConcat:
            return "concat";
        case kOpPad:
            return "pad";
        case kOpReshape:
            return "reshape";
        case kOpLookupTable:
            return "lookup table";
        case kOpTranspose:
            return "transpose";
        case kOpSlice:
            return "slice";
        case kOpArgmax:
            return "argmax";
        case kOpGru:
            return "gru";
        case kOpLstm:
            return "lstm";
        case kOpBandPower:
            return "band power";
        case kOpResample:
            return "resample";
        case kOpHeartRate:
            return "heart rate";
        case kOpSkinConductance:
            return "skin conductance";
        case kOpVitals:
            return "vitals";
        case kOpTrees:
            return "trees";
        case kOpVectors:
            return "vectors";
        case kOpSmooth:
            return "smoothing";
        case kOpMajority:
            return "majority";
        case kOpQuantise16:
            return "quantise int16";
        case kOpDequantise16:
            return "dequantise int16";
        case kOpRequantise:
            return "requantise";
        case kOpConv2d16:
            return "conv2d int16";
        case kOpDepthwiseConv2d16:
            return "depthwise conv2d int16";
        case kOpFullyConnected16:
            return "fully connected int16";
        case kOpMaxPool16:
            return "max pool int16";
        case kOpAveragePool16:
            return "average pool int16";
        case kOpMean16:
            return "mean int16";
        case kOpAdd16:
            return "add int16";
        case kOpMul16:
            return "mul int16";
        case kOpCurve:
            return "curve";
        case kOpSigmoid16:
            return "sigmoid int16";
        case kOpOctaves:
            return "octaves";
        case kOpSoftmax16:
            return "softmax int16";
        case kOpChannelMean:
            return "channel mean";
        default:
            return "?";
    }
}

const char* activations_of(const Plan& plan) {
    const auto header = load_record<PlanHeader>(plan.blob(), 0);
    bool narrow = false, wide = false;
    for (size_t i = 0; i < header.tensors.count; ++i) {
        const auto t =
            load_record<TensorRecord>(plan.blob(), header.tensors.offset + i * sizeof(TensorRecord));
        narrow = narrow || ElementType(t.type) == ElementType::int8;
        wide = wide || ElementType(t.type) == ElementType::int16;
    }
    return narrow && wide ? "int8 and int16" : wide ? "int16" : narrow ? "int8" : "float32";
}

bool has_paired_weights(const Plan& plan) {
    const Bytes blob = plan.blob();
    const auto header = load_record<PlanHeader>(blob, 0);
    for (size_t i = 0; i < header.operators.count; ++i) {
        const auto op =
            load_record<OperatorRecord>(blob, header.operators.offset + i * sizeof(OperatorRecord));
        const auto paired = [](int32_t layout) { return WeightLayout(layout) == WeightLayout::pairs; };
        if ((op.code == kOpConv2d || op.code == kOpDepthwiseConv2d) &&
            op.params_bytes >= sizeof(ConvParams) && paired(load_record<ConvParams>(blob, op.params).layout))
            return true;
        if (op.code == kOpFullyConnected && op.params_bytes >= sizeof(FullyConnectedParams) &&
            paired(load_record<FullyConnectedParams>(blob, op.params).layout))
            return true;
    }
    return false;
}

std::vector<PlanLayer> plan_layers(const Plan& plan) {
    const Bytes blob = plan.blob();
    const auto header = load_record<PlanHeader>(blob, 0);
    const auto tensor = [&](size_t i) {
        return load_record<TensorRecord>(blob, header.tensors.offset + i * sizeof(TensorRecord));
    };
    std::vector<PlanLayer> layers;
    const size_t first = plan.stages() - header.operators.count;
    for (size_t i = 0; i < header.operators.count; ++i) {
        const auto op =
            load_record<OperatorRecord>(blob, header.operators.offset + i * sizeof(OperatorRecord));
        const TensorRecord in = tensor(op.input[0]), out = tensor(op.output);
        PlanLayer l;
        l.stage = plan.stage(first + i).name;
        l.op = operator_name(op.code);
        for (size_t d = 0; d < out.rank; ++d)
            l.shape += (d == 0 ? "[" : ", ") + std::to_string(out.dim[d]);
        l.shape += "]";
        l.macs = macs_of(blob, op, in, out);
        l.params = op.params_bytes;
        l.output = size_t(elements(out)) * element_bytes(ElementType(out.type));
        l.scratch = op.scratch_bytes;
        layers.push_back(std::move(l));
    }
    return layers;
}

}  // namespace lockstep
