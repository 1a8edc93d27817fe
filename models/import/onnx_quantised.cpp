// QuantizeLinear and DequantizeLinear: what they state becomes the scale of a value or of weights; the
// network between them stays a float network until the quantiser reads the scales again.
#include <algorithm>
#include <cmath>

#include "models/import/onnx_translators.h"

namespace lockstep::model {
namespace {

struct Steps {
    std::vector<float> scale;
    std::vector<int64_t> zero_point;  // one a scale
    bool is_unsigned = false;
};

Steps steps_of(const OnnxBuilder& builder, const onnx::NodeProto& n) {
    Steps s;
    s.scale = builder.real(n, 1).real;
    s.zero_point.assign(s.scale.size(), 0);
    s.is_unsigned = true;  // ONNX: uint8 without a zero point
    if (OnnxBuilder::given(n, 2)) {
        const Known& zero = builder.any(n, 2);
        if (!zero.constant || !zero.integer || zero.whole.size() != s.scale.size())
            throw Misfit{"the zero point does not fit the scale"};
        s.zero_point = zero.whole;
        s.is_unsigned = zero.is_unsigned;
    }
    for (const float v : s.scale)
        if (!(v > 0) || !std::isfinite(v)) throw Misfit{"a scale is not a positive number"};
    for (const int64_t z : s.zero_point)
        if (z < -128 || z > 255) throw Misfit{"a zero point outside 8 bits", "int8 or uint8"};
    return s;
}

// Index of the scale for element i of a constant.
size_t step_at(const Steps& s, const Dims& dims, size_t axis, size_t i) {
    if (s.scale.size() == 1) return 0;
    size_t inner = 1;
    for (size_t d = axis + 1; d < dims.size(); ++d)
        inner *= size_t(dims[d]);
    return i / inner % s.scale.size();
}

size_t axis_of_steps(const onnx::NodeProto& n, const Steps& s, const Dims& dims) {
    if (s.scale.size() == 1) return 0;
    const size_t axis = OnnxBuilder::axis_of(Attributes(n).integer("axis", 1), dims.size());
    if (size_t(dims[axis]) != s.scale.size()) throw Misfit{"the scales do not fit the axis"};
    return axis;
}

}  // namespace

void dequantize_linear(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.any(n, 0);
    if (!x.constant) {
        if (!x.quantised) throw Misfit{"its input is no QuantizeLinear's output", "pairs of the two"};
        Known k = x;
        k.quantised = false;
        return builder.define(n, std::move(k));
    }
    if (!x.integer) throw Misfit{"its input is not quantised"};
    Steps s = steps_of(builder, n);
    if (!OnnxBuilder::given(n, 2)) s.is_unsigned = x.is_unsigned;
    const size_t axis = axis_of_steps(n, s, x.dims);
    Known k = x;
    k.integer = false;
    k.whole.clear();
    k.real.resize(x.whole.size());
    for (size_t i = 0; i < x.whole.size(); ++i) {
        const size_t at = step_at(s, x.dims, axis, i);
        k.real[i] = float(x.whole[i] - s.zero_point[at]) * s.scale[at];
    }
    // Weights around the middle of their range keep their steps; others are quantised anew.
    const int64_t middle = x.is_unsigned ? 128 : 0;
    if (std::all_of(s.zero_point.begin(), s.zero_point.end(), [&](int64_t z) { return z == middle; })) {
        k.weight_scale = s.scale;
        k.weight_axis = axis;
    }
    builder.define(n, std::move(k));
}

void quantize_linear(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.any(n, 0);
    const Steps s = steps_of(builder, n);
    if (x.constant) {
        if (x.integer) throw Misfit{"its input is quantised already"};
        const size_t axis = axis_of_steps(n, s, x.dims);
        Known k = x;
        k.integer = true;
        k.is_unsigned = s.is_unsigned;
        k.real.clear();
        k.whole.resize(x.real.size());
        const double low = s.is_unsigned ? 0 : -128, high = s.is_unsigned ? 255 : 127;
        for (size_t i = 0; i < x.real.size(); ++i) {
            const size_t at = step_at(s, x.dims, axis, i);
            const double q =
                std::nearbyint(double(x.real[i]) / double(s.scale[at])) + double(s.zero_point[at]);
            k.whole[i] = std::isnan(q) ? s.zero_point[at] : int64_t(std::min(std::max(q, low), high));
        }
        return builder.define(n, std::move(k));
    }
    if (s.scale.size() != 1) throw Misfit{"activations with a scale for each channel", "one scale a tensor"};
    const auto zero_point = int32_t(s.zero_point[0] - (s.is_unsigned ? 128 : 0));
    if (zero_point < -128 || zero_point > 127) throw Misfit{"a zero point outside 8 bits", "int8 or uint8"};
    Known k = x;
    k.quantised = true;
    const Value stated = builder.graph().values[x.value];
    if (!(stated.scale > 0)) {
        builder.graph().values[x.value].scale = s.scale[0];
        builder.graph().values[x.value].zero_point = zero_point;
        return builder.define(n, std::move(k));
    }
    if (stated.scale == s.scale[0] && stated.zero_point == zero_point) return builder.define(n, std::move(k));
    // Steps that change on the way: a table.
    Node node;
    node.kind = NodeKind::unary;
    node.inputs = {x.value};
    node.function = [](float v) { return v; };
    builder.name_parts_after(n);
    k.value = builder.add(std::move(node), stated.shape);
    builder.graph().values[k.value].scale = s.scale[0];
    builder.graph().values[k.value].zero_point = zero_point;
    builder.define(n, std::move(k));
}

// The class instead of the scores; the last operator of a model.
void arg_max(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    const Attributes a(n);
    const size_t axis = OnnxBuilder::axis_of(a.integer("axis", 0), x.dims.size());
    if (count_of(x.dims) != size_t(x.dims[axis]))
        throw Misfit{"more than one row of scores", "ArgMax over all scores of one window"};
    if (x.dims[axis] > 128) throw Misfit{"more than 128 classes"};
    if (a.integer("select_last_index", 0) != 0)
        throw Misfit{"select_last_index", "the first of equal scores"};
    Node node;
    node.kind = NodeKind::argmax;
    builder.name_parts_after(n);
    node.inputs = {builder.reshaped(x.value, {1, int32_t(x.dims[axis])})};
    builder.emit(n, std::move(node), {1, 1});
    Value& out = builder.graph().values[builder.graph().nodes.back().output];
    out.scale = 1;
    out.zero_point = 0;
}

}  // namespace lockstep::model
