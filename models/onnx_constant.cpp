// What exporters compute within the graph from sizes.
#include <algorithm>
#include <cmath>

#include "models/onnx_translators.h"

namespace lockstep::model {
namespace {}  // namespace

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
void gather(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known &x = builder.any(n, 0), &index = builder.any(n, 1);
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
void identity(OnnxBuilder& builder, const onnx::NodeProto& n) {
    builder.define(n, Known(builder.any(n, 0)));
}

}  // namespace lockstep::model
