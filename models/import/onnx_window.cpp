// Convolutions, pools and padding.
#include <algorithm>
#include <cmath>

#include "models/import/onnx_translators.h"

namespace lockstep::model {
namespace {

struct Window {
    WindowParams params = {1, 1, 1, 1, 1, 1, 0, 0};
    Dims out;  // spatial
    Dims pad_begin, pad_end;
    bool padded = false;
};

Window window_of(const onnx::NodeProto& n, const Dims& dims, Dims kernel) {
    if (dims.size() != 3 && dims.size() != 4)
        throw Misfit{"input " + dims_text(dims) + " is no signal or image"};
    const Attributes a(n);
    const size_t spatial = dims.size() - 2;
    kernel = a.integers("kernel_shape", std::move(kernel));
    const Dims stride = a.integers("strides", Dims(spatial, 1));
    const Dims dilation = a.integers("dilations", Dims(spatial, 1));
    Dims pads = a.integers("pads", Dims(2 * spatial, 0));
    const std::string auto_pad = a.text("auto_pad", "NOTSET");
    const bool ceil = a.integer("ceil_mode", 0) != 0;
    if (kernel.size() != spatial || stride.size() != spatial || dilation.size() != spatial ||
        pads.size() != 2 * spatial)
        throw Misfit{"attributes do not fit the number of dimensions"};
    Window w;
    int32_t kernels[2] = {1, 1}, strides[2] = {1, 1}, dilations[2] = {1, 1}, begin[2] = {0, 0};
    for (size_t i = 0; i < spatial; ++i) {
        for (const int64_t v : {kernel[i], stride[i], dilation[i]})
            if (v < 1 || v > 1024) throw Misfit{"kernel, stride or dilation outside 1..1024"};
        const int64_t size = dims[2 + i], span = (kernel[i] - 1) * dilation[i] + 1;
        if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
            const int64_t count = (size + stride[i] - 1) / stride[i];
            const int64_t total = std::max<int64_t>(0, (count - 1) * stride[i] + span - size);
            pads[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
            pads[spatial + i] = total - pads[i];
        } else if (auto_pad == "VALID") {
            pads[i] = pads[spatial + i] = 0;
        } else if (auto_pad != "NOTSET") {
            throw Misfit{"auto_pad " + auto_pad};
        }
        if (pads[i] < 0 || pads[i] > 4096 || pads[spatial + i] < 0 || pads[spatial + i] > 4096)
            throw Misfit{"padding outside 0..4096"};
        const int64_t room = size + pads[i] + pads[spatial + i] - span;
        if (room < 0) throw Misfit{"the kernel is larger than its input " + dims_text(dims)};
        int64_t count = (ceil ? room + stride[i] - 1 : room) / stride[i] + 1;
        if (ceil && (count - 1) * stride[i] >= size + pads[i]) --count;  // a window of padding only
        w.out.push_back(count);
        w.pad_begin.push_back(pads[i]);
        w.pad_end.push_back(pads[spatial + i]);
        w.padded = w.padded || pads[i] != 0 || pads[spatial + i] != 0;
        const size_t at = i + 2 - spatial;  // a signal runs along the width
        kernels[at] = int32_t(kernel[i]);
        strides[at] = int32_t(stride[i]);
        dilations[at] = int32_t(dilation[i]);
        begin[at] = int32_t(pads[i]);
    }
    w.params = {kernels[0],   kernels[1],   strides[0], strides[1],
                dilations[0], dilations[1], begin[0],   begin[1]};
    return w;
}

// Zeros around height and width (or time).
size_t padded(OnnxBuilder& builder, const Known& x, const Dims& begin, const Dims& end) {
    Shape shape = storage_shape(x.dims);
    Node node;
    node.kind = NodeKind::pad;
    node.name = builder.graph().values[x.value].name + ":pad";
    node.inputs = {x.value};
    node.before = {0, 0, 0, 0};
    for (size_t i = 0; i < begin.size(); ++i) {
        const size_t at = 1 + i + 2 - begin.size();
        node.before[at] = int32_t(begin[i]);
        shape[at] += int32_t(begin[i] + end[i]);
    }
    return builder.add(std::move(node), std::move(shape));
}

// Global over the spatial axes, or a window that spans those that are averaged.
void average_over(OnnxBuilder& builder, const onnx::NodeProto& n, const Known& x,
                  const std::vector<bool>& over, bool keep, bool max) {
    const size_t rank = x.dims.size();
    if (rank < 3 || over[0] || over[1]) throw Misfit{"only time, height and width can be averaged"};
    Dims dims, kept = x.dims;
    for (size_t d = 0; d < rank; ++d) {
        if (over[d]) kept[d] = 1;
        if (keep || !over[d]) dims.push_back(kept[d]);
    }
    Node node;
    node.inputs = {x.value};
    const bool all = std::count(over.begin() + 2, over.end(), false) == 0;
    if (all && !max) {
        node.kind = NodeKind::mean;
    } else {
        node.kind = max ? NodeKind::max_pool : NodeKind::average_pool;
        const Shape shape = storage_shape(x.dims);
        const bool rows = rank == 4 && over[2], columns = over[rank - 1];
        if ((rows ? shape[1] : 1) > 1024 || (columns ? shape[2] : 1) > 1024)
            throw Misfit{"more than 1024 cells"};
        node.window.kernel_h = rows ? shape[1] : 1;
        node.window.kernel_w = columns ? shape[2] : 1;
    }
    if (dims == kept) return builder.emit(n, std::move(node), std::move(dims));
    node.name = n.name() + ":keep";
    Known k;
    k.dims = kept;
    k.value = builder.add(std::move(node), storage_shape(kept));
    builder.reshape(n, k, std::move(dims));
}

}  // namespace

void conv(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    const Known& w = builder.real(n, 1);
    if (w.dims.size() != x.dims.size() || w.dims.size() < 3)
        throw Misfit{"weights " + dims_text(w.dims) + " do not fit the input"};
    const Window window = window_of(n, x.dims, Dims(w.dims.begin() + 2, w.dims.end()));
    const int64_t outputs = w.dims[0], group = Attributes(n).integer("group", 1), channels = x.dims[1];
    const auto taps = size_t(window.params.kernel_h) * size_t(window.params.kernel_w);
    if (group < 1 || channels % group != 0 || outputs % group != 0 || w.dims[1] != channels / group ||
        w.real.size() != size_t(outputs) * size_t(channels / group) * taps)
        throw Misfit{"weights " + dims_text(w.dims) + " do not fit input " + dims_text(x.dims)};
    const bool depthwise = group == channels && group > 1;
    Node node;
    node.kind = depthwise ? NodeKind::depthwise_conv2d : NodeKind::conv2d;
    node.inputs = {x.value};
    node.window = window.params;
    // Groups of several channels become one convolution, whose other weights are 0.
    const auto in = size_t(channels / group), all = size_t(channels), out = size_t(outputs);
    node.weights.resize(depthwise ? w.real.size() : out * all * taps);
    for (size_t o = 0; o < out; ++o) {
        const size_t first = o / (out / size_t(group)) * in;
        for (size_t i = 0; i < in; ++i)
            for (size_t k = 0; k < taps; ++k)
                node.weights[depthwise ? k * out + o : (o * taps + k) * all + first + i] =
                    w.real[(o * in + i) * taps + k];
    }
    if (w.weight_axis == 0) node.weight_scale = w.weight_scale;
    node.bias = builder.given(n, 2) ? builder.real(n, 2).real : std::vector<float>(out, 0.0f);
    if (node.bias.size() != out) throw Misfit{"the bias does not fit"};
    Dims dims = {1, outputs};
    dims.insert(dims.end(), window.out.begin(), window.out.end());
    builder.emit(n, std::move(node), std::move(dims));
}

void pool(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    const bool average = n.op_type() == "AveragePool";
    const Attributes a(n);
    if (!a.has("kernel_shape")) throw Misfit{"kernel_shape is missing"};
    if (x.dims.size() < 3) throw Misfit{"input " + dims_text(x.dims) + " is no signal or image"};
    const Window window = window_of(n, x.dims, {});
    Node node;
    node.kind = average ? NodeKind::average_pool : NodeKind::max_pool;
    node.inputs = {x.value};
    node.window = window.params;
    if (average && a.integer("count_include_pad", 0) != 0 && window.padded) {
        if (a.integer("ceil_mode", 0) != 0) throw Misfit{"count_include_pad together with ceil_mode"};
        node.inputs = {padded(builder, x, window.pad_begin, window.pad_end)};
        node.window.pad_top = node.window.pad_left = 0;
    }
    Dims dims = {1, x.dims[1]};
    dims.insert(dims.end(), window.out.begin(), window.out.end());
    builder.emit(n, std::move(node), std::move(dims));
}

void pad(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    const size_t rank = x.dims.size();
    const Dims amounts = builder.list(n, 1, "pads", {});
    if (Attributes(n).text("mode", "constant") != "constant")
        throw Misfit{"only padding with zeros is supported"};
    const float fill =
        builder.given(n, 2) ? builder.real(n, 2).real.at(0) : Attributes(n).real("value", 0.0f);
    if (amounts.size() != 2 * rank) throw Misfit{"pads do not fit the input"};
    Dims dims = x.dims;
    bool none = true;
    for (size_t d = 0; d < rank; ++d) {
        if (amounts[d] < 0 || amounts[rank + d] < 0 || amounts[d] > 65535 || amounts[rank + d] > 65535)
            throw Misfit{"amounts out of range"};
        none = none && amounts[d] == 0 && amounts[rank + d] == 0;
        dims[d] += amounts[d] + amounts[rank + d];
    }
    if (none) return builder.define(n, Known(x));
    if (fill != 0.0f) throw Misfit{"only padding with zeros is supported"};
    Node node;
    node.kind = NodeKind::pad;
    node.inputs = {x.value};
    const std::vector<size_t> order = storage_order(rank);
    for (const size_t d : order)
        node.before.push_back(int32_t(amounts[d]));
    if (rank == 3) node.before.insert(node.before.begin() + 1, 0);
    if (rank == 1) node.before.insert(node.before.begin(), 0);
    node.before.resize(4, 0);
    builder.emit(n, std::move(node), std::move(dims));
}

void global_pool(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    std::vector<bool> over(x.dims.size(), true);
    if (over.size() > 1) over[0] = over[1] = false;
    average_over(builder, n, x, over, true, n.op_type() == "GlobalMaxPool");
}
void reduce(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const Known& x = builder.activation(n);
    const bool max = n.op_type() == "ReduceMax";
    const Dims axes = builder.list(n, 1, "axes", {});
    std::vector<bool> over(x.dims.size(), axes.empty());
    for (const int64_t a : axes)
        over[builder.axis_of(a, x.dims.size())] = true;
    size_t cells = 1;
    for (size_t d = 0; d < over.size(); ++d)
        cells *= over[d] ? size_t(x.dims[d]) : 1;
    average_over(builder, n, x, over, Attributes(n).integer("keepdims", 1) != 0, max);
    if (n.op_type() != "ReduceSum" || cells == 1) return;
    const Known mean = *builder.find(n.output(0));
    builder.affine(n, mean, std::vector<float>(size_t(mean.dims[1]), float(cells)),
                   std::vector<float>(size_t(mean.dims[1]), 0.0f));
}

}  // namespace lockstep::model
