// Dense layers, batch normalisation, arithmetic of two operands.
#include <algorithm>
#include <cmath>

#include "models/import/onnx_translators.h"

namespace lockstep::model {
namespace {

// A constant operand as one number a channel; scalars are spread.
std::vector<float> per_channel(const Known& c, const Dims& dims) {
    const size_t axis = dims.size() == 1 ? 0 : 1;
    const auto channels = size_t(dims[axis]);
    if (c.real.size() == 1) return std::vector<float>(channels, c.real[0]);
    for (size_t i = 0; i < c.dims.size(); ++i) {
        const int64_t d = c.dims[c.dims.size() - 1 - i];
        const bool channel_axis = i < dims.size() && dims.size() - 1 - i == axis;
        if (d != 1 && !(channel_axis && d == dims[axis]))
            throw Misfit{"a constant of shape " + dims_text(c.dims) + " does not vary by channel of " +
                         dims_text(dims)};
    }
    return c.real;
}

void dense(OnnxBuilder& builder, const onnx::NodeProto& n, const Known& x, const Known& w, bool transposed,
           float alpha, std::vector<float> bias) {
    if (w.dims.size() != 2 || x.dims.empty() || x.dims.back() != w.dims[transposed ? 1 : 0] ||
        count_of(x.dims) != size_t(x.dims.back()))
        throw Misfit{"one row of inputs times a matrix is supported, not " + dims_text(x.dims) + " times " +
                     dims_text(w.dims)};
    const auto in = size_t(x.dims.back()), out = size_t(w.dims[transposed ? 0 : 1]);
    Node node;
    node.kind = NodeKind::fully_connected;
    node.inputs = {x.value};
    node.weights.resize(in * out);
    for (size_t o = 0; o < out; ++o)
        for (size_t i = 0; i < in; ++i)
            node.weights[o * in + i] = alpha * w.real[transposed ? o * in + i : i * out + o];
    const bool by_output = w.weight_scale.size() == 1 || w.weight_axis == (transposed ? 0u : 1u);
    if (alpha == 1.0f && by_output) node.weight_scale = w.weight_scale;
    if (bias.size() == 1) bias.assign(out, bias[0]);
    if (bias.empty()) bias.assign(out, 0.0f);
    if (bias.size() != out) throw Misfit{"the bias does not fit"};
    node.bias = std::move(bias);
    Dims dims = x.dims;
    dims.back() = int64_t(out);
    builder.emit(n, std::move(node), std::move(dims));
}

void with_constant(OnnxBuilder& builder, const onnx::NodeProto& n, const Known& a, const Known& b) {
    const Known &x = a.constant ? b : a, &c = a.constant ? a : b;
    if (c.integer) throw Misfit{"an integer constant"};
    const std::string& op = n.op_type();
    std::vector<float> v = per_channel(c, x.dims);
    const std::vector<float> zero(v.size(), 0.0f);
    if (op == "Add") return builder.affine(n, x, std::vector<float>(v.size(), 1.0f), v);
    if (op == "Mul") return builder.affine(n, x, v, zero);
    if (op == "Sub") {
        if (a.constant) return builder.affine(n, x, std::vector<float>(v.size(), -1.0f), v);
        for (float& s : v)
            s = -s;
        return builder.affine(n, x, std::vector<float>(v.size(), 1.0f), v);
    }
    if (a.constant) throw Misfit{"a constant divided by an activation"};
    for (float& s : v)
        s = 1.0f / s;
    builder.affine(n, x, v, zero);
}
// Sizes computed in the graph, as exporters leave them behind for open batches.
void fold(OnnxBuilder& builder, const onnx::NodeProto& n, const Known& a, const Known& b) {
    const std::string& op = n.op_type();
    if (count_of(a.dims) == 0 || count_of(b.dims) == 0) throw Misfit{"empty constants"};
    Known k = count_of(a.dims) >= count_of(b.dims) ? a : b;
    if (a.integer != b.integer ||
        (count_of(a.dims) != count_of(b.dims) && count_of(a.dims) != 1 && count_of(b.dims) != 1))
        throw Misfit{"constants that do not fit"};
    const auto apply = [&](auto x, auto y) {
        if (op == "Add") return x + y;
        if (op == "Sub") return x - y;
        if (op == "Mul") return x * y;
        if (y == 0) throw Misfit{"division by zero"};
        return x / y;
    };
    for (size_t i = 0; i < count_of(k.dims); ++i) {
        const auto at = [&](const auto& v) { return v[v.size() == 1 ? 0 : i]; };
        if (!k.integer) {
            k.real[i] = apply(at(a.real), at(b.real));
            continue;
        }
        const int64_t x = at(a.whole), y = at(b.whole);
        if (std::abs(double(x)) > 1e9 || std::abs(double(y)) > 1e9) throw Misfit{"constants out of range"};
        k.whole[i] = apply(x, y);
    }
    builder.define(n, std::move(k));
}

}  // namespace

void gemm(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Attributes a(n);
    if (a.integer("transA", 0) != 0) throw Misfit{"transA"};
    std::vector<float> bias;
    if (builder.given(n, 2)) {
        bias = builder.real(n, 2).real;
        for (float& b : bias)
            b *= a.real("beta", 1.0f);
    }
    dense(builder, n, builder.activation(n), builder.real(n, 1), a.integer("transB", 0) != 0,
          a.real("alpha", 1.0f), std::move(bias));
}
void matmul(OnnxBuilder& builder, const onnx::NodeProto& n) {
    dense(builder, n, builder.activation(n), builder.real(n, 1), false, 1.0f, {});
}

void batch_normalization(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    const std::vector<float>&gamma = builder.real(n, 1).real, &beta = builder.real(n, 2).real,
          &mean = builder.real(n, 3).real, &variance = builder.real(n, 4).real;
    const auto channels = size_t(x.dims.size() > 1 ? x.dims[1] : 0);
    if (gamma.size() != channels || beta.size() != channels || mean.size() != channels ||
        variance.size() != channels)
        throw Misfit{"parameters do not fit the channels"};
    const float epsilon = Attributes(n).real("epsilon", 1e-5f);
    std::vector<float> scale(channels), shift(channels);
    for (size_t c = 0; c < channels; ++c) {
        scale[c] = gamma[c] / std::sqrt(variance[c] + epsilon);
        shift[c] = beta[c] - mean[c] * scale[c];
    }
    builder.affine(n, x, scale, shift);
}

void arithmetic(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known &a = builder.any(n, 0), &b = builder.any(n, 1);
    const std::string& op = n.op_type();
    if (a.constant && b.constant) return fold(builder, n, a, b);
    if (a.constant || b.constant) return with_constant(builder, n, a, b);
    if (op == "Div") throw Misfit{"division of two activations"};
    Node node;
    node.kind = op == "Add" ? NodeKind::add : op == "Sub" ? NodeKind::subtract : NodeKind::mul;
    node.inputs = {a.value, b.value};
    Dims dims = a.dims;
    if (a.dims != b.dims) {
        const bool swap = count_of(a.dims) < count_of(b.dims);
        const Known &large = swap ? b : a, &small = swap ? a : b;
        const bool by_channel = large.dims.size() > 1 && small.dims.size() == large.dims.size() &&
                                small.dims[1] == large.dims[1] &&
                                count_of(small.dims) == size_t(small.dims[1]);
        if (!by_channel || (swap && op == "Sub"))
            throw Misfit{"cannot broadcast " + dims_text(small.dims) + " to " + dims_text(large.dims)};
        if (swap) std::swap(node.inputs[0], node.inputs[1]);
        dims = large.dims;
    }
    builder.emit(n, std::move(node), std::move(dims));
}

}  // namespace lockstep::model
