// GRU and LSTM. ONNX has them time first, [time, batch, inputs], and their output as [time, directions,
// batch, units].
#include "models/core/ops/recurrent.h"
#include "models/import/onnx_translators.h"

namespace lockstep::model {
namespace {

// The gates' functions are fixed in the engine.
void check_form(const onnx::NodeProto& n, bool gru) {
    const Attributes a(n);
    const std::string direction = a.text("direction", "forward");
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
        throw Misfit{"direction " + direction, "forward, reverse or bidirectional"};
    if (a.has("activations")) {
        const std::vector<std::string> wanted = gru ? std::vector<std::string>{"Sigmoid", "Tanh"}
                                                    : std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"};
        for (const onnx::AttributeProto& attribute : n.attribute()) {
            if (attribute.name() != "activations") continue;
            for (int i = 0; i < attribute.strings_size(); ++i)
                if (attribute.strings(i) != wanted[size_t(i) % wanted.size()])
                    throw Misfit{"activation " + attribute.strings(i), "Sigmoid for gates, Tanh for states"};
        }
    }
    if (a.has("clip")) throw Misfit{"clip", "no clip"};
    if (a.integer("layout", 0) != 0) throw Misfit{"layout 1", "layout 0, with a Transpose around it"};
    if (!gru && a.integer("input_forget", 0) != 0) throw Misfit{"input_forget 1", "input_forget 0"};
}

// An initial state, or peepholes, must be zeros: a window starts from nothing.
void check_zero(const OnnxBuilder& builder, const onnx::NodeProto& n, int i, const char* what) {
    if (!OnnxBuilder::given(n, i)) return;
    const Known& k = builder.any(n, i);
    bool zero = k.constant && !k.integer;
    for (const float v : k.real)
        zero = zero && v == 0;
    if (!zero) throw Misfit{std::string(what) + " that is not constant zero", std::string("no ") + what};
}

// Part `i` of `n` equal parts.
std::vector<float> part(const std::vector<float>& all, size_t i, size_t n) {
    const auto size = long(all.size() / n);
    return {all.begin() + long(i) * size, all.begin() + long(i + 1) * size};
}

// Both directions side by side in the last axis of the shape, which grows to `shape`.
size_t joined(OnnxBuilder& builder, const std::vector<size_t>& values, const Shape& shape) {
    if (values.size() == 1) return values[0];
    Node join;
    join.kind = NodeKind::concat;
    join.axes = {int32_t(shape.size()) - 1};
    join.inputs = values;
    return builder.add(std::move(join), shape);
}

std::vector<OnnxBuilder::Axis> long_axes(const Dims& dims, const std::vector<size_t>& order) {
    std::vector<OnnxBuilder::Axis> out;
    for (const size_t d : order)
        if (dims[d] != 1) out.push_back({d, dims[d]});
    return out;
}

// Defines an output of `dims`, whose axes lie in memory in `order`.
void define(OnnxBuilder& builder, const std::string& name, size_t value, const Dims& dims,
            const std::vector<size_t>& order) {
    Known k;
    k.dims = dims;
    k.value =
        builder.reshaped(builder.reordered(value, long_axes(dims, order), OnnxBuilder::stored_axes(dims)),
                         storage_shape(dims));
    builder.define(name, std::move(k));
}

}  // namespace

void recurrent(OnnxBuilder& builder, const onnx::NodeProto& n) {
    const bool gru = n.op_type() == "GRU";
    const Known x = builder.sequence(n);
    const Known w = builder.real(n, 1), r = builder.real(n, 2);
    check_form(n, gru);
    if (x.dims.size() != 3 || x.dims[1] != 1) throw Misfit{"input " + dims_text(x.dims), "[time, 1, inputs]"};
    const Attributes a(n);
    const std::string direction = a.text("direction", "forward");
    const int64_t directions = direction == "bidirectional" ? 2 : 1;
    const int64_t time = x.dims[0], inputs = x.dims[2];
    const int64_t gates = gru ? kGruGates : kLstmGates;
    const int64_t hidden = r.dims.size() == 3 ? r.dims[2] : 0;
    if (hidden < 1 || hidden > kMaxHidden) throw Misfit{"not 1 to 512 units"};
    if (w.dims != Dims{directions, gates * hidden, inputs} ||
        r.dims != Dims{directions, gates * hidden, hidden})
        throw Misfit{"weights " + dims_text(w.dims) + " and " + dims_text(r.dims) + " do not fit"};
    if (OnnxBuilder::given(n, 4)) {
        const Known& lengths = builder.any(n, 4);
        if (!lengths.constant || lengths.whole != std::vector<int64_t>{time})
            throw Misfit{"sequence_lens", "the whole window"};
    }
    check_zero(builder, n, 5, "initial_h");
    if (!gru) check_zero(builder, n, 6, "initial_c");
    if (!gru) check_zero(builder, n, 7, "P");
    std::vector<float> bias(size_t(directions * 2 * gates * hidden), 0.0f);
    if (OnnxBuilder::given(n, 3)) {
        const Known& b = builder.real(n, 3);
        if (b.dims != Dims{directions, 2 * gates * hidden})
            throw Misfit{"biases " + dims_text(b.dims) + " do not fit"};
        bias = b.real;
    }

    builder.name_parts_after(n);
    const size_t in = builder.reshaped(
        builder.reordered(x.value, OnnxBuilder::stored_axes(x.dims), long_axes(x.dims, {0, 2})),
        {1, 1, int32_t(time), int32_t(inputs)});
    const std::string name = n.name().empty() && n.output_size() > 0 ? n.output(0) : n.name();
    const auto layers = [&](bool last_only) {
        std::vector<size_t> values;
        for (size_t d = 0; d < size_t(directions); ++d) {
            Node node;
            node.kind = gru ? NodeKind::gru : NodeKind::lstm;
            node.name = name + (d == 1 ? ":reverse" : "") + (last_only ? ":last" : "");
            node.inputs = {in};
            node.reverse = d == 1 || direction == "reverse";
            node.last_only = last_only;
            node.reset_first = gru && a.integer("linear_before_reset", 0) == 0;
            node.weights = part(w.real, d, size_t(directions));
            const std::vector<float> recur = part(r.real, d, size_t(directions));
            node.weights.insert(node.weights.end(), recur.begin(), recur.end());
            node.bias = part(bias, d, size_t(directions));
            values.push_back(builder.add(std::move(node), last_only
                                                              ? Shape{1, int32_t(hidden)}
                                                              : Shape{1, 1, int32_t(time), int32_t(hidden)}));
        }
        const auto width = int32_t(directions * hidden);
        return joined(builder, values, last_only ? Shape{1, width} : Shape{1, 1, int32_t(time), width});
    };
    const auto wanted = [&n](int i) { return i < n.output_size() && !n.output(i).empty(); };
    if (wanted(0)) define(builder, n.output(0), layers(false), {time, directions, 1, hidden}, {0, 1, 3});
    if (wanted(1)) define(builder, n.output(1), layers(true), {directions, 1, hidden}, {0, 2});
    if (wanted(2)) {
        Known cell;
        cell.unknown = true;
        builder.define(n.output(2), std::move(cell));
    }
}

}  // namespace lockstep::model
