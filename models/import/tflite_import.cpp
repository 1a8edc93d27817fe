#include "models/import/tflite_import.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "models/import/tflite_tables.h"

namespace lockstep::model {
namespace {

enum Builtin : int32_t {
    kBuiltinAdd = 0,
    kBuiltinAveragePool = 1,
    kBuiltinConcat = 2,
    kBuiltinConv = 3,
    kBuiltinDepthwise = 4,
    kBuiltinFullyConnected = 9,
    kBuiltinLogistic = 14,
    kBuiltinMaxPool = 17,
    kBuiltinMul = 18,
    kBuiltinRelu = 19,
    kBuiltinRelu6 = 21,
    kBuiltinReshape = 22,
    kBuiltinSoftmax = 25,
    kBuiltinTanh = 28,
    kBuiltinPad = 34,
    kBuiltinTranspose = 39,
    kBuiltinMean = 40,
    kBuiltinSub = 41,
    kBuiltinSqueeze = 43,
    kBuiltinExpandDims = 70,
    kBuiltinLeakyRelu = 98,
    kBuiltinElu = 111,
    kBuiltinQuantize = 114,
    kBuiltinHardSwish = 117,
    kBuiltinGelu = 150,
};

enum ElementCode : int8_t { kInt32 = 2, kInt64 = 4, kInt16 = 7, kInt8 = 9 };

size_t bytes_of(ElementCode code) {
    return code == kInt64 ? 8 : code == kInt32 ? 4 : code == kInt16 ? 2 : 1;
}

const std::map<int32_t, NodeKind> kKinds = {
    {kBuiltinAdd, NodeKind::add},
    {kBuiltinAveragePool, NodeKind::average_pool},
    {kBuiltinConcat, NodeKind::concat},
    {kBuiltinConv, NodeKind::conv2d},
    {kBuiltinDepthwise, NodeKind::depthwise_conv2d},
    {kBuiltinFullyConnected, NodeKind::fully_connected},
    {kBuiltinLogistic, NodeKind::unary},
    {kBuiltinMaxPool, NodeKind::max_pool},
    {kBuiltinMul, NodeKind::mul},
    {kBuiltinRelu, NodeKind::unary},
    {kBuiltinRelu6, NodeKind::unary},
    {kBuiltinReshape, NodeKind::reshape},
    {kBuiltinSoftmax, NodeKind::softmax},
    {kBuiltinTanh, NodeKind::unary},
    {kBuiltinPad, NodeKind::pad},
    {kBuiltinTranspose, NodeKind::transpose},
    {kBuiltinMean, NodeKind::mean},
    {kBuiltinSub, NodeKind::subtract},
    {kBuiltinSqueeze, NodeKind::reshape},
    {kBuiltinExpandDims, NodeKind::reshape},
    {kBuiltinLeakyRelu, NodeKind::unary},
    {kBuiltinElu, NodeKind::unary},
    {kBuiltinQuantize, NodeKind::requantise},
    {kBuiltinHardSwish, NodeKind::unary},
    {kBuiltinGelu, NodeKind::unary},
};

class Importer {
  public:
    Importer(Bytes file, const std::string& where) : file_(file), where_(where) {}

    Result<Graph> run() {
        flatbuffers::Verifier verifier(file_.data(), file_.size(), 64, 100000);
        if (file_.size() < 16 || !verifier.VerifyBuffer<tflite::Model>("TFL3"))
            return fail(ErrorKind::usage, "not a whole TensorFlow Lite file", where_,
                        "export or copy it again");
        model_ = flatbuffers::GetRoot<tflite::Model>(file_.data());
        if (model_->version() != 3)
            return bad("version " + std::to_string(model_->version()) + " of the format");
        if (!model_->codes() || !model_->subgraphs() || !model_->buffers()) return bad("a table is missing");
        if (model_->subgraphs()->size() != 1) return bad("only models of one subgraph can be read");
        sub_ = model_->subgraphs()->Get(0);
        if (!sub_->tensors() || !sub_->inputs() || !sub_->outputs() || !sub_->operators())
            return bad("a table is missing");
        if (sub_->inputs()->size() != 1 || sub_->outputs()->size() != 1)
            return bad("only models of one input and one output can be read");
        if (const Status s = name_unsupported(); !s) return tl::make_unexpected(s.error());
        if (const Status s = read_values(); !s) return tl::make_unexpected(s.error());
        for (uint32_t i = 0; i < sub_->operators()->size(); ++i)
            if (const Status s = read_operator(*sub_->operators()->Get(i), i); !s)
                return tl::make_unexpected(s.error());
        const auto input = value(sub_->inputs()->Get(0)), output = value(sub_->outputs()->Get(0));
        if (!input || !output) return bad("input or output is not an int8 or int16 tensor");
        graph_.input = *input;
        graph_.output = *output;
        if (const Status s = check_graph(graph_); !s) return tl::make_unexpected(s.error());
        return std::move(graph_);
    }

  private:
    struct Constant {
        const tflite::Tensor* tensor = nullptr;
        Bytes bytes;
        size_t elements = 0;
    };

    tl::unexpected<Error> bad(const std::string& what) const { return fail(ErrorKind::usage, what, where_); }
    tl::unexpected<Error> bad(const Node& n, const std::string& what) const {
        return fail(ErrorKind::usage, what, where_ + ": " + node_kind_name(n.kind) + " " + n.name);
    }

    Status name_unsupported() const {
        std::set<std::string> names;
        for (const tflite::Operator* op : *sub_->operators()) {
            if (op->code() >= model_->codes()->size()) return bad("an operator has no code");
            const tflite::OperatorCode* code = model_->codes()->Get(op->code());
            if (kKinds.count(code->builtin()) != 0) continue;
            names.insert(code->custom() != nullptr ? "custom " + code->custom()->str()
                                                   : "builtin " + std::to_string(code->builtin()));
        }
        if (names.empty()) return {};
        std::string list;
        for (const std::string& n : names)
            list += (list.empty() ? "" : ", ") + n;
        return bad("operators that are not supported: " + list);
    }

    static bool small_shape(const tflite::Tensor& t, Shape* out) {
        size_t n = 1;
        for (uint32_t i = 0; t.shape() != nullptr && i < t.shape()->size(); ++i) {
            const int32_t d = t.shape()->Get(i);
            if (i == 8 || d < 1 || d > 65535) return false;
            n *= size_t(d);
            if (n > kMaxElements) return false;
            out->push_back(d);
        }
        if (out->empty()) out->push_back(1);
        return true;
    }

    // Every int8 or int16 tensor without data becomes a value.
    Status read_values() {
        const auto& tensors = *sub_->tensors();
        if (tensors.size() > 4 * kMaxNodes) return bad("too many tensors");
        values_.assign(tensors.size(), SIZE_MAX);
        for (uint32_t i = 0; i < tensors.size(); ++i) {
            const tflite::Tensor& t = *tensors.Get(i);
            if (t.buffer() >= model_->buffers()->size()) return bad("a tensor has no buffer");
            const auto* data = model_->buffers()->Get(t.buffer())->data();
            if ((data != nullptr && data->size() != 0) || (t.type() != kInt8 && t.type() != kInt16)) continue;
            Shape shape;
            const std::string name = t.name() != nullptr ? t.name()->str() : std::to_string(i);
            if (!small_shape(t, &shape))
                return bad("tensor \"" + name + "\" is too large or of unknown size");
            if (shape.size() == 3) shape.insert(shape.begin() + 1, 1);
            if (shape.size() > 4) return bad("tensor \"" + name + "\" has more than 4 dimensions");
            const tflite::Quantisation* q = t.quantisation();
            if (q == nullptr || q->scale() == nullptr || q->zero_point() == nullptr ||
                q->scale()->size() != 1 || q->zero_point()->size() != 1)
                return bad("tensor \"" + name +
                           "\" is not quantised; only int8 and int16x8 models can be read");
            const size_t at = graph_.add_value(name, shape);
            const float scale = q->scale()->Get(0);
            const int64_t zero_point = q->zero_point()->Get(0);
            const bool wide = t.type() == kInt16;
            if (!(scale > 0) || !std::isfinite(scale) || zero_point < (wide ? 0 : -128) ||
                zero_point > (wide ? 0 : 127))
                return bad("tensor \"" + name + "\" has a scale or zero point out of range");
            graph_.values[at].scale = scale;
            graph_.values[at].zero_point = int32_t(zero_point);
            graph_.values[at].type = wide ? ElementType::int16 : ElementType::int8;
            values_[i] = at;
        }
        return {};
    }

    Result<size_t> value(int32_t index) const {
        if (index < 0 || size_t(index) >= values_.size() || values_[size_t(index)] == SIZE_MAX)
            return bad("an operator needs an int8 or int16 activation that is missing");
        return values_[size_t(index)];
    }

    Result<Constant> constant(const tflite::Operator& op, uint32_t input, ElementCode type) const {
        if (op.inputs() == nullptr || input >= op.inputs()->size()) return bad("an operator lacks an input");
        const int32_t index = op.inputs()->Get(input);
        if (index < 0 || size_t(index) >= values_.size()) return bad("an operator lacks an input");
        Constant c;
        c.tensor = sub_->tensors()->Get(uint32_t(index));
        const auto* data = model_->buffers()->Get(c.tensor->buffer())->data();
        Shape shape;
        if (c.tensor->type() != type || data == nullptr || !small_shape(*c.tensor, &shape))
            return bad("a constant has an unexpected type or size");
        c.elements = 1;
        for (const int32_t d : shape)
            c.elements *= size_t(d);
        c.bytes = Bytes(data->data(), data->size());
        if (c.bytes.size() != c.elements * bytes_of(type))
            return bad("a constant's data does not fit its shape");
        return c;
    }

    static std::vector<int32_t> int32s(const Constant& c) {
        std::vector<int32_t> out(c.elements);
        if (!out.empty()) memcpy(out.data(), c.bytes.data(), c.bytes.size());
        return out;
    }

    Status read_operator(const tflite::Operator& op, uint32_t index) {
        const int32_t builtin = model_->codes()->Get(op.code())->builtin();
        Node n;
        n.kind = kKinds.at(builtin);
        n.name = std::to_string(index);
        if (op.inputs() == nullptr || op.outputs() == nullptr || op.inputs()->size() == 0 ||
            op.outputs()->size() != 1)
            return bad(n, "wrong number of inputs or outputs");
        const bool two = n.kind == NodeKind::add || n.kind == NodeKind::subtract || n.kind == NodeKind::mul;
        const uint32_t activations = n.kind == NodeKind::concat ? op.inputs()->size() : two ? 2 : 1;
        for (uint32_t i = 0; i < activations; ++i) {
            const auto in = i < op.inputs()->size() ? value(op.inputs()->Get(i)) : value(-1);
            if (!in) return bad(n, in.error().what);
            n.inputs.push_back(*in);
        }
        const auto out = value(op.outputs()->Get(0));
        if (!out) return bad(n, out.error().what);
        n.output = *out;
        if (n.kind == NodeKind::unary) set_function(op, builtin, &n);
        Status s = check_types(op, builtin, &n);
        if (!s) return bad(n, s.error().what);
        if (n.has_weights()) s = read_weights(op, &n);
        if (s && (n.kind == NodeKind::conv2d || n.kind == NodeKind::depthwise_conv2d ||
                  n.kind == NodeKind::max_pool || n.kind == NodeKind::average_pool))
            s = read_window(op, &n);
        if (s) s = read_options(op, &n);
        if (!s) return bad(n, s.error().what);
        graph_.nodes.push_back(std::move(n));
        return {};
    }

    // An operator has one type; of those over int16 the ones whose arithmetic is known.
    Status check_types(const tflite::Operator& op, int32_t builtin, Node* n) const {
        if (n->kind == NodeKind::requantise) return {};
        const Value& out = graph_.values[n->output];
        for (const size_t i : n->inputs)
            if (graph_.values[i].type != out.type) return bad("mixes int8 and int16");
        if (out.type != ElementType::int16) return {};
        const auto fixed = [&] { return std::fabs(out.scale * 32768 - 1) < 0.001f; };
        switch (builtin) {
            case kBuiltinRelu:
            case kBuiltinRelu6:
                n->clip = true;
                n->low = 0;
                if (builtin == kBuiltinRelu6) n->high = 6;
                return {};
            case kBuiltinLogistic:
            case kBuiltinTanh:
                n->squash = builtin == kBuiltinTanh ? Node::Squash::tanh : Node::Squash::sigmoid;
                return fixed() ? Status{} : bad("an output scale other than 1/32768");
            case kBuiltinSoftmax:
                return fixed() ? Status{} : bad("an output scale other than 1/32768");
            case kBuiltinAdd:
            case kBuiltinSub: {
                // Where all scales are powers of two and the file says so, the reference shifts instead.
                bool powers = op.option<int8_t>(1, 1, file_.end()) != 0;
                int exponent = 0;
                for (const size_t i : {n->inputs[0], n->inputs[1], n->output})
                    powers = powers && std::frexp(graph_.values[i].scale, &exponent) == 0.5f;
                return powers ? bad("int16 with scales that are powers of two (pot_scale_int16)") : Status{};
            }
            default:
                return n->kind == NodeKind::unary ? bad("has no int16 form here") : Status{};
        }
    }

    void set_function(const tflite::Operator& op, int32_t builtin, Node* n) const {
        switch (builtin) {
            case kBuiltinLeakyRelu: {
                const float alpha = op.option<float>(0, 0.0f, file_.end());
                n->function = [alpha](float x) { return x < 0 ? alpha * x : x; };
                break;
            }
            case kBuiltinElu:
                n->function = [](float x) { return x < 0 ? std::expm1(x) : x; };
                break;
            case kBuiltinHardSwish:
                n->function = [](float x) { return x * std::min(std::max(x + 3.0f, 0.0f), 6.0f) / 6.0f; };
                break;
            case kBuiltinGelu:
                if (op.option<int8_t>(0, 0, file_.end()) != 0)
                    n->function = [](float x) {
                        return 0.5f * x * (1.0f + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
                    };
                else
                    n->function = [](float x) { return 0.5f * x * (1.0f + std::erf(x * 0.7071067812f)); };
                break;
            case kBuiltinLogistic:
                n->function = [](float x) { return 1.0f / (1.0f + std::exp(-x)); };
                break;
            case kBuiltinTanh:
                n->function = [](float x) { return std::tanh(x); };
                break;
            case kBuiltinRelu:
                n->function = [](float x) { return std::max(x, 0.0f); };
                break;
            default:
                n->function = [](float x) { return std::min(std::max(x, 0.0f), 6.0f); };
                break;
        }
    }

    Status read_weights(const tflite::Operator& op, Node* n) {
        const auto weights = constant(op, 1, kInt8);
        if (!weights) return tl::make_unexpected(weights.error());
        n->quantised_weights.resize(weights->elements);
        memcpy(n->quantised_weights.data(), weights->bytes.data(), weights->elements);
        const tflite::Quantisation* q = weights->tensor->quantisation();
        if (q == nullptr || q->scale() == nullptr || q->scale()->size() == 0)
            return bad("weights without a scale");
        for (const float s : *q->scale()) {
            if (!(s >= 0) || !std::isfinite(s)) return bad("a weight's scale is out of range");
            n->weight_scale.push_back(s);
        }
        for (uint32_t i = 0; q->zero_point() != nullptr && i < q->zero_point()->size(); ++i)
            if (q->zero_point()->Get(i) != 0) return bad("weights with a zero point are not supported");
        const auto* shape = weights->tensor->shape();
        const bool image = n->kind != NodeKind::fully_connected;
        if (shape == nullptr || shape->size() != (image ? 4u : 2u))
            return bad("weights of an unexpected shape");
        if (image) {
            n->window.kernel_h = shape->Get(1);
            n->window.kernel_w = shape->Get(2);
        }
        const Shape& out = graph_.values[n->output].shape;
        const size_t channels = image ? size_t(out.back()) : graph_.values[n->output].elements();
        if (op.inputs()->size() > 2 && op.inputs()->Get(2) >= 0) {
            const bool wide = graph_.values[n->inputs[0]].type == ElementType::int16;
            const auto bias = constant(op, 2, wide ? kInt64 : kInt32);
            if (!bias)
                return bad(bias.error().what +
                           (wide ? ": biases have 64 bits with int16" : ": biases have 32 bits with int8"));
            n->quantised_bias.resize(bias->elements);
            if (wide && bias->elements != 0)
                memcpy(n->quantised_bias.data(), bias->bytes.data(), bias->bytes.size());
            const std::vector<int32_t> values = wide ? std::vector<int32_t>() : int32s(*bias);
            std::copy(values.begin(), values.end(), n->quantised_bias.begin());
        } else {
            n->quantised_bias.assign(channels, 0);
        }
        return {};
    }

    static bool pool(const Node& n) {
        return n.kind == NodeKind::max_pool || n.kind == NodeKind::average_pool;
    }

    Status read_window(const tflite::Operator& op, Node* n) {
        const uint8_t* end = file_.end();
        WindowParams& w = n->window;
        w.stride_w = op.option<int32_t>(1, 0, end);
        w.stride_h = op.option<int32_t>(2, 0, end);
        if (pool(*n)) {
            w.kernel_w = op.option<int32_t>(3, 0, end);
            w.kernel_h = op.option<int32_t>(4, 0, end);
        } else {
            const int at = n->kind == NodeKind::conv2d ? 4 : 5;
            w.dilation_w = op.option<int32_t>(at, 1, end);
            w.dilation_h = op.option<int32_t>(at + 1, 1, end);
        }
        const Shape& in = graph_.values[n->inputs[0]].shape;
        const Shape& out = graph_.values[n->output].shape;
        if (in.size() != 4 || out.size() != 4) return bad("needs 4 dimensions");
        const bool same = op.option<int8_t>(0, 0, end) == 0;
        for (const bool vertical : {true, false}) {
            const int64_t kernel = vertical ? w.kernel_h : w.kernel_w,
                          stride = vertical ? w.stride_h : w.stride_w;
            const int64_t dilation = vertical ? w.dilation_h : w.dilation_w;
            const int64_t size = in[vertical ? 1 : 2];
            if (kernel < 1 || kernel > 1024 || stride < 1 || stride > 1024 || dilation < 1 || dilation > 1024)
                return bad("kernel, stride or dilation outside 1..1024");
            const int64_t span = (kernel - 1) * dilation + 1;
            const int64_t count = same ? (size + stride - 1) / stride : (size - span) / stride + 1;
            if (size < span && !same) return bad("the kernel is larger than its input");
            if (count != out[vertical ? 1 : 2])
                return bad("the output's size does not fit its kernel and stride");
            const int64_t total = std::max<int64_t>(0, (count - 1) * stride + span - size);
            (vertical ? w.pad_top : w.pad_left) = same ? int32_t(total / 2) : 0;
        }
        return {};
    }

    Status set_activation(int8_t code, Node* n) const {
        switch (code) {
            case 0:
                return {};
            case 1:
                n->low = 0;
                return {};
            case 2:
                n->low = -1, n->high = 1;
                return {};
            case 3:
                n->low = 0, n->high = 6;
                return {};
            default:
                return bad("a fused activation that is not supported");
        }
    }

    Status read_options(const tflite::Operator& op, Node* n) {
        const uint8_t* end = file_.end();
        const Shape in = graph_.values[n->inputs[0]].shape, out = graph_.values[n->output].shape;
        switch (n->kind) {
            case NodeKind::conv2d:
                return set_activation(op.option<int8_t>(3, 0, end), n);
            case NodeKind::depthwise_conv2d:
                return set_activation(op.option<int8_t>(4, 0, end), n);
            case NodeKind::max_pool:
            case NodeKind::average_pool:
                return set_activation(op.option<int8_t>(5, 0, end), n);
            case NodeKind::fully_connected:
                if (graph_.values[n->output].elements() * graph_.values[n->inputs[0]].elements() !=
                    n->quantised_weights.size())
                    return bad("only one row of inputs is supported");
                return set_activation(op.option<int8_t>(0, 0, end), n);
            case NodeKind::add:
            case NodeKind::subtract:
            case NodeKind::mul:
                if (n->kind != NodeKind::subtract && in != out) std::swap(n->inputs[0], n->inputs[1]);
                return set_activation(op.option<int8_t>(0, 0, end), n);
            case NodeKind::softmax:
                n->beta = op.option<float>(0, 1.0f, end);
                return {};
            case NodeKind::concat: {
                int32_t axis = op.option<int32_t>(0, 0, end);
                const int32_t rank = int32_t(out.size());
                if (axis < 0) axis += rank;
                n->axes = {axis};
                return set_activation(op.option<int8_t>(1, 0, end), n);
            }
            case NodeKind::mean:
                return read_mean(op, in);
            case NodeKind::pad:
                return read_pad(op, n);
            case NodeKind::transpose:
                return read_transpose(op, n);
            default:
                return {};
        }
    }

    Status read_mean(const tflite::Operator& op, const Shape& in) const {
        const auto axes = constant(op, 1, kInt32);
        if (!axes) return tl::make_unexpected(axes.error());
        std::set<int32_t> set;
        for (const int32_t a : int32s(*axes))
            set.insert(a < 0 ? a + int32_t(in.size()) : a);
        if (in.size() != 4 || set != std::set<int32_t>{1, 2})
            return bad("only a mean over height and width is supported");
        return {};
    }

    Status read_pad(const tflite::Operator& op, Node* n) const {
        const auto amounts = constant(op, 1, kInt32);
        if (!amounts) return tl::make_unexpected(amounts.error());
        const std::vector<int32_t> pairs = int32s(*amounts);
        const size_t rank = graph_.values[n->inputs[0]].shape.size();
        if (pairs.size() != 2 * rank) return bad("needs two amounts a dimension");
        for (size_t d = 0; d < rank; ++d)
            n->before.push_back(pairs[2 * d]);
        n->before.resize(4, 0);
        return {};
    }

    Status read_transpose(const tflite::Operator& op, Node* n) const {
        const auto axes = constant(op, 1, kInt32);
        if (!axes) return tl::make_unexpected(axes.error());
        n->axes = int32s(*axes);
        if (n->axes.size() != graph_.values[n->inputs[0]].shape.size())
            return bad("needs one axis a dimension");
        for (int32_t d = int32_t(n->axes.size()); d < 4; ++d)
            n->axes.push_back(d);
        return {};
    }

    Bytes file_;
    std::string where_;
    const tflite::Model* model_ = nullptr;
    const tflite::SubGraph* sub_ = nullptr;
    Graph graph_;
    std::vector<size_t> values_;  // of each tensor; SIZE_MAX = none
};

}  // namespace

Result<Graph> import_tflite(Bytes file, const std::string& where) {
    if (file.size() > kMaxModelFile) return fail(ErrorKind::usage, "the model file is too large", where);
    // The tables are read in place and need their alignment.
    if (reinterpret_cast<uintptr_t>(file.data()) % 16 != 0) {
        const std::vector<uint8_t> copy(file.begin(), file.end());
        return Importer(Bytes(copy.data(), copy.size()), where).run();
    }
    return Importer(file, where).run();
}

}  // namespace lockstep::model
