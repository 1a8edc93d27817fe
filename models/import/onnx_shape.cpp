// Operators that move data or only change its shape.
#include <algorithm>
#include <cmath>

#include "models/import/onnx_translators.h"

namespace lockstep::model {
namespace {

void transpose_constant(OnnxBuilder& builder, const onnx::NodeProto& n, const Known& x) {
    if (x.dims.size() != 2 || Attributes(n).integers("perm", {1, 0}) != Dims{1, 0})
        throw Misfit{"only a matrix of constants can be transposed"};
    Known k = x;
    std::swap(k.dims[0], k.dims[1]);
    k.weight_axis = 1 - x.weight_axis;
    const auto rows = size_t(k.dims[0]), columns = size_t(k.dims[1]);
    for (size_t r = 0; r < rows; ++r)
        for (size_t c = 0; c < columns; ++c) {
            if (x.integer)
                k.whole[r * columns + c] = x.whole[c * rows + r];
            else
                k.real[r * columns + c] = x.real[c * rows + r];
        }
    builder.define(n, std::move(k));
}

void concat_constants(OnnxBuilder& builder, const onnx::NodeProto& n) {
    Known k;
    k.constant = k.integer = true;
    for (int i = 0; i < n.input_size(); ++i) {
        const Known& part = builder.any(n, i);
        if (!part.constant || !part.integer) throw Misfit{"a mixture of constants and activations"};
        k.whole.insert(k.whole.end(), part.whole.begin(), part.whole.end());
        if (k.whole.size() > 64) throw Misfit{"constants are too long"};
    }
    k.dims = {int64_t(k.whole.size())};
    builder.define(n, std::move(k));
}

}  // namespace

void flatten(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.any(n, 0);
    int64_t axis = Attributes(n).integer("axis", 1);
    if (axis < 0) axis += int64_t(x.dims.size());
    if (axis < 0 || axis > int64_t(x.dims.size())) throw Misfit{"axis out of range"};
    Dims dims = {1, 1};
    for (size_t d = 0; d < x.dims.size(); ++d)
        dims[d < size_t(axis) ? 0 : 1] *= x.dims[d];
    builder.reshape(n, x, dims);
}
void reshape_node(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.any(n, 0);
    Dims dims = builder.list(n, 1, "shape", {});
    int64_t open = -1, product = 1;
    if (dims.size() > 8) throw Misfit{"more than 8 dimensions"};
    for (size_t d = 0; d < dims.size(); ++d) {
        if (dims[d] == 0 && d < x.dims.size()) dims[d] = x.dims[d];
        if (dims[d] == -1 && open < 0) {
            open = int64_t(d);
            continue;
        }
        if (dims[d] < 1 || dims[d] > int64_t(kMaxElements)) throw Misfit{"shape out of range"};
        product *= dims[d];
        if (product > int64_t(kMaxElements)) throw Misfit{"shape out of range"};
    }
    if (open >= 0) dims[size_t(open)] = int64_t(count_of(x.dims)) / product;
    builder.reshape(n, x, dims);
}
void squeeze(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.any(n, 0);
    const Dims axes = builder.list(n, 1, "axes", {});
    std::vector<bool> gone(x.dims.size(), false);
    for (const int64_t a : axes)
        gone[builder.axis_of(a, x.dims.size())] = true;
    Dims dims;
    for (size_t d = 0; d < x.dims.size(); ++d) {
        if (gone[d] && x.dims[d] != 1) throw Misfit{"a dimension is not 1"};
        if (!(gone[d] || (axes.empty() && x.dims[d] == 1))) dims.push_back(x.dims[d]);
    }
    if (dims.empty()) dims.push_back(1);
    builder.reshape(n, x, dims);
}
void unsqueeze(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.any(n, 0);
    const Dims axes = builder.list(n, 1, "axes", {});
    const size_t rank = x.dims.size() + axes.size();
    if (rank > 8) throw Misfit{"more than 8 dimensions"};
    std::vector<bool> added(rank, false);
    for (const int64_t a : axes)
        added[builder.axis_of(a, rank)] = true;
    if (size_t(std::count(added.begin(), added.end(), true)) != axes.size()) throw Misfit{"an axis twice"};
    Dims dims;
    for (size_t d = 0, next = 0; d < rank; ++d)
        dims.push_back(added[d] ? 1 : x.dims[next++]);
    builder.reshape(n, x, dims);
}
void transpose(OnnxBuilder& builder, const onnx::NodeProto& n) {
    if (builder.any(n, 0).constant) return transpose_constant(builder, n, builder.any(n, 0));
    const Known& x = builder.sequence(n);
    const size_t rank = x.dims.size();
    Dims reversed;
    for (size_t d = rank; d-- > 0;)
        reversed.push_back(int64_t(d));
    const Dims order = Attributes(n).integers("perm", reversed);
    Dims sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (size_t d = 0; d < rank; ++d)
        if (sorted.size() != rank || sorted[d] != int64_t(d)) throw Misfit{"no order of the axes"};
    Dims dims;
    for (const int64_t d : order)
        dims.push_back(x.dims[size_t(d)]);
    std::vector<OnnxBuilder::Axis> to = builder.stored_axes(dims);
    for (OnnxBuilder::Axis& a : to)
        a.label = size_t(order[a.label]);
    builder.name_parts_after(n);
    const Shape shape = storage_shape(dims);
    Known k;
    k.value = builder.reshaped(builder.reordered(x.value, builder.stored_axes(x.dims), to), shape);
    k.dims = std::move(dims);
    builder.define(n, std::move(k));
}

void concat(OnnxBuilder& builder, const onnx::NodeProto& n) {
    if (n.input_size() < 1) throw Misfit{"has no inputs"};
    const Known& first = builder.any(n, 0);
    const size_t rank = first.dims.size(), axis = builder.axis_of(Attributes(n).integer("axis", 0), rank);
    if (first.constant) return concat_constants(builder, n);
    Dims dims = first.dims;
    dims[axis] = 0;
    std::vector<size_t> values;
    for (int i = 0; i < n.input_size(); ++i) {
        const Known& x = builder.activation(n, i);
        if (x.dims.size() != rank) throw Misfit{"parts do not fit"};
        dims[axis] += x.dims[axis];
        values.push_back(x.value);
    }
    const std::vector<size_t> order = storage_order(rank);
    auto at = size_t(std::find(order.begin(), order.end(), axis) - order.begin());
    if (rank == 3 && at > 0) ++at;
    if (rank == 1) at = 1;
    if (at == 0) throw Misfit{"the batch cannot grow"};
    builder.name_parts_after(n);
    // An operator takes at most 4 inputs.
    while (values.size() > kMaxOperatorInputs) {
        Node part;
        part.kind = NodeKind::concat;
        part.axes = {int32_t(at)};
        part.inputs.assign(values.begin(), values.begin() + kMaxOperatorInputs);
        Shape shape = builder.graph().values[values[0]].shape;
        shape[at] = 0;
        for (const size_t v : part.inputs)
            shape[at] += builder.graph().values[v].shape[at];
        values.erase(values.begin(), values.begin() + kMaxOperatorInputs);
        values.insert(values.begin(), builder.add(std::move(part), shape));
    }
    Node node;
    node.kind = NodeKind::concat;
    node.axes = {int32_t(at)};
    node.inputs = values;
    builder.emit(n, std::move(node), std::move(dims));
}

}  // namespace lockstep::model
