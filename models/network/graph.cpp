#include "models/network/graph.h"

#include <algorithm>

#include "models/core/ops/recurrent.h"

namespace lockstep::model {
namespace {

size_t product(const Shape& shape) {
    size_t n = 1;
    for (const int32_t d : shape)
        n *= size_t(d);
    return n;
}

bool valid_shape(const Shape& shape) {
    if (shape.empty() || shape.size() > 4) return false;
    size_t n = 1;
    for (const int32_t d : shape) {
        if (d < 1 || d > 65535) return false;
        n *= size_t(d);
        if (n > kMaxElements) return false;
    }
    return true;
}

size_t channels_of(const Shape& shape) {
    return size_t(shape.back());
}

tl::unexpected<Error> wrong(const Node& node, const std::string& what) {
    return fail(ErrorKind::usage, what, std::string(node_kind_name(node.kind)) + " \"" + node.name + "\"");
}

size_t weights_needed(const Graph& g, const Node& n) {
    const Shape& in = g.values[n.inputs[0]].shape;
    const Shape& out = g.values[n.output].shape;
    const size_t taps = size_t(n.window.kernel_h) * size_t(n.window.kernel_w);
    switch (n.kind) {
        case NodeKind::conv2d:
            return channels_of(out) * taps * channels_of(in);
        case NodeKind::depthwise_conv2d:
            return taps * channels_of(out);
        case NodeKind::fully_connected:
            return product(out) * product(in);
        default:
            return 0;
    }
}

Status check_weights(const Graph& g, const Node& n) {
    const size_t count = weights_needed(g, n);
    const Shape& out = g.values[n.output].shape;
    const size_t channels = n.kind == NodeKind::fully_connected ? product(out) : channels_of(out);
    const bool real = n.weights.size() == count && n.bias.size() == channels;
    const bool quantised = n.quantised_weights.size() == count && n.quantised_bias.size() == channels &&
                           (n.weight_scale.size() == channels || n.weight_scale.size() == 1);
    if (!real && !quantised) return wrong(n, "the weights do not fit the shapes");
    return {};
}

Status check_node(const Graph& g, const Node& n) {
    const bool two = n.kind == NodeKind::add || n.kind == NodeKind::subtract || n.kind == NodeKind::mul;
    if (n.kind == NodeKind::concat ? n.inputs.empty() : n.inputs.size() != (two ? 2 : 1))
        return wrong(n, "wrong number of inputs");
    const Shape& in = g.values[n.inputs[0]].shape;
    const Shape& out = g.values[n.output].shape;
    const bool windowed = n.kind == NodeKind::conv2d || n.kind == NodeKind::depthwise_conv2d ||
                          n.kind == NodeKind::max_pool || n.kind == NodeKind::average_pool;
    if (windowed && (in.size() != 4 || out.size() != 4 || in[0] != 1 || out[0] != 1))
        return wrong(n, "needs one image or signal of 4 dimensions, got " + shape_text(in));
    if (windowed) {
        const WindowParams& w = n.window;
        const int32_t all[] = {w.kernel_h, w.kernel_w, w.stride_h, w.stride_w, w.dilation_h, w.dilation_w};
        for (const int32_t v : all)
            if (v < 1 || v > 1024) return wrong(n, "kernel, stride or dilation outside 1..1024");
        if (w.pad_top < 0 || w.pad_left < 0 || w.pad_top > 1024 * 1024 || w.pad_left > 1024 * 1024)
            return wrong(n, "padding out of range");
    }
    if (n.kind == NodeKind::depthwise_conv2d && out[3] % in[3] != 0)
        return wrong(n, "channels do not divide");
    if ((n.kind == NodeKind::max_pool || n.kind == NodeKind::average_pool) && in[3] != out[3])
        return wrong(n, "a pool keeps its channels");
    if (n.kind == NodeKind::mean && (in.size() != 4 || product(out) != channels_of(in)))
        return wrong(n, "a mean gives one value a channel");
    const bool same_count = n.kind == NodeKind::reshape || n.kind == NodeKind::transpose ||
                            n.kind == NodeKind::unary || n.kind == NodeKind::softmax ||
                            n.kind == NodeKind::requantise || two;
    if (same_count && product(in) != product(out)) return wrong(n, "input and output differ in size");
    if (n.kind == NodeKind::argmax && (product(out) != 1 || product(in) > 128))
        return wrong(n, "takes one row of at most 128 scores");
    if (two) {
        const Shape& other = g.values[n.inputs[1]].shape;
        if (other != in && product(other) != channels_of(in))
            return wrong(n, "cannot broadcast " + shape_text(other) + " to " + shape_text(in));
    }
    if (n.kind == NodeKind::transpose) {
        const Shape a = padded_shape(in), b = padded_shape(out);
        std::vector<int32_t> sorted = n.axes;
        std::sort(sorted.begin(), sorted.end());
        if (sorted != std::vector<int32_t>{0, 1, 2, 3}) return wrong(n, "needs an order of 4 axes");
        for (size_t d = 0; d < 4; ++d)
            if (b[d] != a[size_t(n.axes[d])]) return wrong(n, "shapes do not fit the axes");
    }
    if (n.kind == NodeKind::pad) {
        const Shape a = padded_shape(in), b = padded_shape(out);
        if (n.before.size() != 4 || in.size() != out.size()) return wrong(n, "needs 4 amounts");
        for (size_t d = 0; d < 4; ++d)
            if (n.before[d] < 0 || n.before[d] > b[d] - a[d])
                return wrong(n, "amounts do not fit the shapes");
    }
    if (n.kind == NodeKind::slice) {
        const Shape a = padded_shape(in), b = padded_shape(out);
        if (n.before.size() != 4) return wrong(n, "needs 4 places");
        for (size_t d = 0; d < 4; ++d)
            if (n.before[d] < 0 || n.before[d] > a[d] - b[d]) return wrong(n, "the part lies outside");
    }
    if (n.recurrent()) {
        if (in.size() != 4 || in[0] != 1 || in[1] != 1)
            return wrong(n, "needs a signal [1, 1, time, inputs]");
        const size_t hidden = channels_of(out), rows = n.gates() * hidden,
                     time = n.last_only ? 1 : size_t(in[2]);
        if (hidden > size_t(kMaxHidden) || product(out) != time * hidden)
            return wrong(
                n, "more than " + std::to_string(kMaxHidden) + " units, or an output of another length");
        if (n.weights.size() != rows * (channels_of(in) + hidden) || n.bias.size() != 2 * rows)
            return wrong(n, "the weights do not fit the shapes");
    }
    if (n.kind == NodeKind::concat) {
        if (n.axes.size() != 1 || n.axes[0] < 0 || n.axes[0] > 3) return wrong(n, "axis out of range");
        const Shape whole = padded_shape(out);
        int32_t along = 0;
        for (const size_t i : n.inputs) {
            const Shape part = padded_shape(g.values[i].shape);
            for (size_t d = 0; d < 4; ++d)
                if (int32_t(d) != n.axes[0] && part[d] != whole[d]) return wrong(n, "parts do not fit");
            along += part[size_t(n.axes[0])];
        }
        if (along != whole[size_t(n.axes[0])]) return wrong(n, "parts do not add up");
    }
    if (n.kind == NodeKind::ring) {
        const Shape a = padded_shape(in), b = padded_shape(out);
        if (n.axes.size() != 1 || n.axes[0] < 0 || n.axes[0] > 3) return wrong(n, "axis out of range");
        for (size_t d = 0; d < 4; ++d)
            if (int32_t(d) == n.axes[0] ? b[d] <= a[d] : b[d] != a[d])
                return wrong(n, "keeps no rows, or changes another dimension");
    }
    if (n.kind == NodeKind::unary && !n.function) return wrong(n, "has no function");
    return n.has_weights() ? check_weights(g, n) : Status{};
}

// Multiplications of the layers with weights, and with `pools` the cells that pools look at.
uint64_t operations(const Graph& g, bool pools) {
    uint64_t total = 0;
    for (const Node& n : g.nodes) {
        if (total > kMaxMacs) break;  // enough to refuse it, and it cannot wrap
        const uint64_t out = g.values[n.output].elements();
        const uint64_t taps = uint64_t(n.window.kernel_h) * uint64_t(n.window.kernel_w);
        if (n.kind == NodeKind::conv2d) total += out * taps * channels_of(g.values[n.inputs[0]].shape);
        if (n.kind == NodeKind::depthwise_conv2d) total += out * taps;
        if (n.kind == NodeKind::fully_connected) total += out * g.values[n.inputs[0]].elements();
        if (n.recurrent()) total += uint64_t(g.values[n.inputs[0]].shape[2]) * n.weights.size();
        if (pools && (n.kind == NodeKind::max_pool || n.kind == NodeKind::average_pool)) total += out * taps;
    }
    return total;
}

}  // namespace

size_t Value::elements() const {
    return product(shape);
}

const char* node_kind_name(NodeKind kind) {
    switch (kind) {
        case NodeKind::conv2d:
            return "conv2d";
        case NodeKind::depthwise_conv2d:
            return "depthwise_conv2d";
        case NodeKind::fully_connected:
            return "fully_connected";
        case NodeKind::max_pool:
            return "max_pool";
        case NodeKind::average_pool:
            return "average_pool";
        case NodeKind::mean:
            return "mean";
        case NodeKind::softmax:
            return "softmax";
        case NodeKind::reshape:
            return "reshape";
        case NodeKind::transpose:
            return "transpose";
        case NodeKind::pad:
            return "pad";
        case NodeKind::add:
            return "add";
        case NodeKind::subtract:
            return "subtract";
        case NodeKind::mul:
            return "mul";
        case NodeKind::concat:
            return "concat";
        case NodeKind::slice:
            return "slice";
        case NodeKind::gru:
            return "gru";
        case NodeKind::lstm:
            return "lstm";
        case NodeKind::argmax:
            return "argmax";
        case NodeKind::unary:
            return "lookup_table";
        case NodeKind::ring:
            return "ring";
        case NodeKind::requantise:
            return "requantise";
    }
    return "";
}

size_t Graph::add_value(std::string value_name, Shape shape) {
    Value value;
    value.name = std::move(value_name);
    value.shape = std::move(shape);
    values.push_back(std::move(value));
    return values.size() - 1;
}

std::vector<size_t> Graph::consumers(size_t value) const {
    std::vector<size_t> found;
    for (size_t i = 0; i < nodes.size(); ++i)
        if (std::count(nodes[i].inputs.begin(), nodes[i].inputs.end(), value) != 0) found.push_back(i);
    return found;
}

const Node* Graph::producer(size_t value) const {
    for (const Node& n : nodes)
        if (n.output == value) return &n;
    return nullptr;
}

Status check_graph(const Graph& g) {
    if (g.nodes.empty()) return fail(ErrorKind::usage, "the network has no operators", g.name);
    if (g.nodes.size() > kMaxNodes)
        return fail(ErrorKind::usage, "the network has too many operators", g.name);
    for (const Value& v : g.values)
        if (!valid_shape(v.shape))
            return fail(ErrorKind::usage, "shape " + shape_text(v.shape) + " is empty or too large", v.name);
    std::vector<bool> ready(g.values.size(), false);
    if (g.input >= ready.size() || g.output >= ready.size())
        return fail(ErrorKind::usage, "the network lacks an input or output", g.name);
    ready[g.input] = true;
    for (const Node& n : g.nodes) {
        if (n.output >= ready.size() || ready[n.output]) return wrong(n, "writes a value twice");
        for (const size_t i : n.inputs)
            if (i >= ready.size() || !ready[i]) return wrong(n, "reads a value that nothing has computed");
        if (Status s = check_node(g, n); !s) return s;
        ready[n.output] = true;
    }
    if (!ready[g.output])
        return fail(ErrorKind::usage, "nothing computes the output", g.values[g.output].name);
    if (operations(g, true) > kMaxMacs)
        return fail(ErrorKind::usage, "the network needs more than 2^31 multiplications a window", g.name);
    return {};
}

uint64_t multiply_accumulates(const Graph& g) {
    return operations(g, false);
}

std::string shape_text(const Shape& shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return text + "]";
}

Shape padded_shape(const Shape& shape) {
    Shape out = shape;
    out.resize(4, 1);
    return out;
}

}  // namespace lockstep::model
