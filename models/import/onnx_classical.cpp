#include "models/import/onnx_classical.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "models/import/onnx_tensor.h"

namespace lockstep::model {
namespace {

using nlohmann::json;

constexpr char kDomain[] = "ai.onnx.ml";
constexpr size_t kMaxValues = size_t(1) << 24;

// The lists of a node; what is not there is empty.
class Lists {
  public:
    explicit Lists(const onnx::NodeProto& node) : node_(node) {}
    std::vector<double> reals(const char* name) const {
        const onnx::AttributeProto* a = find(name);
        if (a == nullptr) return {};
        if (a->has_t()) {  // the newer tensor form of some of them
            const Known k = read_constant(a->t());
            return {k.real.begin(), k.real.end()};
        }
        return {a->floats().begin(), a->floats().end()};
    }
    std::vector<int64_t> integers(const char* name) const {
        const onnx::AttributeProto* a = find(name);
        return a == nullptr ? std::vector<int64_t>()
                            : std::vector<int64_t>(a->ints().begin(), a->ints().end());
    }
    std::vector<std::string> texts(const char* name) const {
        const onnx::AttributeProto* a = find(name);
        return a == nullptr ? std::vector<std::string>()
                            : std::vector<std::string>(a->strings().begin(), a->strings().end());
    }
    std::string text(const char* name, const char* otherwise) const {
        const onnx::AttributeProto* a = find(name);
        return a == nullptr ? otherwise : a->s();
    }
    int64_t integer(const char* name, int64_t otherwise) const {
        const onnx::AttributeProto* a = find(name);
        return a == nullptr ? otherwise : a->i();
    }

  private:
    const onnx::AttributeProto* find(const char* name) const {
        for (const onnx::AttributeProto& a : node_.attribute())
            if (a.name() == name) return &a;
        return nullptr;
    }
    const onnx::NodeProto& node_;
};

std::vector<std::string> classes_of(const Lists& a) {
    for (const char* name : {"classlabels_strings", "classlabels_string"})
        if (auto texts = a.texts(name); !texts.empty()) return texts;
    std::vector<std::string> out;
    for (const char* name : {"classlabels_int64s", "classlabels_ints"})
        for (const int64_t v : a.integers(name))
            out.push_back(std::to_string(v));
    return out;
}

struct Machine {
    json body;
    std::vector<std::string> classes;
    size_t features = 0;  // at least
};

// --- trees -------------------------------------------------------------------------------------------

struct TreeNode {
    int64_t feature = 0, yes = -1, no = -1;
    double threshold = 0;
    bool leaf = false;
    std::vector<double> value;
};

double threshold_of(double value, const std::string& mode) {
    // x < t is x <= the number below t, for float32 x.
    if (mode == "BRANCH_LT")
        return double(std::nextafter(float(value), -std::numeric_limits<float>::infinity()));
    return value;
}

json tree_json(const std::map<int64_t, TreeNode>& nodes, const std::string& where) {
    for (const auto& [id, n] : nodes)
        if (!n.leaf && (nodes.count(n.yes) == 0 || nodes.count(n.no) == 0))
            throw Misfit{where + " has a child that does not exist"};
    std::set<int64_t> children;
    for (const auto& [id, n] : nodes)
        if (!n.leaf && (!children.insert(n.yes).second || !children.insert(n.no).second))
            throw Misfit{where + " has a node with two parents"};
    std::vector<int64_t> order;  // the root first
    for (const auto& [id, n] : nodes)
        if (children.count(id) == 0) order.push_back(id);
    if (order.size() != 1) throw Misfit{where + " has not exactly one root"};
    // One parent each: the walk ends. What it does not reach runs in circles of its own.
    for (size_t i = 0; i < order.size(); ++i) {
        const TreeNode& n = nodes.at(order[i]);
        if (!n.leaf) order.insert(order.end(), {n.yes, n.no});
    }
    if (order.size() != nodes.size()) throw Misfit{where + " has nodes that its root does not reach"};
    std::map<int64_t, int64_t> place;
    for (size_t i = 0; i < order.size(); ++i)
        place[order[i]] = int64_t(i);
    json out = {{"feature", json::array()},
                {"threshold", json::array()},
                {"left", json::array()},
                {"right", json::array()},
                {"value", json::array()}};
    for (const int64_t id : order) {
        const TreeNode& n = nodes.at(id);
        out["feature"].push_back(n.leaf ? 0 : n.feature);
        out["threshold"].push_back(n.leaf ? 0 : n.threshold);
        out["left"].push_back(n.leaf ? -1 : place[n.yes]);
        out["right"].push_back(n.leaf ? -1 : place[n.no]);
        out["value"].push_back(n.value);
    }
    return out;
}

Machine trees_of(const onnx::NodeProto& node, bool classifier) {
    const Lists a(node);
    const auto tree = a.integers("nodes_treeids"), id = a.integers("nodes_nodeids"),
               feature = a.integers("nodes_featureids"), yes = a.integers("nodes_truenodeids"),
               no = a.integers("nodes_falsenodeids"), missing = a.integers("nodes_missing_value_tracks_true");
    const auto mode = a.texts("nodes_modes");
    auto value = a.reals("nodes_values");
    if (value.empty()) value = a.reals("nodes_values_as_tensor");
    const size_t count = tree.size();
    if (count == 0 || count > kMaxValues || id.size() != count || feature.size() != count ||
        yes.size() != count || no.size() != count || mode.size() != count || value.size() != count)
        throw Misfit{"the lists of nodes have different lengths"};
    if (std::any_of(missing.begin(), missing.end(), [](int64_t v) { return v != 0; }))
        throw Misfit{"missing values that take the true branch", "nodes_missing_value_tracks_true of 0"};
    Machine m;
    std::map<int64_t, std::map<int64_t, TreeNode>> forest;
    for (size_t i = 0; i < count; ++i) {
        TreeNode n;
        n.leaf = mode[i] == "LEAF";
        if (!n.leaf && mode[i] != "BRANCH_LEQ" && mode[i] != "BRANCH_LT")
            throw Misfit{"nodes of mode " + mode[i], "BRANCH_LEQ, BRANCH_LT and LEAF"};
        n.feature = feature[i];
        n.yes = yes[i];
        n.no = no[i];
        n.threshold = threshold_of(value[i], mode[i]);
        if (!n.leaf && (n.feature < 0 || n.feature >= 65535)) throw Misfit{"a feature outside 0..65534"};
        if (!n.leaf) m.features = std::max(m.features, size_t(n.feature) + 1);
        if (!forest[tree[i]].emplace(id[i], std::move(n)).second) throw Misfit{"two nodes of one number"};
    }
    const char* kind = classifier ? "class" : "target";
    const auto list = [&](const char* what) { return a.integers((std::string(kind) + what).c_str()); };
    const auto of_tree = list("_treeids"), of_node = list("_nodeids"), output = list("_ids");
    auto weight = a.reals(classifier ? "class_weights" : "target_weights");
    if (weight.empty()) weight = a.reals(classifier ? "class_weights_as_tensor" : "target_weights_as_tensor");
    if (of_tree.size() != weight.size() || of_node.size() != weight.size() || output.size() != weight.size())
        throw Misfit{"the lists of leaves have different lengths"};

    const std::string link = a.text("post_transform", "NONE");
    size_t outputs = size_t(std::min<int64_t>(std::max<int64_t>(a.integer("n_targets", 1), 1), 64));
    bool one_of_two = false;  // a classifier of two classes that states the weights of one
    if (classifier) {
        m.classes = classes_of(a);
        outputs = m.classes.size();
        const std::set<int64_t> stated(output.begin(), output.end());
        one_of_two = outputs == 2 && stated.size() == 1;
    }
    if (outputs == 0 || outputs > 64) throw Misfit{"not 1 to 64 outputs"};
    const bool logistic = link == "LOGISTIC" && one_of_two;
    if (link != "NONE" && link != "SOFTMAX" && !logistic)
        throw Misfit{"post_transform " + link, "NONE, SOFTMAX, or LOGISTIC of two classes"};
    std::vector<double> base = a.reals("base_values");
    if (base.empty()) base = a.reals("base_values_as_tensor");
    const size_t columns = logistic ? 1 : outputs;
    // With one class' weights and no function, its score is the sum, and the other's 1 - sum or -sum.
    const bool positive = std::all_of(weight.begin(), weight.end(), [](double w) { return w >= 0; });
    if (one_of_two && !logistic)
        base = base.empty() ? std::vector<double>{positive ? 1.0 : 0.0, 0.0}
                            : std::vector<double>{(positive ? 1.0 : 0.0) - base[0], base[0]};
    if (base.empty()) base.assign(columns, 0.0);
    if (base.size() != columns) throw Misfit{"base_values do not fit the outputs"};
    for (auto& [number, nodes] : forest)
        for (auto& [n, leaf] : nodes)
            leaf.value.assign(columns, 0.0);
    for (size_t i = 0; i < weight.size(); ++i) {
        const auto nodes = forest.find(of_tree[i]);
        if (nodes == forest.end() || nodes->second.count(of_node[i]) == 0 || output[i] < 0 ||
            output[i] >= int64_t(outputs))
            throw Misfit{"a weight of a leaf that does not exist"};
        std::vector<double>& row = nodes->second[of_node[i]].value;
        if (logistic) {
            row[0] += weight[i];
        } else if (one_of_two) {
            row[1] += weight[i];
            row[0] -= weight[i];
        } else {
            row[size_t(output[i])] += weight[i];
        }
    }
    const std::string sum = a.text("aggregate_function", "SUM");
    if (sum != "SUM" && sum != "AVERAGE") throw Misfit{"aggregate_function " + sum, "SUM or AVERAGE"};
    m.body["trees"] = {{"base", base},
                       {"mean", sum == "AVERAGE"},
                       {"link", logistic            ? "logistic"
                                : link == "SOFTMAX" ? "softmax"
                                                    : "none"},
                       {"trees", json::array()}};
    for (const auto& [number, nodes] : forest)
        m.body["trees"]["trees"].push_back(tree_json(nodes, "tree " + std::to_string(number)));
    return m;
}

// --- linear models and support vectors ---------------------------------------------------------------

std::vector<std::vector<double>> rows_of(const std::vector<double>& flat, size_t rows, const char* what) {
    if (rows == 0 || flat.empty() || flat.size() > kMaxValues || flat.size() % rows != 0)
        throw Misfit{std::string(what) + " do not fit each other"};
    const size_t width = flat.size() / rows;
    std::vector<std::vector<double>> out;
    out.reserve(rows);
    for (size_t i = 0; i < rows; ++i)
        out.emplace_back(flat.begin() + long(i * width), flat.begin() + long((i + 1) * width));
    return out;
}

Machine linear_of(const onnx::NodeProto& node, bool classifier) {
    const Lists a(node);
    Machine m;
    size_t outputs = size_t(std::max<int64_t>(a.integer("targets", 1), 1));
    std::vector<double> intercept = a.reals("intercepts");
    if (classifier) {
        m.classes = classes_of(a);
        outputs = intercept.empty() ? m.classes.size() : intercept.size();
    }
    auto weights = rows_of(a.reals("coefficients"), outputs, "coefficients and outputs");
    if (intercept.empty()) intercept.assign(outputs, 0.0);
    if (intercept.size() != outputs) throw Misfit{"coefficients and intercepts do not fit each other"};
    const std::string link = a.text("post_transform", "NONE");
    std::string ours = link == "SOFTMAX" ? "softmax" : "none";
    if (link == "LOGISTIC" && classifier && m.classes.size() == 2) {
        // Of two rows the second is the positive class'; the first is its negative.
        ours = "logistic";
        weights = {weights.back()};
        intercept = {intercept.back()};
    } else if (link != "NONE" && link != "SOFTMAX") {
        throw Misfit{"post_transform " + link, "NONE, SOFTMAX, or LOGISTIC of two classes"};
    } else if (classifier && outputs == 1 && m.classes.size() == 2) {
        ours = "sides";
    }
    m.features = weights[0].size();
    m.body["linear"] = {{"weights", weights}, {"intercept", intercept}, {"link", ours}};
    return m;
}

Machine machine_of_vectors(const onnx::NodeProto& node, bool classifier) {
    const Lists a(node);
    Machine m;
    const std::string kernel = a.text("kernel_type", "LINEAR");
    if (kernel != "LINEAR" && kernel != "RBF") throw Misfit{"kernel " + kernel, "LINEAR or RBF"};
    if (a.text("post_transform", "NONE") != "NONE") throw Misfit{"a post_transform", "NONE"};
    if (!a.reals("prob_a").empty())
        throw Misfit{"Platt's probabilities (prob_a)", "a machine without them (probability=False)"};
    if (a.integer("one_class", 0) != 0) throw Misfit{"one_class", "SVMClassifier or SVMRegressor"};
    std::vector<int64_t> support = a.integers("vectors_per_class");
    if (!classifier) support = {a.integer("n_supports", 0)};
    int64_t count = 0;
    for (const int64_t n : support)
        count += n >= 0 && n < int64_t(kMaxValues) ? n : int64_t(kMaxValues);
    if (support.empty() || count < 1 || count > int64_t(kMaxValues))
        throw Misfit{"no support vectors", "a machine in its dual form"};
    const auto vectors = rows_of(a.reals("support_vectors"), size_t(count), "support vectors");
    auto coefficients = rows_of(a.reals("coefficients"),
                                classifier ? std::max<size_t>(support.size(), 2) - 1 : 1, "coefficients");
    std::vector<double> rho = a.reals("rho");
    if (coefficients[0].size() != size_t(count))
        throw Misfit{"coefficients and vectors do not fit each other"};
    m.features = vectors[0].size();
    const std::vector<double> parameters = a.reals("kernel_params");
    json svm = {{"kernel", kernel == "RBF" ? "rbf" : "linear"}, {"vectors", vectors}, {"support", support}};
    if (kernel == "RBF") svm["gamma"] = parameters.empty() ? 0.0 : parameters[0];
    if (classifier) {
        m.classes = classes_of(a);
        if (m.classes.size() == 2) {
            // Above 0 is the first class here, the second in the form of scikit-learn.
            for (double& v : coefficients[0])
                v = -v;
            for (double& v : rho)
                v = -v;
        }
    } else {
        svm["link"] = "none";
    }
    svm["coefficients"] = coefficients;
    svm["intercept"] = rho;
    m.body["svm"] = std::move(svm);
    return m;
}

// --- the file ------------------------------------------------------------------------------------------

Machine machine_of(const onnx::NodeProto& n) {
    const std::string& op = n.op_type();
    if (op == "TreeEnsembleClassifier" || op == "TreeEnsembleRegressor")
        return trees_of(n, op == "TreeEnsembleClassifier");
    if (op == "LinearClassifier" || op == "LinearRegressor") return linear_of(n, op == "LinearClassifier");
    return machine_of_vectors(n, op == "SVMClassifier");
}

bool is_machine(const std::string& op) {
    static const std::set<std::string> known = {"TreeEnsembleClassifier", "TreeEnsembleRegressor",
                                                "LinearClassifier",       "LinearRegressor",
                                                "SVMClassifier",          "SVMRegressor"};
    return known.count(op) != 0;
}

size_t stated_features(const onnx::GraphProto& g) {
    std::set<std::string> constants;
    for (const onnx::TensorProto& t : g.initializer())
        constants.insert(t.name());
    for (const onnx::ValueInfoProto& v : g.input()) {
        if (constants.count(v.name()) != 0 || !v.type().has_tensor_type()) continue;
        const auto& shape = v.type().tensor_type().shape();
        const int rank = shape.dim_size();
        if (rank > 0 && shape.dim(rank - 1).has_dim_value() && shape.dim(rank - 1).dim_value() > 0)
            return size_t(std::min<int64_t>(shape.dim(rank - 1).dim_value(), 65536));
    }
    return 0;
}

struct Reading {
    json out;
    bool found = false;
};

void read_scaler(const onnx::NodeProto& n, size_t features, json* out) {
    const Lists a(n);
    std::vector<double> mean = a.reals("offset"), scale = a.reals("scale"), deviation;
    const size_t width = features != 0 ? features : std::max(mean.size(), scale.size());
    if (width == 0) throw Misfit{"neither its lists nor the input say how many features there are"};
    if (mean.size() <= 1) mean.assign(width, mean.empty() ? 0.0 : mean[0]);
    if (scale.size() <= 1) scale.assign(width, scale.empty() ? 1.0 : scale[0]);
    for (const double s : scale) {
        if (!(s > 0)) throw Misfit{"a scale that is not above 0"};
        deviation.push_back(1.0 / s);
    }
    if (out->contains("standardise")) throw Misfit{"a second Scaler", "one"};
    (*out)["standardise"] = {{"mean", mean}, {"std", deviation}};
}

void read_node(const onnx::NodeProto& n, size_t features, Reading* r) {
    const std::string& op = n.op_type();
    const bool renames = op == "Cast" || op == "Identity" || op == "ZipMap" || op == "CastMap";
    if (renames) return;
    if (!r->found && op == "Scaler") return read_scaler(n, features, &r->out);
    if (!r->found && is_machine(op)) {
        const Machine m = machine_of(n);
        for (const auto& [key, value] : m.body.items())
            r->out[key] = value;
        if (!m.classes.empty()) r->out["classes"] = m.classes;
        if (features != 0 && features < m.features) throw Misfit{"it reads more features than the input has"};
        r->out["features"] = features != 0 ? features : m.features;
        r->found = true;
        return;
    }
    if (r->found && op == "Normalizer" && Lists(n).text("norm", "MAX") == "L1") {
        // Of probabilities that add up to 1 already.
        for (const char* kind : {"linear", "trees"})
            if (r->out.contains(kind) &&
                (r->out[kind]["link"] == "logistic" || r->out[kind]["link"] == "softmax"))
                return;
    }
    throw Misfit{r->found ? "it changes the scores" : "no part of a classical model that is known",
                 "Scaler, then TreeEnsemble, Linear or SVM, Classifier or Regressor; Normalizer L1 behind "
                 "probabilities of one model"};
}

bool parse(Bytes file, onnx::ModelProto* model) {
    const google::protobuf::LogSilencer quiet;  // a broken file is one error, said once
    return file.size() <= kMaxModelFile && model->ParseFromArray(file.data(), int(file.size())) &&
           model->has_graph();
}

}  // namespace

bool is_onnx_classical(Bytes file) {
    onnx::ModelProto model;
    if (!parse(file, &model)) return false;
    return std::any_of(model.graph().node().begin(), model.graph().node().end(),
                       [](const onnx::NodeProto& n) { return n.domain() == kDomain; });
}

Result<std::string> classical_from_onnx(Bytes file, const std::string& where, const std::string& name,
                                        std::vector<ImportProblem>* problems) {
    std::vector<ImportProblem> own;
    if (problems == nullptr) problems = &own;
    problems->clear();
    onnx::ModelProto model;
    if (!parse(file, &model))
        return fail(ErrorKind::usage, "not a whole ONNX file", where, "export or copy it again");
    Reading r;
    r.out = {{"schema", "lockstep-classical"}, {"version", 1}};
    if (!name.empty()) r.out["model"] = name;
    const size_t features = stated_features(model.graph());
    for (const onnx::NodeProto& n : model.graph().node()) {
        try {
            read_node(n, features, &r);
        } catch (const Misfit& m) {
            problems->push_back({n.op_type(), n.name(), m.what, m.nearest});
        }
    }
    if (problems->empty() && !r.found)
        problems->push_back(
            {"", "", "the file holds no tree ensemble, linear model or support vector machine", ""});
    if (problems->empty()) return r.out.dump();
    std::string text;
    for (const ImportProblem& p : *problems)
        text += (text.empty() ? "" : "; ") +
                (p.op.empty() ? "" : p.op + (p.node.empty() ? "" : " '" + p.node + "'") + ": ") + p.what +
                (p.nearest.empty() ? "" : " (supported: " + p.nearest + ")");
    return fail(ErrorKind::usage, text, where);
}

}  // namespace lockstep::model
