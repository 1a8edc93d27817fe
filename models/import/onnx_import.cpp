#include "models/import/onnx_import.h"

#include <google/protobuf/stubs/logging.h>

#include <stdexcept>

#include "models/import/onnx_translators.h"

namespace lockstep::model {
namespace {

using Translator = void (*)(OnnxBuilder&, const onnx::NodeProto&);

const std::map<std::string, Translator>& translators() {
    static const std::map<std::string, Translator> table = {
        {"Conv", conv},
        {"Gemm", gemm},
        {"MatMul", matmul},
        {"MaxPool", pool},
        {"AveragePool", pool},
        {"GlobalAveragePool", global_pool},
        {"GlobalMaxPool", global_pool},
        {"ReduceMean", reduce},
        {"ReduceMax", reduce},
        {"BatchNormalization", batch_normalization},
        {"Add", arithmetic},
        {"Sub", arithmetic},
        {"Mul", arithmetic},
        {"Div", arithmetic},
        {"Relu", relu},
        {"Clip", clip_node},
        {"Sigmoid", unary},
        {"Tanh", unary},
        {"Exp", unary},
        {"Log", unary},
        {"Sqrt", unary},
        {"Abs", unary},
        {"Neg", unary},
        {"Erf", unary},
        {"Softplus", unary},
        {"LeakyRelu", unary},
        {"Elu", unary},
        {"Selu", unary},
        {"HardSigmoid", unary},
        {"HardSwish", unary},
        {"Pow", power},
        {"PRelu", prelu},
        {"Softmax", softmax},
        {"LogSoftmax", softmax},
        {"Split", split},
        {"ReduceSum", reduce},
        {"Flatten", flatten},
        {"Reshape", reshape_node},
        {"Squeeze", squeeze},
        {"Unsqueeze", unsqueeze},
        {"Transpose", transpose},
        {"Concat", concat},
        {"Pad", pad},
        {"Constant", constant},
        {"Shape", shape},
        {"Gather", gather},
        {"ConstantOfShape", constant_of_shape},
        {"Slice", slice},
        {"Expand", expand},
        {"GRU", recurrent},
        {"LSTM", recurrent},
        {"Identity", identity},
        {"Dropout", identity},
        {"Cast", identity},
        {"QuantizeLinear", quantize_linear},
        {"DequantizeLinear", dequantize_linear},
        {"ArgMax", arg_max},
    };
    return table;
}

// What to write instead of an operator that has no translator.
const char* nearest_form(const std::string& op) {
    static const std::map<std::string, const char*> hints = {
        {"ConvTranspose", "Conv after a repetition of samples, or a decoder left on the desktop"},
        {"InstanceNormalization", "BatchNormalization, whose statistics are constants"},
        {"LayerNormalization", "BatchNormalization, whose statistics are constants"},
        {"LpNormalization", "BatchNormalization, whose statistics are constants"},
        {"Einsum", "MatMul or Gemm with constant weights"},
        {"ReduceL2", "Mul of the value with itself, ReduceMean, Sqrt"},
        {"Where", "Clip or Relu"},
        {"Resize", "an AveragePool, or windows of another length"},
        {"Upsample", "windows of another rate"},
        {"LRN", "BatchNormalization"},
        {"RNN", "GRU"},
        {"Attention", "GRU, or a Conv over time"},
        {"TopK", "the scores themselves; the decision is their argmax"},
        {"STFT", "band powers computed before the network"},
        {"DFT", "band powers computed before the network"},
    };
    const auto it = hints.find(op);
    return it == hints.end() ? "" : it->second;
}

std::string name_of(const onnx::NodeProto& n) {
    return n.name().empty() && n.output_size() > 0 ? n.output(0) : n.name();
}

void read_input(const onnx::GraphProto& g, OnnxBuilder* b) {
    const onnx::ValueInfoProto* input = nullptr;
    for (const auto& i : g.input()) {
        if (b->find(i.name()) != nullptr) continue;
        if (input != nullptr)
            throw Misfit{"the model has several inputs", "one input; join the streams in the network"};
        input = &i;
    }
    if (input == nullptr) throw Misfit{"the model has no input"};
    const auto& type = input->type().tensor_type();
    if (type.elem_type() != onnx::TensorProto::FLOAT) throw Misfit{"the input is not float32"};
    Known k;
    for (const auto& d : type.shape().dim()) {
        const bool batch = k.dims.empty();
        if (!batch && !(d.has_dim_value() && d.dim_value() > 0))
            throw Misfit{"the input's size is open", "export the model with a fixed one"};
        k.dims.push_back(batch ? 1 : d.dim_value());
        if (batch && d.has_dim_value() && d.dim_value() > 1) throw Misfit{"the input's batch is not 1"};
    }
    count_of(k.dims);
    check_batch(k.dims);
    k.value = b->graph().add_value(input->name(), storage_shape(k.dims));
    b->graph().input = k.value;
    b->define(input->name(), std::move(k));
}

Graph read_graph(const onnx::ModelProto& model, std::vector<ImportProblem>* problems) {
    int64_t opset = 0;
    for (const auto& o : model.opset_import())
        if (o.domain().empty() || o.domain() == "ai.onnx") opset = o.version();
    if (opset < 9 || opset > 17)
        throw Misfit{"opset " + std::to_string(opset), "9 to 17; export it with one of these"};
    const onnx::GraphProto& g = model.graph();
    if (size_t(g.node_size()) > 4 * kMaxNodes) throw Misfit{"too many nodes"};
    OnnxBuilder b(opset);
    for (const onnx::TensorProto& t : g.initializer()) {
        try {
            b.define(t.name(), read_constant(t));
        } catch (const Misfit& m) {
            throw Misfit{"initializer \"" + t.name() + "\": " + m.what};
        }
    }
    read_input(g, &b);
    for (const onnx::NodeProto& n : g.node()) {
        const bool own = n.domain().empty() || n.domain() == "ai.onnx";
        const auto translate = translators().find(n.op_type());
        if (!own || translate == translators().end()) {
            problems->push_back({n.op_type(), name_of(n), "is not supported", nearest_form(n.op_type())});
            b.give_up(n, g);
            continue;
        }
        try {
            translate->second(b, n);
        } catch (const Misfit& m) {
            problems->push_back({n.op_type(), name_of(n), m.what, m.nearest});
            b.give_up(n, g);
        } catch (const std::out_of_range&) {
            problems->push_back({n.op_type(), name_of(n), "an index is out of range", ""});
            b.give_up(n, g);
        } catch (const Unreachable&) {
            b.give_up(n, g);
        }
    }
    if (!problems->empty()) return {};
    if (g.output_size() != 1)
        throw Misfit{"the model has " + std::to_string(g.output_size()) + " outputs", "one output"};
    const Known* out = b.find(g.output(0).name());
    if (out == nullptr || out->constant) throw Misfit{"nothing computes the output"};
    check_batch(out->dims);
    Graph graph = std::move(b.graph());
    graph.output = out->value;
    graph.values[graph.output].name = g.output(0).name();
    return graph;
}

std::string sentence(const std::vector<ImportProblem>& problems) {
    constexpr size_t kNamed = 24;
    std::string text;
    for (size_t i = 0; i < problems.size() && i < kNamed; ++i) {
        const ImportProblem& p = problems[i];
        text += (i == 0 ? "" : "; ") + p.op + " \"" + p.node + "\": " + p.what;
        if (!p.nearest.empty()) text += " (nearest: " + p.nearest + ")";
    }
    if (problems.size() > kNamed) text += "; and " + std::to_string(problems.size() - kNamed) + " more";
    return text;
}

}  // namespace

Result<Graph> import_onnx(Bytes file, const std::string& where, std::vector<ImportProblem>* problems) {
    std::vector<ImportProblem> own;
    if (problems == nullptr) problems = &own;
    problems->clear();
    if (file.size() > kMaxModelFile) return fail(ErrorKind::usage, "the model file is too large", where);
    onnx::ModelProto model;
    const google::protobuf::LogSilencer quiet;  // a broken file is one error, said once
    if (!model.ParseFromArray(file.data(), int(file.size())) || !model.has_graph())
        return fail(ErrorKind::usage, "not a whole ONNX file", where, "export or copy it again");
    try {
        Graph graph = read_graph(model, problems);
        if (!problems->empty()) return fail(ErrorKind::usage, sentence(*problems), where);
        if (const Status s = check_graph(graph); !s)
            return fail(ErrorKind::usage, s.error().what, where + ": " + s.error().where);
        return graph;
    } catch (const Misfit& m) {
        problems->push_back({"", "", m.what, m.nearest});
        return fail(ErrorKind::usage, m.what, where, m.nearest.empty() ? "" : "supported: " + m.nearest);
    }
}

}  // namespace lockstep::model
