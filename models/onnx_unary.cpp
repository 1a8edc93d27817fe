// Functions of one number, and softmax.
#include <algorithm>
#include <cmath>

#include "models/onnx_translators.h"

namespace lockstep::model {
namespace {

void set_function(OnnxBuilder& builder, const onnx::NodeProto& n, std::function<float(float)> f) {
    const Known& x = builder.activation(n);
    Node node;
    node.kind = NodeKind::unary;
    node.inputs = {x.value};
    node.function = std::move(f);
    builder.emit(n, std::move(node), x.dims);
}
void clip(OnnxBuilder& builder, const onnx::NodeProto& n, float low, float high) {
    if (!(low <= high)) throw Misfit{"bounds out of order"};
    set_function(builder, n, [low, high](float x) { return std::min(std::max(x, low), high); });
    builder.graph().nodes.back().clip = true;
    builder.graph().nodes.back().low = low;
    builder.graph().nodes.back().high = high;
}

}  // namespace

void relu(OnnxBuilder& builder, const onnx::NodeProto& n) {
    clip(builder, n, 0.0f, std::numeric_limits<float>::infinity());
}
void clip_node(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const float inf = std::numeric_limits<float>::infinity();
    const auto bound = [&](int i, const char* name, float otherwise) {
        if (!builder.given(n, i)) return Attributes(n).real(name, otherwise);
        const Known& k = builder.real(n, i);
        if (k.real.size() != 1) throw Misfit{"a bound is not one number"};
        return k.real[0];
    };
    clip(builder, n, bound(1, "min", -inf), bound(2, "max", inf));
}
void unary(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const std::string& op = n.op_type();
    const Attributes a(n);
    const float alpha = a.real("alpha", op == "LeakyRelu"     ? 0.01f
                                        : op == "HardSigmoid" ? 0.2f
                                        : op == "Selu"        ? 1.67326324f
                                                              : 1.0f);
    const float beta = a.real("beta", 0.5f), gamma = a.real("gamma", 1.05070102f);
    if (op == "Sigmoid")
        return set_function(builder, n, [](float x) { return 1.0f / (1.0f + std::exp(-x)); });
    if (op == "Tanh") return set_function(builder, n, [](float x) { return std::tanh(x); });
    if (op == "Exp") return set_function(builder, n, [](float x) { return std::exp(x); });
    if (op == "Log") return set_function(builder, n, [](float x) { return std::log(std::max(x, 1e-30f)); });
    if (op == "Sqrt") return set_function(builder, n, [](float x) { return std::sqrt(std::max(x, 0.0f)); });
    if (op == "Abs") return set_function(builder, n, [](float x) { return std::fabs(x); });
    if (op == "Neg") return set_function(builder, n, [](float x) { return -x; });
    if (op == "Erf") return set_function(builder, n, [](float x) { return std::erf(x); });
    if (op == "Softplus")
        return set_function(builder, n, [](float x) { return x > 20 ? x : std::log1p(std::exp(x)); });
    if (op == "LeakyRelu")
        return set_function(builder, n, [alpha](float x) { return x < 0 ? alpha * x : x; });
    if (op == "Elu")
        return set_function(builder, n, [alpha](float x) { return x < 0 ? alpha * std::expm1(x) : x; });
    if (op == "Selu")
        return set_function(builder, n, [=](float x) { return gamma * (x < 0 ? alpha * std::expm1(x) : x); });
    if (op == "HardSigmoid")
        return set_function(builder, n,
                            [=](float x) { return std::min(std::max(alpha * x + beta, 0.0f), 1.0f); });
    set_function(builder, n,
                 [](float x) { return x * std::min(std::max(x / 6.0f + 0.5f, 0.0f), 1.0f); });  // HardSwish
}

void softmax(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    const size_t rank = x.dims.size();
    const size_t axis = builder.axis_of(Attributes(n).integer("axis", builder.opset() >= 13 ? -1 : 1), rank);
    const bool stored_last = storage_order(rank).back() == axis;
    const bool rest_is_one = count_of(x.dims) == size_t(x.dims[axis]);
    if (!(stored_last && (builder.opset() >= 13 || rank == 2)) && !rest_is_one)
        throw Misfit{"softmax over another axis than the channels"};
    Node node;
    node.kind = NodeKind::softmax;
    node.inputs = {x.value};
    if (rest_is_one) {
        // In a row, so that it is the last dimension in memory too.
        builder.name_parts_after(n);
        node.inputs = {builder.reshaped(x.value, {1, int32_t(x.dims[axis])})};
        node.name = n.name();
        Known k;
        k.dims = x.dims;
        const size_t row = builder.add(std::move(node), {1, int32_t(x.dims[axis])});
        k.value = builder.reshaped(row, storage_shape(x.dims));
        return builder.define(n, std::move(k));
    }
    builder.emit(n, std::move(node), x.dims);
}

}  // namespace lockstep::model
