// What exporters compute within the graph from sizes.
#include <algorithm>
#include <cmath>

#include "models/import/onnx_translators.h"

namespace lockstep::model {
namespace {

// A part of what the network computes: `size` from `begin` on, along an axis.
size_t part_of(OnnxBuilder& builder, const Known& x, size_t axis, int64_t begin, int64_t size, Dims* dims) {
    const Shape shape = builder.graph().values[x.value].shape;
    *dims = x.dims;
    (*dims)[axis] = size;
    const Shape to = storage_shape(*dims), whole = padded_shape(shape), part = padded_shape(to);
    Node node;
    node.kind = NodeKind::slice;
    node.name = builder.graph().values[x.value].name + ":part";
    node.inputs = {x.value};
    node.before = {0, 0, 0, 0};
    for (size_t d = 0; d < 4; ++d)
        if (whole[d] != part[d]) node.before[d] = int32_t(begin);
    return builder.add(std::move(node), to);
}

}  // namespace

void constant(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Attributes a(n);
    Known k;
    if (const onnx::TensorProto* t = a.tensor("value")) {
        k = read_constant(*t);
    } else if (a.has("value_float")) {
        k.real = {a.real("value_float", 0)};
    } else if (a.has("value_int")) {
        k.integer = true;
        k.whole = {a.integer("value_int", 0)};
    } else if (a.has("value_ints")) {
        k.integer = true;
        k.whole = a.integers("value_ints", {});
        k.dims = {int64_t(k.whole.size())};
    } else {
        throw Misfit{"a kind of value that is not supported"};
    }
    k.constant = true;
    builder.define(n, std::move(k));
}
void shape(OnnxBuilder& builder, const onnx::NodeProto& n) {
    Known k;
    k.constant = k.integer = true;
    k.whole = builder.any(n, 0).dims;
    k.dims = {int64_t(k.whole.size())};
    builder.define(n, std::move(k));
}
// A constant repeated to a shape: what exporters write before the initial state of a recurrent layer.
void expand(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.any(n, 0);
    Dims wanted = builder.list(n, 1, "shape", {});
    if (!x.constant || x.integer) throw Misfit{"an activation is expanded", "Concat of it with itself"};
    if (wanted.size() > 4 || x.dims.size() > wanted.size()) throw Misfit{"more than 4 dimensions"};
    Dims from(wanted.size() - x.dims.size(), 1);
    from.insert(from.end(), x.dims.begin(), x.dims.end());
    for (size_t d = 0; d < wanted.size(); ++d) {
        if (wanted[d] == 1) wanted[d] = from[d];
        if (from[d] != 1 && from[d] != wanted[d]) throw Misfit{"the shapes do not fit"};
    }
    Known k;
    k.constant = true;
    k.real.resize(count_of(wanted));
    for (size_t i = 0; i < k.real.size(); ++i) {
        size_t rest = i, at = 0, step = 1;
        for (size_t d = wanted.size(); d-- > 0; rest /= size_t(wanted[d])) {
            if (from[d] != 1) at += rest % size_t(wanted[d]) * step;
            step *= size_t(from[d]);
        }
        k.real[i] = x.real.at(at);
    }
    k.dims = std::move(wanted);
    builder.define(n, std::move(k));
}

void gather(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known &x = builder.any(n, 0), &index = builder.any(n, 1);
    if (!x.constant && index.constant && index.whole.size() == 1 && index.dims.empty()) {
        const size_t axis = OnnxBuilder::axis_of(Attributes(n).integer("axis", 0), x.dims.size());
        const int64_t at = index.whole[0] < 0 ? index.whole[0] + x.dims[axis] : index.whole[0];
        if (at < 0 || at >= x.dims[axis]) throw Misfit{"an index outside the axis"};
        Known k;
        const Known whole = x;
        k.value = part_of(builder, whole, axis, at, 1, &k.dims);
        Dims dims = k.dims;
        dims.erase(dims.begin() + long(axis));
        if (dims.empty()) dims = {1};
        return builder.reshape(n, k, std::move(dims));
    }
    if (!x.constant || !x.integer || x.dims.size() != 1 || !index.constant || index.whole.empty())
        throw Misfit{"only sizes can be gathered"};
    Known k;
    k.constant = k.integer = true;
    for (const int64_t i : index.whole)
        k.whole.push_back(x.whole.at(builder.axis_of(i, x.whole.size())));
    k.dims = index.dims;
    builder.define(n, std::move(k));
}
void constant_of_shape(OnnxBuilder& builder, const onnx::NodeProto& n) {
    Known k;
    if (const onnx::TensorProto* t = Attributes(n).tensor("value"))
        k = read_constant(*t);
    else
        k.real = {0.0f};
    if (k.real.size() + k.whole.size() != 1) throw Misfit{"value is not one number"};
    k.dims = builder.any(n, 0).whole;
    const size_t count = count_of(k.dims);
    if (count > 4096) throw Misfit{"constants are too long"};
    if (k.integer)
        k.whole.assign(count, k.whole[0]);
    else
        k.real.assign(count, k.real[0]);
    k.constant = true;
    builder.define(n, std::move(k));
}
// A part of a constant list of whole numbers, along its first axis, forwards or backwards.
void slice(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.any(n, 0);
    const Dims starts = builder.list(n, 1, "starts", {}), ends = builder.list(n, 2, "ends", {});
    const Dims axes = builder.list(n, 3, "axes", {0}), steps = builder.list(n, 4, "steps", {1});
    if (!x.constant && axes.size() == 1 && starts.size() == 1 && ends.size() == 1 && steps == Dims{1}) {
        const size_t axis = OnnxBuilder::axis_of(axes[0], x.dims.size());
        const int64_t size = x.dims[axis];
        const auto place = [&](int64_t v) {
            return std::min(std::max<int64_t>(v < 0 ? v + size : v, 0), size);
        };
        if (place(starts[0]) >= place(ends[0])) throw Misfit{"an empty part"};
        Known k;
        const Known whole = x;
        k.value = part_of(builder, whole, axis, place(starts[0]), place(ends[0]) - place(starts[0]), &k.dims);
        return builder.define(n, std::move(k));
    }
    if (!x.constant || !x.integer || x.dims.empty() || axes != Dims{0} || starts.size() != 1 ||
        ends.size() != 1 || steps.size() != 1 || (steps[0] != 1 && steps[0] != -1))
        throw Misfit{"only sizes can be sliced"};
    const int64_t size = x.dims[0], step = steps[0];
    const auto row = size == 0 ? 0 : int64_t(x.whole.size()) / size;
    const auto bound = [&](int64_t v) {
        if (v < 0) v = v < -size ? -1 - (step > 0 ? -1 : 0) : v + size;
        return std::min(v, step > 0 ? size : size - 1);
    };
    Known k;
    k.constant = k.integer = true;
    k.dims = x.dims;
    k.dims[0] = 0;
    const int64_t end = bound(ends[0]);
    for (int64_t i = bound(starts[0]); step > 0 ? i < end : i > end; i += step) {
        if (i < 0 || i >= size) break;
        k.whole.insert(k.whole.end(), x.whole.begin() + long(i * row), x.whole.begin() + long((i + 1) * row));
        ++k.dims[0];
    }
    builder.define(n, std::move(k));
}
void split(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known whole = builder.activation(n);
    const size_t axis = OnnxBuilder::axis_of(Attributes(n).integer("axis", 0), whole.dims.size());
    const int64_t size = whole.dims[axis], parts = n.output_size();
    if (parts < 1) throw Misfit{"no outputs"};
    const int64_t each = (size + parts - 1) / parts;
    Dims sizes = builder.list(n, 1, "split", Dims(size_t(parts), each));
    if (sizes.size() != size_t(parts)) throw Misfit{"sizes do not fit the outputs"};
    if (!builder.given(n, 1) && !Attributes(n).has("split")) sizes.back() = size - each * (parts - 1);
    int64_t at = 0;
    for (int i = 0; i < n.output_size(); ++i) {
        const int64_t length = sizes[size_t(i)];
        if (length < 1 || length > size - at) throw Misfit{"sizes do not fit the outputs"};
        Known k;
        k.value = part_of(builder, whole, axis, at, length, &k.dims);
        builder.define(n.output(i), std::move(k));
        at += length;
    }
}
void identity(OnnxBuilder& builder, const onnx::NodeProto& n) {
    builder.define(n, Known(builder.any(n, 0)));
}

}  // namespace lockstep::model
