#include "models/onnx_import.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "models/onnx_tensor.h"

namespace lockstep::model {
namespace {

class Importer;
using Handler = void (Importer::*)(const onnx::NodeProto&);

class Importer {
  public:
    static const std::map<std::string, Handler>& handlers();

    Graph run(const onnx::ModelProto& model) {
        opset_ = 0;
        for (const auto& o : model.opset_import())
            if (o.domain().empty() || o.domain() == "ai.onnx") opset_ = o.version();
        if (opset_ < 9 || opset_ > 17)
            throw Misfit{"opset " + std::to_string(opset_) + "; 9 to 17 are supported"};
        const onnx::GraphProto& g = model.graph();
        if (size_t(g.node_size()) > 4 * kMaxNodes) throw Misfit{"too many nodes"};
        name_unsupported(g);
        for (const onnx::TensorProto& t : g.initializer()) {
            try {
                known_[t.name()] = read_constant(t);
            } catch (const Misfit& m) {
                throw Misfit{"initializer \"" + t.name() + "\": " + m.what};
            }
        }
        read_input(g);
        for (const onnx::NodeProto& n : g.node()) {
            try {
                (this->*handlers().at(n.op_type()))(n);
            } catch (const Misfit& m) {
                throw Misfit{describe(n) + ": " + m.what};
            }
        }
        if (g.output_size() != 1)
            throw Misfit{"the model has " + std::to_string(g.output_size()) + " outputs, not 1"};
        const auto out = known_.find(g.output(0).name());
        if (out == known_.end() || out->second.constant) throw Misfit{"nothing computes the output"};
        graph_.output = out->second.value;
        graph_.values[graph_.output].name = g.output(0).name();
        return std::move(graph_);
    }

  private:
    static std::string describe(const onnx::NodeProto& n) {
        return n.op_type() + " \"" + (n.name().empty() && n.output_size() > 0 ? n.output(0) : n.name()) +
               "\"";
    }

    static void name_unsupported(const onnx::GraphProto& g) {
        std::string list;
        int count = 0;
        for (const onnx::NodeProto& n : g.node()) {
            const bool own = n.domain().empty() || n.domain() == "ai.onnx";
            if (own && handlers().count(n.op_type()) != 0) continue;
            if (++count <= 12) list += (list.empty() ? "" : ", ") + describe(n);
        }
        if (count > 12) list += " and " + std::to_string(count - 12) + " more";
        if (count != 0) throw Misfit{"operators that are not supported: " + list};
    }

    void read_input(const onnx::GraphProto& g) {
        const onnx::ValueInfoProto* input = nullptr;
        for (const auto& i : g.input()) {
            if (known_.count(i.name()) != 0) continue;
            if (input != nullptr) throw Misfit{"the model has several inputs"};
            input = &i;
        }
        if (input == nullptr) throw Misfit{"the model has no input"};
        const auto& type = input->type().tensor_type();
        if (type.elem_type() != onnx::TensorProto::FLOAT) throw Misfit{"the input is not float32"};
        Known k;
        for (const auto& d : type.shape().dim()) {
            const bool batch = k.dims.empty();
            if (!batch && !(d.has_dim_value() && d.dim_value() > 0))
                throw Misfit{"the input's size is open; export the model with a fixed one"};
            k.dims.push_back(batch ? 1 : d.dim_value());
            if (batch && d.has_dim_value() && d.dim_value() > 1) throw Misfit{"the input's batch is not 1"};
        }
        count_of(k.dims);
        k.value = graph_.add_value(input->name(), storage_shape(k.dims));
        graph_.input = k.value;
        known_[input->name()] = k;
    }

    // --- Names -----------------------------------------------------------------------------------
    static bool given(const onnx::NodeProto& n, int i) { return i < n.input_size() && !n.input(i).empty(); }

    const Known& any(const onnx::NodeProto& n, int i) const {
        const auto it = given(n, i) ? known_.find(n.input(i)) : known_.end();
        if (it == known_.end()) throw Misfit{"input " + std::to_string(i) + " is missing"};
        return it->second;
    }
    const Known& activation(const onnx::NodeProto& n, int i = 0) const {
        const Known& k = any(n, i);
        if (k.constant) throw Misfit{"input " + std::to_string(i) + " is a constant"};
        return k;
    }
    const Known& real(const onnx::NodeProto& n, int i) const {
        const Known& k = any(n, i);
        if (!k.constant || k.integer)
            throw Misfit{"input " + std::to_string(i) + " must be a float constant"};
        return k;
    }
    // An integer list: an input in newer opsets, an attribute in older ones.
    Dims list(const onnx::NodeProto& n, int i, const char* attribute, Dims otherwise) const {
        if (given(n, i)) {
            const Known& k = any(n, i);
            if (!k.constant || !k.integer) throw Misfit{std::string(attribute) + " must be constant"};
            return k.whole;
        }
        return Attributes(n).integers(attribute, std::move(otherwise));
    }
    static size_t axis_of(int64_t axis, size_t rank) {
        if (axis < 0) axis += int64_t(rank);
        if (axis < 0 || axis >= int64_t(rank)) throw Misfit{"axis out of range"};
        return size_t(axis);
    }

    void define(const onnx::NodeProto& n, Known k) {
        if (n.output_size() < 1 || n.output(0).empty()) throw Misfit{"has no output"};
        if (graph_.nodes.size() > kMaxNodes) throw Misfit{"too many nodes"};
        known_[n.output(0)] = std::move(k);
    }

    // --- Building ----------------------------------------------------------------------------------
    size_t add(Node node, Shape shape) {
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
    void emit(const onnx::NodeProto& n, Node node, Dims dims) {
        count_of(dims);
        node.name = n.name().empty() ? n.output_size() > 0 ? n.output(0) : "" : n.name();
        Known k;
        Shape shape = storage_shape(dims);
        k.dims = std::move(dims);
        k.value = add(std::move(node), std::move(shape));
        define(n, std::move(k));
    }
    size_t reshaped(size_t value, const Shape& shape) {
        if (graph_.values[value].shape == shape) return value;
        Node node;
        node.kind = NodeKind::reshape;
        node.name = graph_.values[value].name + ":shape";
        node.inputs = {value};
        return add(std::move(node), shape);
    }

    struct Axis {
        size_t label;
        int64_t size;
        bool operator==(const Axis& o) const { return label == o.label; }
    };
    // The axes longer than 1 in the order they have in memory.
    static std::vector<Axis> stored_axes(const Dims& dims) {
        std::vector<Axis> out;
        for (const size_t d : storage_order(dims.size()))
            if (dims[d] != 1) out.push_back({d, dims[d]});
        return out;
    }
    // Moves data from one order of axes in memory to another.
    size_t reordered(size_t value, const std::vector<Axis>& from, const std::vector<Axis>& to) {
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
            node.axes.push_back(
                int32_t(pad + size_t(std::find(from.begin(), from.end(), to[i]) - from.begin())));
        }
        node.name = graph_.values[value].name + ":order";
        node.inputs = {reshaped(value, before)};
        return add(std::move(node), after);
    }

    void reshape(const onnx::NodeProto& n, const Known& in, Dims dims) {
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
            std::sort(axes.begin(), axes.end(),
                      [](const Axis& a, const Axis& b) { return a.label < b.label; });
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

    // out = in * scale + shift, one pair a channel.
    void affine(const onnx::NodeProto& n, const Known& in, const std::vector<float>& scale,
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

    // A constant operand as one number a channel; scalars are spread.
    static std::vector<float> per_channel(const Known& c, const Dims& dims) {
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

    // --- Operators ---------------------------------------------------------------------------------
    struct Window {
        WindowParams params = {1, 1, 1, 1, 1, 1, 0, 0};
        Dims out;  // spatial
        Dims pad_begin, pad_end;
        bool padded = false;
    };

    static Window window_of(const onnx::NodeProto& n, const Dims& dims, Dims kernel) {
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

    void conv(const onnx::NodeProto& n) {
        const Known& x = activation(n);
        const Known& w = real(n, 1);
        if (w.dims.size() != x.dims.size() || w.dims.size() < 3)
            throw Misfit{"weights " + dims_text(w.dims) + " do not fit the input"};
        const Window window = window_of(n, x.dims, Dims(w.dims.begin() + 2, w.dims.end()));
        const int64_t outputs = w.dims[0], group = Attributes(n).integer("group", 1), channels = x.dims[1];
        const auto taps = size_t(window.params.kernel_h) * size_t(window.params.kernel_w);
        if (group < 1 || channels % group != 0 || outputs % group != 0 || w.dims[1] != channels / group ||
            w.real.size() != size_t(outputs) * size_t(channels / group) * taps)
            throw Misfit{"weights " + dims_text(w.dims) + " do not fit input " + dims_text(x.dims)};
        const bool depthwise = group == channels && group > 1;
        if (group != 1 && !depthwise)
            throw Misfit{"groups must be 1 or the number of channels, not " + std::to_string(group)};
        Node node;
        node.kind = depthwise ? NodeKind::depthwise_conv2d : NodeKind::conv2d;
        node.inputs = {x.value};
        node.window = window.params;
        node.weights.resize(w.real.size());
        const auto in = size_t(depthwise ? 1 : channels), out = size_t(outputs);
        for (size_t o = 0; o < out; ++o)
            for (size_t i = 0; i < in; ++i)
                for (size_t k = 0; k < taps; ++k)
                    node.weights[depthwise ? k * out + o : (o * taps + k) * in + i] =
                        w.real[(o * in + i) * taps + k];
        node.bias = given(n, 2) ? real(n, 2).real : std::vector<float>(out, 0.0f);
        if (node.bias.size() != out) throw Misfit{"the bias does not fit"};
        Dims dims = {1, outputs};
        dims.insert(dims.end(), window.out.begin(), window.out.end());
        emit(n, std::move(node), std::move(dims));
    }

    void pool(const onnx::NodeProto& n) {
        const Known& x = activation(n);
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
            node.inputs = {padded(x, window.pad_begin, window.pad_end)};
            node.window.pad_top = node.window.pad_left = 0;
        }
        Dims dims = {1, x.dims[1]};
        dims.insert(dims.end(), window.out.begin(), window.out.end());
        emit(n, std::move(node), std::move(dims));
    }

    // Zeros around height and width (or time).
    size_t padded(const Known& x, const Dims& begin, const Dims& end) {
        Shape shape = storage_shape(x.dims);
        Node node;
        node.kind = NodeKind::pad;
        node.name = graph_.values[x.value].name + ":pad";
        node.inputs = {x.value};
        node.before = {0, 0, 0, 0};
        for (size_t i = 0; i < begin.size(); ++i) {
            const size_t at = 1 + i + 2 - begin.size();
            node.before[at] = int32_t(begin[i]);
            shape[at] += int32_t(begin[i] + end[i]);
        }
        return add(std::move(node), std::move(shape));
    }

    void pad(const onnx::NodeProto& n) {
        const Known& x = activation(n);
        const size_t rank = x.dims.size();
        const Dims amounts = list(n, 1, "pads", {});
        if (Attributes(n).text("mode", "constant") != "constant")
            throw Misfit{"only padding with zeros is supported"};
        const float fill = given(n, 2) ? real(n, 2).real.at(0) : Attributes(n).real("value", 0.0f);
        if (amounts.size() != 2 * rank) throw Misfit{"pads do not fit the input"};
        Dims dims = x.dims;
        bool none = true;
        for (size_t d = 0; d < rank; ++d) {
            if (amounts[d] < 0 || amounts[rank + d] < 0 || amounts[d] > 65535 || amounts[rank + d] > 65535)
                throw Misfit{"amounts out of range"};
            none = none && amounts[d] == 0 && amounts[rank + d] == 0;
            dims[d] += amounts[d] + amounts[rank + d];
        }
        if (none) return define(n, Known(x));
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
        emit(n, std::move(node), std::move(dims));
    }

    void dense(const onnx::NodeProto& n, const Known& x, const Known& w, bool transposed, float alpha,
               std::vector<float> bias) {
        if (w.dims.size() != 2 || x.dims.empty() || x.dims.back() != w.dims[transposed ? 1 : 0] ||
            count_of(x.dims) != size_t(x.dims.back()))
            throw Misfit{"one row of inputs times a matrix is supported, not " + dims_text(x.dims) +
                         " times " + dims_text(w.dims)};
        const auto in = size_t(x.dims.back()), out = size_t(w.dims[transposed ? 0 : 1]);
        Node node;
        node.kind = NodeKind::fully_connected;
        node.inputs = {x.value};
        node.weights.resize(in * out);
        for (size_t o = 0; o < out; ++o)
            for (size_t i = 0; i < in; ++i)
                node.weights[o * in + i] = alpha * w.real[transposed ? o * in + i : i * out + o];
        if (bias.size() == 1) bias.assign(out, bias[0]);
        if (bias.empty()) bias.assign(out, 0.0f);
        if (bias.size() != out) throw Misfit{"the bias does not fit"};
        node.bias = std::move(bias);
        Dims dims = x.dims;
        dims.back() = int64_t(out);
        emit(n, std::move(node), std::move(dims));
    }
    void gemm(const onnx::NodeProto& n) {
        const Attributes a(n);
        if (a.integer("transA", 0) != 0) throw Misfit{"transA"};
        std::vector<float> bias;
        if (given(n, 2)) {
            bias = real(n, 2).real;
            for (float& b : bias)
                b *= a.real("beta", 1.0f);
        }
        dense(n, activation(n), real(n, 1), a.integer("transB", 0) != 0, a.real("alpha", 1.0f),
              std::move(bias));
    }
    void matmul(const onnx::NodeProto& n) { dense(n, activation(n), real(n, 1), false, 1.0f, {}); }

    void batch_normalization(const onnx::NodeProto& n) {
        const Known& x = activation(n);
        const std::vector<float>&gamma = real(n, 1).real, &beta = real(n, 2).real, &mean = real(n, 3).real,
              &variance = real(n, 4).real;
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
        affine(n, x, scale, shift);
    }

    void arithmetic(const onnx::NodeProto& n) {
        const Known &a = any(n, 0), &b = any(n, 1);
        const std::string& op = n.op_type();
        if (a.constant && b.constant) return fold(n, a, b);
        if (a.constant || b.constant) return with_constant(n, a, b);
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
        emit(n, std::move(node), std::move(dims));
    }
    void with_constant(const onnx::NodeProto& n, const Known& a, const Known& b) {
        const Known &x = a.constant ? b : a, &c = a.constant ? a : b;
        if (c.integer) throw Misfit{"an integer constant"};
        const std::string& op = n.op_type();
        std::vector<float> v = per_channel(c, x.dims);
        const std::vector<float> zero(v.size(), 0.0f);
        if (op == "Add") return affine(n, x, std::vector<float>(v.size(), 1.0f), v);
        if (op == "Mul") return affine(n, x, v, zero);
        if (op == "Sub") {
            if (a.constant) return affine(n, x, std::vector<float>(v.size(), -1.0f), v);
            for (float& s : v)
                s = -s;
            return affine(n, x, std::vector<float>(v.size(), 1.0f), v);
        }
        if (a.constant) throw Misfit{"a constant divided by an activation"};
        for (float& s : v)
            s = 1.0f / s;
        affine(n, x, v, zero);
    }
    // Sizes computed in the graph, as exporters leave them behind for open batches.
    void fold(const onnx::NodeProto& n, const Known& a, const Known& b) {
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
            if (std::abs(double(x)) > 1e9 || std::abs(double(y)) > 1e9)
                throw Misfit{"constants out of range"};
            k.whole[i] = apply(x, y);
        }
        define(n, std::move(k));
    }

    void set_function(const onnx::NodeProto& n, std::function<float(float)> f) {
        const Known& x = activation(n);
        Node node;
        node.kind = NodeKind::unary;
        node.inputs = {x.value};
        node.function = std::move(f);
        emit(n, std::move(node), x.dims);
    }
    void clip(const onnx::NodeProto& n, float low, float high) {
        if (!(low <= high)) throw Misfit{"bounds out of order"};
        set_function(n, [low, high](float x) { return std::min(std::max(x, low), high); });
        graph_.nodes.back().clip = true;
        graph_.nodes.back().low = low;
        graph_.nodes.back().high = high;
    }
    void relu(const onnx::NodeProto& n) { clip(n, 0.0f, std::numeric_limits<float>::infinity()); }
    void clip_node(const onnx::NodeProto& n) {
        const float inf = std::numeric_limits<float>::infinity();
        const auto bound = [&](int i, const char* name, float otherwise) {
            if (!given(n, i)) return Attributes(n).real(name, otherwise);
            const Known& k = real(n, i);
            if (k.real.size() != 1) throw Misfit{"a bound is not one number"};
            return k.real[0];
        };
        clip(n, bound(1, "min", -inf), bound(2, "max", inf));
    }
    void unary(const onnx::NodeProto& n) {
        const std::string& op = n.op_type();
        const Attributes a(n);
        const float alpha = a.real("alpha", op == "LeakyRelu"     ? 0.01f
                                            : op == "HardSigmoid" ? 0.2f
                                            : op == "Selu"        ? 1.67326324f
                                                                  : 1.0f);
        const float beta = a.real("beta", 0.5f), gamma = a.real("gamma", 1.05070102f);
        if (op == "Sigmoid") return set_function(n, [](float x) { return 1.0f / (1.0f + std::exp(-x)); });
        if (op == "Tanh") return set_function(n, [](float x) { return std::tanh(x); });
        if (op == "Exp") return set_function(n, [](float x) { return std::exp(x); });
        if (op == "Log") return set_function(n, [](float x) { return std::log(std::max(x, 1e-30f)); });
        if (op == "Sqrt") return set_function(n, [](float x) { return std::sqrt(std::max(x, 0.0f)); });
        if (op == "Abs") return set_function(n, [](float x) { return std::fabs(x); });
        if (op == "Neg") return set_function(n, [](float x) { return -x; });
        if (op == "Erf") return set_function(n, [](float x) { return std::erf(x); });
        if (op == "Softplus")
            return set_function(n, [](float x) { return x > 20 ? x : std::log1p(std::exp(x)); });
        if (op == "LeakyRelu") return set_function(n, [alpha](float x) { return x < 0 ? alpha * x : x; });
        if (op == "Elu")
            return set_function(n, [alpha](float x) { return x < 0 ? alpha * std::expm1(x) : x; });
        if (op == "Selu")
            return set_function(n, [=](float x) { return gamma * (x < 0 ? alpha * std::expm1(x) : x); });
        if (op == "HardSigmoid")
            return set_function(n, [=](float x) { return std::min(std::max(alpha * x + beta, 0.0f), 1.0f); });
        set_function(
            n, [](float x) { return x * std::min(std::max(x / 6.0f + 0.5f, 0.0f), 1.0f); });  // HardSwish
    }

    // Global over the spatial axes, or a window that spans those that are averaged.
    void average_over(const onnx::NodeProto& n, const Known& x, const std::vector<bool>& over, bool keep,
                      bool max) {
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
        if (dims == kept) return emit(n, std::move(node), std::move(dims));
        node.name = n.name() + ":keep";
        Known k;
        k.dims = kept;
        k.value = add(std::move(node), storage_shape(kept));
        reshape(n, k, std::move(dims));
    }
    void global_pool(const onnx::NodeProto& n) {
        const Known& x = activation(n);
        std::vector<bool> over(x.dims.size(), true);
        if (over.size() > 1) over[0] = over[1] = false;
        average_over(n, x, over, true, n.op_type() == "GlobalMaxPool");
    }
    void reduce(const onnx::NodeProto& n) {
        const Known& x = activation(n);
        const bool max = n.op_type() == "ReduceMax";
        const Dims axes = list(n, 1, "axes", {});
        std::vector<bool> over(x.dims.size(), axes.empty());
        for (const int64_t a : axes)
            over[axis_of(a, x.dims.size())] = true;
        average_over(n, x, over, Attributes(n).integer("keepdims", 1) != 0, max);
    }

    void softmax(const onnx::NodeProto& n) {
        const Known& x = activation(n);
        const size_t rank = x.dims.size();
        const size_t axis = axis_of(Attributes(n).integer("axis", opset_ >= 13 ? -1 : 1), rank);
        const bool stored_last = storage_order(rank).back() == axis;
        const bool rest_is_one = count_of(x.dims) == size_t(x.dims[axis]);
        if (!(stored_last && (opset_ >= 13 || rank == 2)) && !rest_is_one)
            throw Misfit{"softmax over another axis than the channels"};
        Node node;
        node.kind = NodeKind::softmax;
        node.inputs = {x.value};
        if (rest_is_one) {
            // In a row, so that it is the last dimension in memory too.
            current_ = n.name();
            node.inputs = {reshaped(x.value, {1, int32_t(x.dims[axis])})};
            node.name = n.name();
            Known k;
            k.dims = x.dims;
            const size_t row = add(std::move(node), {1, int32_t(x.dims[axis])});
            k.value = reshaped(row, storage_shape(x.dims));
            return define(n, std::move(k));
        }
        emit(n, std::move(node), x.dims);
    }

    void flatten(const onnx::NodeProto& n) {
        const Known& x = any(n, 0);
        int64_t axis = Attributes(n).integer("axis", 1);
        if (axis < 0) axis += int64_t(x.dims.size());
        if (axis < 0 || axis > int64_t(x.dims.size())) throw Misfit{"axis out of range"};
        Dims dims = {1, 1};
        for (size_t d = 0; d < x.dims.size(); ++d)
            dims[d < size_t(axis) ? 0 : 1] *= x.dims[d];
        reshape(n, x, dims);
    }
    void reshape_node(const onnx::NodeProto& n) {
        const Known& x = any(n, 0);
        Dims dims = list(n, 1, "shape", {});
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
        reshape(n, x, dims);
    }
    void squeeze(const onnx::NodeProto& n) {
        const Known& x = any(n, 0);
        const Dims axes = list(n, 1, "axes", {});
        std::vector<bool> gone(x.dims.size(), false);
        for (const int64_t a : axes)
            gone[axis_of(a, x.dims.size())] = true;
        Dims dims;
        for (size_t d = 0; d < x.dims.size(); ++d) {
            if (gone[d] && x.dims[d] != 1) throw Misfit{"a dimension is not 1"};
            if (!(gone[d] || (axes.empty() && x.dims[d] == 1))) dims.push_back(x.dims[d]);
        }
        if (dims.empty()) dims.push_back(1);
        reshape(n, x, dims);
    }
    void unsqueeze(const onnx::NodeProto& n) {
        const Known& x = any(n, 0);
        const Dims axes = list(n, 1, "axes", {});
        const size_t rank = x.dims.size() + axes.size();
        if (rank > 8) throw Misfit{"more than 8 dimensions"};
        std::vector<bool> added(rank, false);
        for (const int64_t a : axes)
            added[axis_of(a, rank)] = true;
        if (size_t(std::count(added.begin(), added.end(), true)) != axes.size())
            throw Misfit{"an axis twice"};
        Dims dims;
        for (size_t d = 0, next = 0; d < rank; ++d)
            dims.push_back(added[d] ? 1 : x.dims[next++]);
        reshape(n, x, dims);
    }
    void transpose(const onnx::NodeProto& n) {
        if (any(n, 0).constant) return transpose_constant(n, any(n, 0));
        const Known& x = activation(n);
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
        std::vector<Axis> to = stored_axes(dims);
        for (Axis& a : to)
            a.label = size_t(order[a.label]);
        current_ = n.name();
        const Shape shape = storage_shape(dims);
        Known k;
        k.value = reshaped(reordered(x.value, stored_axes(x.dims), to), shape);
        k.dims = std::move(dims);
        define(n, std::move(k));
    }

    void transpose_constant(const onnx::NodeProto& n, const Known& x) {
        if (x.dims.size() != 2 || Attributes(n).integers("perm", {1, 0}) != Dims{1, 0})
            throw Misfit{"only a matrix of constants can be transposed"};
        Known k = x;
        std::swap(k.dims[0], k.dims[1]);
        const auto rows = size_t(k.dims[0]), columns = size_t(k.dims[1]);
        for (size_t r = 0; r < rows; ++r)
            for (size_t c = 0; c < columns; ++c) {
                if (x.integer)
                    k.whole[r * columns + c] = x.whole[c * rows + r];
                else
                    k.real[r * columns + c] = x.real[c * rows + r];
            }
        define(n, std::move(k));
    }

    void concat(const onnx::NodeProto& n) {
        if (n.input_size() < 1) throw Misfit{"has no inputs"};
        const Known& first = any(n, 0);
        const size_t rank = first.dims.size(), axis = axis_of(Attributes(n).integer("axis", 0), rank);
        if (first.constant) return concat_constants(n);
        Dims dims = first.dims;
        dims[axis] = 0;
        std::vector<size_t> values;
        for (int i = 0; i < n.input_size(); ++i) {
            const Known& x = activation(n, i);
            if (x.dims.size() != rank) throw Misfit{"parts do not fit"};
            dims[axis] += x.dims[axis];
            values.push_back(x.value);
        }
        const std::vector<size_t> order = storage_order(rank);
        auto at = size_t(std::find(order.begin(), order.end(), axis) - order.begin());
        if (rank == 3 && at > 0) ++at;
        if (rank == 1) at = 1;
        if (at == 0) throw Misfit{"the batch cannot grow"};
        current_ = n.name();
        // An operator takes at most 4 inputs.
        while (values.size() > kMaxOperatorInputs) {
            Node part;
            part.kind = NodeKind::concat;
            part.axes = {int32_t(at)};
            part.inputs.assign(values.begin(), values.begin() + kMaxOperatorInputs);
            Shape shape = graph_.values[values[0]].shape;
            shape[at] = 0;
            for (const size_t v : part.inputs)
                shape[at] += graph_.values[v].shape[at];
            values.erase(values.begin(), values.begin() + kMaxOperatorInputs);
            values.insert(values.begin(), add(std::move(part), shape));
        }
        Node node;
        node.kind = NodeKind::concat;
        node.axes = {int32_t(at)};
        node.inputs = values;
        emit(n, std::move(node), std::move(dims));
    }
    void concat_constants(const onnx::NodeProto& n) {
        Known k;
        k.constant = k.integer = true;
        for (int i = 0; i < n.input_size(); ++i) {
            const Known& part = any(n, i);
            if (!part.constant || !part.integer) throw Misfit{"a mixture of constants and activations"};
            k.whole.insert(k.whole.end(), part.whole.begin(), part.whole.end());
            if (k.whole.size() > 64) throw Misfit{"constants are too long"};
        }
        k.dims = {int64_t(k.whole.size())};
        define(n, std::move(k));
    }

    void constant(const onnx::NodeProto& n) {
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
        define(n, std::move(k));
    }
    void shape(const onnx::NodeProto& n) {
        Known k;
        k.constant = k.integer = true;
        k.whole = any(n, 0).dims;
        k.dims = {int64_t(k.whole.size())};
        define(n, std::move(k));
    }
    void gather(const onnx::NodeProto& n) {
        const Known &x = any(n, 0), &index = any(n, 1);
        if (!x.constant || !x.integer || x.dims.size() != 1 || !index.constant || index.whole.empty())
            throw Misfit{"only sizes can be gathered"};
        Known k;
        k.constant = k.integer = true;
        for (const int64_t i : index.whole)
            k.whole.push_back(x.whole.at(axis_of(i, x.whole.size())));
        k.dims = index.dims;
        define(n, std::move(k));
    }
    void constant_of_shape(const onnx::NodeProto& n) {
        Known k;
        if (const onnx::TensorProto* t = Attributes(n).tensor("value"))
            k = read_constant(*t);
        else
            k.real = {0.0f};
        if (k.real.size() + k.whole.size() != 1) throw Misfit{"value is not one number"};
        k.dims = any(n, 0).whole;
        const size_t count = count_of(k.dims);
        if (count > 4096) throw Misfit{"constants are too long"};
        if (k.integer)
            k.whole.assign(count, k.whole[0]);
        else
            k.real.assign(count, k.real[0]);
        k.constant = true;
        define(n, std::move(k));
    }
    // A part of a constant list of whole numbers, along its first axis, forwards or backwards.
    void slice(const onnx::NodeProto& n) {
        const Known& x = any(n, 0);
        const Dims starts = list(n, 1, "starts", {}), ends = list(n, 2, "ends", {});
        const Dims axes = list(n, 3, "axes", {0}), steps = list(n, 4, "steps", {1});
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
            k.whole.insert(k.whole.end(), x.whole.begin() + long(i * row),
                           x.whole.begin() + long((i + 1) * row));
            ++k.dims[0];
        }
        define(n, std::move(k));
    }
    void identity(const onnx::NodeProto& n) { define(n, Known(any(n, 0))); }

    int64_t opset_ = 0;
    Graph graph_;
    std::map<std::string, Known> known_;
    std::string current_;
    size_t total_elements_ = 0;
};

const std::map<std::string, Handler>& Importer::handlers() {
    static const std::map<std::string, Handler> table = {
        {"Conv", &Importer::conv},
        {"Gemm", &Importer::gemm},
        {"MatMul", &Importer::matmul},
        {"MaxPool", &Importer::pool},
        {"AveragePool", &Importer::pool},
        {"GlobalAveragePool", &Importer::global_pool},
        {"GlobalMaxPool", &Importer::global_pool},
        {"ReduceMean", &Importer::reduce},
        {"ReduceMax", &Importer::reduce},
        {"BatchNormalization", &Importer::batch_normalization},
        {"Add", &Importer::arithmetic},
        {"Sub", &Importer::arithmetic},
        {"Mul", &Importer::arithmetic},
        {"Div", &Importer::arithmetic},
        {"Relu", &Importer::relu},
        {"Clip", &Importer::clip_node},
        {"Sigmoid", &Importer::unary},
        {"Tanh", &Importer::unary},
        {"Exp", &Importer::unary},
        {"Log", &Importer::unary},
        {"Sqrt", &Importer::unary},
        {"Abs", &Importer::unary},
        {"Neg", &Importer::unary},
        {"Erf", &Importer::unary},
        {"Softplus", &Importer::unary},
        {"LeakyRelu", &Importer::unary},
        {"Elu", &Importer::unary},
        {"Selu", &Importer::unary},
        {"HardSigmoid", &Importer::unary},
        {"HardSwish", &Importer::unary},
        {"Softmax", &Importer::softmax},
        {"Flatten", &Importer::flatten},
        {"Reshape", &Importer::reshape_node},
        {"Squeeze", &Importer::squeeze},
        {"Unsqueeze", &Importer::unsqueeze},
        {"Transpose", &Importer::transpose},
        {"Concat", &Importer::concat},
        {"Pad", &Importer::pad},
        {"Constant", &Importer::constant},
        {"Shape", &Importer::shape},
        {"Gather", &Importer::gather},
        {"ConstantOfShape", &Importer::constant_of_shape},
        {"Slice", &Importer::slice},
        {"Identity", &Importer::identity},
        {"Dropout", &Importer::identity},
        {"Cast", &Importer::identity},
    };
    return table;
}

}  // namespace

Result<Graph> import_onnx(Bytes file, const std::string& where) {
    if (file.size() > kMaxModelFile) return fail(ErrorKind::usage, "the model file is too large", where);
    onnx::ModelProto model;
    const google::protobuf::LogSilencer quiet;  // a broken file is one error, said once
    if (!model.ParseFromArray(file.data(), int(file.size())) || !model.has_graph())
        return fail(ErrorKind::usage, "not a whole ONNX file", where, "export or copy it again");
    try {
        Graph graph = Importer().run(model);
        if (const Status s = check_graph(graph); !s)
            return fail(ErrorKind::usage, s.error().what, where + ": " + s.error().where);
        return graph;
    } catch (const Misfit& m) {
        return fail(ErrorKind::usage, m.what, where);
    } catch (const std::out_of_range&) {
        return fail(ErrorKind::usage, "an index is out of range", where);
    }
}

}  // namespace lockstep::model
