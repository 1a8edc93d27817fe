// Functions of one number, and softmax.
#include <algorithm>
#include <cmath>

#include "models/import/onnx_translators.h"

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

// The exponent is one constant; of a value below 0 only whole powers exist.
void power(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& exponent = builder.any(n, 1);
    if (!exponent.constant || count_of(exponent.dims) != 1)
        throw Misfit{"the exponent is not one constant", "Pow with one constant exponent"};
    const float p = exponent.integer ? float(exponent.whole[0]) : exponent.real[0];
    if (p == 2) return set_function(builder, n, [](float x) { return x * x; });
    const bool whole = p == std::floor(p);
    set_function(builder, n, [p, whole](float x) { return std::pow(whole ? x : std::max(x, 0.0f), p); });
}

// One slope, or one a channel: max(x, 0) + slope * min(x, 0).
void prelu(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& slope = builder.real(n, 1);
    const Known x = builder.activation(n);
    if (slope.real.size() == 1) {
        const float a = slope.real[0];
        return set_function(builder, n, [a](float v) { return v < 0 ? a * v : v; });
    }
    if (x.dims.size() < 2 || slope.real.size() != size_t(x.dims[1]) ||
        count_of(slope.dims) != size_t(x.dims[1]))
        throw Misfit{"slopes " + dims_text(slope.dims) + " do not fit " + dims_text(x.dims)};
    builder.name_parts_after(n);
    const auto part = [&](std::function<float(float)> f) {
        Node node;
        node.kind = NodeKind::unary;
        node.inputs = {x.value};
        node.function = std::move(f);
        return builder.add(std::move(node), storage_shape(x.dims));
    };
    const size_t above = part([](float v) { return std::max(v, 0.0f); });
    Known below = x;
    below.value = part([](float v) { return std::min(v, 0.0f); });
    builder.affine(n, below, slope.real, std::vector<float>(slope.real.size(), 0.0f));
    Node sum;
    sum.kind = NodeKind::add;
    sum.inputs = {above, builder.find(n.output(0))->value};
    builder.emit(n, std::move(sum), x.dims);
}

void softmax(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    const size_t rank = x.dims.size();
    const size_t axis = builder.axis_of(Attributes(n).integer("axis", builder.opset() >= 13 ? -1 : 1), rank);
    const bool stored_last = storage_order(rank).back() == axis;
    const bool rest_is_one = count_of(x.dims) == size_t(x.dims[axis]);
    if (!(stored_last && (builder.opset() >= 13 || rank == 2)) && !rest_is_one)
        throw Misfit{"softmax over another axis than the channels"};
    const Dims dims = x.dims;
    const size_t in = x.value;
    builder.name_parts_after(n);
    const auto part = [&](NodeKind kind, size_t value, const Shape& shape) {
        Node node;
        node.kind = kind;
        node.name = n.name();
        node.inputs = {value};
        if (kind == NodeKind::unary) node.function = [](float v) { return std::log(std::max(v, 1e-30f)); };
        return builder.add(std::move(node), shape);
    };
    // In a row where that is all, so that it is the last dimension in memory too.
    const Shape kept = storage_shape(dims), shape = rest_is_one ? Shape{1, int32_t(dims[axis])} : kept;
    size_t y = part(NodeKind::softmax, builder.reshaped(in, shape), shape);
    if (n.op_type() == "LogSoftmax") y = part(NodeKind::unary, y, shape);
    Known k;
    k.dims = dims;
    k.value = builder.reshaped(y, kept);
    builder.define(n, std::move(k));
}

}  // namespace lockstep::model
