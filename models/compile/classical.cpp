#include "models/compile/classical.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "models/core/ops.h"
#include "models/core/ops/classical.h"
#include "models/preprocessing/front.h"

namespace lockstep {
namespace {

using nlohmann::json;
using namespace model;

constexpr size_t kMaxChannels = 256;  // of an input (docs/model_format.md)

struct Misfit {
    std::string pointer, what;
};

const json& at(const json& j, const char* key, const std::string& pointer) {
    if (!j.is_object() || !j.contains(key)) throw Misfit{pointer + "/" + key, "is missing"};
    return j[key];
}

double number(const json& v, const std::string& pointer) {
    if (!v.is_number() || !std::isfinite(v.get<double>())) throw Misfit{pointer, "not a finite number"};
    return v.get<double>();
}

std::vector<double> numbers(const json& j, const char* key, const std::string& pointer) {
    const json& v = at(j, key, pointer);
    if (!v.is_array() || v.size() > kMaxTable) throw Misfit{pointer + "/" + key, "not a list of numbers"};
    std::vector<double> out;
    for (const json& x : v)
        out.push_back(number(x, pointer + "/" + key));
    return out;
}

// Rows of equal length, one after another.
std::vector<double> rows(const json& j, const char* key, const std::string& pointer, size_t width,
                         size_t* count) {
    const json& v = at(j, key, pointer);
    const std::string here = pointer + "/" + key;
    if (!v.is_array() || v.empty() || v.size() > kMaxTable / std::max<size_t>(width, 1))
        throw Misfit{here, "not a list of rows"};
    std::vector<double> out;
    for (const json& row : v) {
        if (!row.is_array() || row.size() != width)
            throw Misfit{here, "a row has not " + std::to_string(width) + " numbers"};
        for (const json& x : row)
            out.push_back(number(x, here));
    }
    *count = v.size();
    return out;
}

template <typename T>
void append(std::vector<uint8_t>* out, const T* data, size_t n) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(data);
    out->insert(out->end(), bytes, bytes + n * sizeof(T));
}
void append(std::vector<uint8_t>* out, const std::vector<double>& values) {
    for (const double v : values) {
        const auto narrow = float(v);
        append(out, &narrow, 1);
    }
}

Link link_of(const json& j, const std::string& pointer) {
    static const std::map<std::string, Link> names = {{"none", Link::none},
                                                      {"logistic", Link::logistic},
                                                      {"softmax", Link::softmax},
                                                      {"sides", Link::sides},
                                                      {"votes", Link::votes}};
    const auto it =
        j.contains("link") && j["link"].is_string() ? names.find(j["link"].get<std::string>()) : names.end();
    if (it == names.end()) throw Misfit{pointer + "/link", "not none, logistic, softmax, sides or votes"};
    return it->second;
}

struct Machine {
    uint16_t code = 0;
    std::vector<uint8_t> params;
    uint32_t scratch = 0;
    uint32_t scores = 0;
};

// The largest float32 that is not above: x <= threshold means the same for every float32 x.
float at_most(double threshold) {
    auto v = float(std::min(std::max(threshold, -3.4e38), 3.4e38));
    if (double(v) > threshold) v = std::nextafter(v, -std::numeric_limits<float>::infinity());
    return v;
}

class Forest {
  public:
    Forest(size_t features, size_t outputs) : features_(features), outputs_(outputs) {}

    void add(const json& tree, const std::string& pointer, double weight) {
        const std::vector<double> feature = numbers(tree, "feature", pointer),
                                  left = numbers(tree, "left", pointer),
                                  right = numbers(tree, "right", pointer),
                                  threshold = numbers(tree, "threshold", pointer);
        size_t count = 0;
        const std::vector<double> value = rows(tree, "value", pointer, outputs_, &count);
        if (count == 0 || feature.size() != count || left.size() != count || right.size() != count ||
            threshold.size() != count)
            throw Misfit{pointer, "lists of different lengths"};
        // Parents first, so that every walk ends: a child that was seen already is a circle.
        std::vector<int32_t> place(count, INT32_MIN);
        std::vector<size_t> order = {0};
        place[0] = 0;
        for (size_t i = 0; i < order.size(); ++i) {
            const size_t n = order[i];
            if (left[n] < 0) continue;
            for (const double child : {left[n], right[n]}) {
                if (!(child >= 0 && child < double(count)) || place[size_t(child)] != INT32_MIN)
                    throw Misfit{pointer, "node " + std::to_string(n) + " has a child that does not fit"};
                place[size_t(child)] = 0;
                order.push_back(size_t(child));
            }
        }
        auto next = int32_t(nodes_.size());
        for (const size_t n : order) {
            if (left[n] >= 0) {
                place[n] = next++;
                continue;
            }
            place[n] = ~int32_t(leaves_.size() / outputs_);
            for (size_t o = 0; o < outputs_; ++o)
                leaves_.push_back(value[n * outputs_ + o] * weight);
        }
        for (const size_t n : order) {
            if (left[n] < 0) continue;
            if (!(feature[n] >= 0 && feature[n] < double(features_)))
                throw Misfit{pointer + "/feature", "node " + std::to_string(n) + " asks for no feature"};
            nodes_.push_back({at_most(threshold[n]), uint32_t(feature[n]), place[size_t(left[n])],
                              place[size_t(right[n])]});
        }
        roots_.push_back(place[0]);
    }

    std::vector<uint8_t> params(const std::vector<double>& base, Link link) const {
        const TreesParams p = {uint32_t(features_),
                               uint32_t(outputs_),
                               uint32_t(roots_.size()),
                               uint32_t(nodes_.size()),
                               uint32_t(leaves_.size() / outputs_),
                               int32_t(link),
                               {}};
        std::vector<uint8_t> out;
        append(&out, &p, 1);
        append(&out, base);
        append(&out, roots_.data(), roots_.size());
        append(&out, nodes_.data(), nodes_.size());
        append(&out, leaves_);
        return out;
    }

  private:
    size_t features_, outputs_;
    std::vector<int32_t> roots_;
    std::vector<TreeNode> nodes_;
    std::vector<double> leaves_;
};

Machine trees(const json& j, size_t features) {
    const std::string here = "/trees";
    const json& list = at(j, "trees", here);
    const std::vector<double> base = numbers(j, "base", here);
    if (base.empty() || base.size() > kMaxRawOutputs) throw Misfit{here + "/base", "1 to 128 outputs"};
    if (!list.is_array() || list.empty()) throw Misfit{here + "/trees", "not a list of trees"};
    const double weight = j.contains("mean") && j["mean"] == true ? 1.0 / double(list.size()) : 1.0;
    Forest forest(features, base.size());
    for (size_t i = 0; i < list.size(); ++i)
        forest.add(list[i], here + "/trees/" + std::to_string(i), weight);
    const Link link = link_of(j, here);
    return {kOpTrees, forest.params(base, link), 0, scores_of(link, uint32_t(base.size()))};
}

Machine vectors(const json& j, size_t features, Similarity similarity, Link link, const std::string& here,
                const char* rows_key, double gamma, const std::vector<double>& weight,
                const std::vector<double>& intercept) {
    size_t count = 0;
    const std::vector<double> vector = rows(j, rows_key, here, features, &count);
    const bool direct = weight.empty();
    const size_t outputs = direct ? count : weight.size() / count;
    if (outputs == 0 || outputs > kMaxRawOutputs || intercept.size() != outputs ||
        (!direct && weight.size() != outputs * count))
        throw Misfit{here, "the lists do not fit each other"};
    const VectorsParams p = {uint32_t(features), uint32_t(outputs), uint32_t(count),  int32_t(similarity),
                             int32_t(link),      float(gamma),      direct ? 1u : 0u, 0};
    Machine m;
    m.code = kOpVectors;
    append(&m.params, &p, 1);
    append(&m.params, vector);
    append(&m.params, weight);
    append(&m.params, intercept);
    m.scratch = uint32_t(4 * count);
    m.scores = scores_of(link, uint32_t(outputs));
    return m;
}

// scikit-learn's and libsvm's form: coefficients [classes - 1][vectors], vectors grouped by class.
std::vector<double> pair_weights(const json& j, const std::string& here, size_t vectors) {
    size_t count = 0;
    std::vector<double> dual = rows(j, "coefficients", here, vectors, &count);
    const std::vector<double> support = numbers(j, "support", here);
    const size_t classes = support.size();
    double sum = 0;
    for (const double n : support)
        sum += n >= 0 ? n : double(kMaxTable);
    if (count + 1 != classes || sum != double(vectors))
        throw Misfit{here + "/support", "does not fit the coefficients"};
    if (classes == 2) return dual;
    std::vector<size_t> begin = {0};
    for (const double n : support)
        begin.push_back(begin.back() + size_t(n));
    std::vector<double> out;
    for (size_t a = 0; a < classes; ++a)
        for (size_t b = a + 1; b < classes; ++b) {
            std::vector<double> row(vectors, 0.0);
            for (size_t v = begin[a]; v < begin[a + 1]; ++v)
                row[v] = dual[(b - 1) * vectors + v];
            for (size_t v = begin[b]; v < begin[b + 1]; ++v)
                row[v] = dual[a * vectors + v];
            out.insert(out.end(), row.begin(), row.end());
        }
    return out;
}

Machine machine_of(const json& j, size_t features) {
    if (j.contains("trees")) return trees(j["trees"], features);
    if (j.contains("linear")) {
        const json& m = j["linear"];
        return vectors(m, features, Similarity::dot, link_of(m, "/linear"), "/linear", "weights", 0, {},
                       numbers(m, "intercept", "/linear"));
    }
    if (j.contains("kmeans")) {
        const json& m = j["kmeans"];
        const json& centres = at(m, "centres", "/kmeans");
        return vectors(m, features, Similarity::distance, Link::none, "/kmeans", "centres", 0, {},
                       std::vector<double>(centres.is_array() ? centres.size() : 0, 0.0));
    }
    if (j.contains("svm")) {
        const json& m = j["svm"];
        const std::string kernel = m.value("kernel", "");
        if (kernel != "rbf" && kernel != "linear") throw Misfit{"/svm/kernel", "not rbf or linear"};
        const json& list = at(m, "vectors", "/svm");
        const bool value = m.value("link", "") == "none";  // a regression
        size_t one = 0;
        const std::vector<double> weight =
            value ? rows(m, "coefficients", "/svm", list.is_array() ? list.size() : 0, &one)
                  : pair_weights(m, "/svm", list.is_array() ? list.size() : 0);
        const std::vector<double> intercept = numbers(m, "intercept", "/svm");
        const bool rbf = kernel == "rbf";
        return vectors(m, features, rbf ? Similarity::rbf : Similarity::dot,
                       value                   ? Link::none
                       : intercept.size() == 1 ? Link::sides
                                               : Link::votes,
                       "/svm", "vectors", rbf ? number(at(m, "gamma", "/svm"), "/svm/gamma") : 0.0, weight,
                       intercept);
    }
    throw Misfit{"", "none of trees, linear, svm, kmeans"};
}

Result<std::vector<uint8_t>> assemble(const json& j, const std::optional<Preprocessing>& way,
                                      const std::string& name, const std::string& provenance) {
    if (at(j, "schema", "") != "lockstep-classical" || at(j, "version", "") != 1)
        throw Misfit{"/schema", "not lockstep-classical, version 1"};
    const double stated = number(at(j, "features", ""), "/features");
    if (!(stated >= 1 && stated <= 65535) || stated != std::floor(stated))
        throw Misfit{"/features", "outside 1..65535"};
    const auto features = size_t(stated);
    const Machine m = machine_of(j, features);
    std::vector<std::string> classes;
    if (j.contains("classes") && j["classes"].is_array())
        for (const json& c : j["classes"]) {
            if (!c.is_string()) throw Misfit{"/classes", "not a list of names"};
            classes.push_back(c.get<std::string>());
        }
    if (way) classes = way->score_names;
    const bool classifier = way ? way->is_classifier() : !classes.empty();
    if (classes.empty())
        for (uint32_t i = 0; i < m.scores; ++i)
            classes.push_back("y" + std::to_string(i));
    if (classes.size() != m.scores || m.scores > kMaxScores)
        throw Misfit{"/classes",
                     std::to_string(classes.size()) + " names for " + std::to_string(m.scores) + " scores"};

    const std::string own = j.value("model", "classical");
    PlanBuilder plan(!name.empty() ? name : own);
    const bool standardise = j.contains("standardise");
    uint16_t x = 0;
    std::vector<uint16_t> dims;
    if (way) {
        const Front front = add_front(*way, !standardise, &plan);
        if (front.elements() != features)
            throw Misfit{"/features", "what the stream gives has " + std::to_string(front.elements())};
        x = front.tensor;
        dims = front.dims;
    } else {
        PlanInput input;
        input.kind = "raw";
        const size_t channels = features <= kMaxChannels ? features : 1;
        input.window = input.hop = uint32_t(features / channels);
        for (size_t c = 0; c < channels; ++c)
            input.channels.push_back({"x" + std::to_string(c), "float32"});
        x = plan.add_input(input);
        dims = {1, 1, uint16_t(input.window), uint16_t(channels)};
    }
    if (standardise) {
        const std::vector<double> mean = numbers(j["standardise"], "mean", "/standardise"),
                                  deviation = numbers(j["standardise"], "std", "/standardise");
        if (mean.size() != dims.back() || deviation.size() != dims.back())
            throw Misfit{"/standardise", "needs a mean and std for each of " + std::to_string(dims.back()) +
                                             (dims.size() == 2 ? " features" : " channels")};
        std::vector<uint8_t> params;
        append(&params, mean);
        append(&params, deviation);
        const uint16_t y = plan.add_tensor(ElementType::float32, dims);
        plan.add_operator(kOpNormalise, {x}, y, params, "normalise", StageKind::features);
        x = y;
    }
    const uint16_t out = plan.add_tensor(ElementType::float32, {1, uint16_t(m.scores)});
    plan.add_operator(m.code, {x}, out, m.params, "scores", StageKind::output, m.scratch);
    if (way) add_post(way->post, out, {1, uint16_t(m.scores)}, &plan);
    plan.set_scores(classes, std::vector<std::string>(classes.size()), classifier);
    plan.set_provenance(provenance);
    return plan.finish();
}

}  // namespace

bool is_classical(const std::vector<uint8_t>& file) {
    constexpr char kSign[] = "lockstep-classical";
    const size_t head = std::min<size_t>(file.size(), 4096);
    return head != 0 && file[0] == '{' &&
           std::search(file.begin(), file.begin() + long(head), kSign, kSign + sizeof kSign - 1) !=
               file.begin() + long(head);
}

Result<std::vector<uint8_t>> classical_plan(const std::string& json_text, const std::string& where,
                                            const std::optional<Preprocessing>& way, const std::string& name,
                                            const std::string& provenance) {
    try {
        return assemble(json::parse(json_text), way, name, provenance);
    } catch (const Misfit& m) {
        return fail(ErrorKind::usage, m.what, where + (m.pointer.empty() ? "" : ": " + m.pointer));
    } catch (const json::exception& e) {
        return fail(ErrorKind::usage, std::string("not readable as JSON: ") + e.what(), where);
    }
}

}  // namespace lockstep
