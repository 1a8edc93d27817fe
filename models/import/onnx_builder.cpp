#include "models/import/onnx_builder.h"

#include <algorithm>

namespace lockstep::model {

const Known* OnnxBuilder::find(const std::string& name) const {
    const auto it = known_.find(name);
    return it == known_.end() ? nullptr : &it->second;
}

const Known& OnnxBuilder::any(const onnx::NodeProto& n, int i) const {
    const auto it = given(n, i) ? known_.find(n.input(i)) : known_.end();
    if (it == known_.end()) throw Misfit{"input " + std::to_string(i) + " is missing"};
    if (it->second.unknown) throw Unreachable{};
    return it->second;
}

const Known& OnnxBuilder::sequence(const onnx::NodeProto& n, int i) const {
    const Known& k = any(n, i);
    if (k.constant) throw Misfit{"input " + std::to_string(i) + " is a constant"};
    return k;
}

const Known& OnnxBuilder::activation(const onnx::NodeProto& n, int i) const {
    const Known& k = sequence(n, i);
    check_batch(k.dims);
    return k;
}

const Known& OnnxBuilder::real(const onnx::NodeProto& n, int i) const {
    const Known& k = any(n, i);
    if (!k.constant || k.integer) throw Misfit{"input " + std::to_string(i) + " must be a float constant"};
    return k;
}

Dims OnnxBuilder::list(const onnx::NodeProto& n, int i, const char* attribute, Dims otherwise) const {
    if (given(n, i)) {
        const Known& k = any(n, i);
        if (!k.constant || !k.integer) throw Misfit{std::string(attribute) + " must be constant"};
        return k.whole;
    }
    return Attributes(n).integers(attribute, std::move(otherwise));
}

size_t OnnxBuilder::axis_of(int64_t axis, size_t rank) {
    if (axis < 0) axis += int64_t(rank);
    if (axis < 0 || axis >= int64_t(rank)) throw Misfit{"axis out of range"};
    return size_t(axis);
}

void OnnxBuilder::define(const onnx::NodeProto& n, Known k) {
    if (n.output_size() < 1 || n.output(0).empty()) throw Misfit{"has no output"};
    if (graph_.nodes.size() > kMaxNodes) throw Misfit{"too many nodes"};
    known_[n.output(0)] = std::move(k);
}

size_t OnnxBuilder::add(Node node, Shape shape) {
    size_t elements = 1;
    for (const int32_t d : shape)
        elements *= size_t(d);
    total_elements_ += elements;
    if (elements > kMaxElements || total_elements_ > 4 * kMaxElements)
        throw Misfit{"activations are too large"};
    if (node.name.empty()) node.name = current_;
    node.output = graph_.add_value(node.name, std::move(shape));
    graph_.nodes.push_back(std::move(node));
    return graph_.nodes.back().output;
}

void OnnxBuilder::emit(const onnx::NodeProto& n, Node node, Dims dims) {
    count_of(dims);
    node.name = n.name().empty() ? n.output_size() > 0 ? n.output(0) : "" : n.name();
    Known k;
    Shape shape = storage_shape(dims);
    k.dims = std::move(dims);
    k.value = add(std::move(node), std::move(shape));
    define(n, std::move(k));
}

size_t OnnxBuilder::reshaped(size_t value, const Shape& shape) {
    if (graph_.values[value].shape == shape) return value;
    Node node;
    node.kind = NodeKind::reshape;
    node.name = graph_.values[value].name + ":shape";
    node.inputs = {value};
    return add(std::move(node), shape);
}

std::vector<OnnxBuilder::Axis> OnnxBuilder::stored_axes(const Dims& dims) {
    std::vector<Axis> out;
    for (const size_t d : storage_order(dims.size()))
        if (dims[d] != 1) out.push_back({d, dims[d]});
    return out;
}

size_t OnnxBuilder::reordered(size_t value, const std::vector<Axis>& from, const std::vector<Axis>& to) {
    if (from == to) return value;
    const size_t pad = 4 - from.size();
    Shape before(pad, 1), after(pad, 1);
    Node node;
    node.kind = NodeKind::transpose;
    for (size_t d = 0; d < pad; ++d)
        node.axes.push_back(int32_t(d));
    for (size_t i = 0; i < from.size(); ++i) {
        before.push_back(int32_t(from[i].size));
        after.push_back(int32_t(to[i].size));
        node.axes.push_back(int32_t(pad + size_t(std::find(from.begin(), from.end(), to[i]) - from.begin())));
    }
    node.name = graph_.values[value].name + ":order";
    node.inputs = {reshaped(value, before)};
    return add(std::move(node), after);
}

void OnnxBuilder::reshape(const onnx::NodeProto& n, const Known& in, Dims dims) {
    if (count_of(dims) != count_of(in.dims))
        throw Misfit{"cannot reshape " + dims_text(in.dims) + " to " + dims_text(dims)};
    if (in.constant) {
        Known k = in;
        k.dims = std::move(dims);
        return define(n, std::move(k));
    }
    // Axes of size 1 come and go freely; when the others stay, at most their order in memory changes.
    const auto number = [](const Dims& d) {
        std::vector<size_t> ordinal(d.size(), 0);
        size_t next = 0;
        for (size_t i = 0; i < d.size(); ++i)
            if (d[i] != 1) ordinal[i] = next++;
        std::vector<Axis> axes = stored_axes(d);
        for (Axis& a : axes)
            a.label = ordinal[a.label];
        return axes;
    };
    const auto sorted = [](std::vector<Axis> axes) {
        std::sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.label < b.label; });
        return axes;
    };
    const std::vector<Axis> from = number(in.dims), to = number(dims);
    const auto long_dims = [](const Dims& d) {
        Dims out;
        std::copy_if(d.begin(), d.end(), std::back_inserter(out), [](int64_t v) { return v != 1; });
        return out;
    };
    current_ = n.name();
    size_t v = in.value;
    const Shape shape = storage_shape(dims);
    if (long_dims(in.dims) == long_dims(dims)) {
        v = reordered(v, from, to);
    } else {
        v = reordered(v, from, sorted(from));
        v = reordered(v, sorted(to), to);
    }
    Known k;
    k.value = reshaped(v, shape);
    k.dims = std::move(dims);
    define(n, std::move(k));
}

void OnnxBuilder::affine(const onnx::NodeProto& n, const Known& in, const std::vector<float>& scale,
                         const std::vector<float>& shift) {
    const Shape shape = storage_shape(in.dims);
    const Shape image = shape.size() == 4 ? shape : Shape{1, 1, 1, shape.back()};
    current_ = n.name();
    Node node;
    node.kind = NodeKind::depthwise_conv2d;
    node.name = n.name();
    node.inputs = {reshaped(in.value, image)};
    node.weights = scale;
    node.bias = shift;
    Known k;
    k.dims = in.dims;
    k.value = reshaped(add(std::move(node), image), shape);
    define(n, std::move(k));
}

void OnnxBuilder::give_up(const onnx::NodeProto& n, const onnx::GraphProto& g) {
    for (const std::string& name : n.output()) {
        if (name.empty()) continue;
        Known k;
        k.unknown = true;
        for (const onnx::ValueInfoProto& info : g.value_info()) {
            if (info.name() != name) continue;
            const auto& type = info.type().tensor_type();
            for (const auto& d : type.shape().dim())
                k.dims.push_back(k.dims.empty() && !(d.dim_value() > 0) ? 1 : d.dim_value());
            if (type.elem_type() != onnx::TensorProto::FLOAT || k.dims.empty()) break;
            try {
                count_of(k.dims);
                k.value = graph_.add_value(name, storage_shape(k.dims));
                k.unknown = false;
            } catch (const Misfit&) {
                k.unknown = true;
            }
        }
        known_[name] = std::move(k);
    }
}

}  // namespace lockstep::model
