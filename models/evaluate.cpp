#include "models/evaluate.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "models/convert.h"
#include "models/core/plan_format.h"
#include "models/data/feed.h"
#include "models/import/onnx_import.h"
#include "models/plan/layers.h"
#include "models/plan/run.h"

namespace lockstep {
namespace {

bool filters(const model::Plan& plan) {
    return plan.inputs() > 0 && plan.input(0).reset_period != 0;
}

// Labels of the data as numbers of the plan's scores: by name when both have names.
Result<std::vector<int32_t>> labels_for(const PlanPtr& plan, const WindowSet& set,
                                        std::vector<std::string>* classes) {
    const size_t scores = plan->plan.scores();
    for (size_t i = 0; i < scores; ++i)
        classes->push_back(plan->plan.score_name(i));
    if (set.labels.empty() && set.session)
        return fail(ErrorKind::usage, "no window of the session is covered by a label", set.source,
                    "label it in Studio or with 'lockstep label', then try again");
    if (set.labels.empty())
        return fail(ErrorKind::usage, "the windows have no labels", set.source,
                    "give an .npz with x and y, or a training dataset");
    std::vector<int32_t> number(set.classes.size(), -1);
    size_t known = 0;
    for (size_t c = 0; c < set.classes.size(); ++c) {
        const auto at = std::find(classes->begin(), classes->end(), set.classes[c]);
        if (at == classes->end()) continue;
        number[c] = int32_t(at - classes->begin());
        ++known;
    }
    const bool by_name = known != 0;
    if (!by_name && plan->plan.is_classifier() && !set.classes.empty())
        return fail(ErrorKind::usage, "the data's classes are none of the plan's", set.source,
                    "name the classes as the plan does: " + classes->front() + ", ...");
    if (!by_name && set.classes.size() == scores) *classes = set.classes;
    std::vector<int32_t> labels;
    for (const int32_t label : set.labels) {
        const bool named = by_name && label >= 0 && size_t(label) < number.size();
        const int32_t at = by_name ? named ? number[size_t(label)] : -1 : label;
        if (at >= int32_t(scores))
            return fail(ErrorKind::usage,
                        "class " + std::to_string(at) + " in the data, the plan has " +
                            std::to_string(scores) + " scores",
                        set.source);
        labels.push_back(at);
    }
    return labels;
}

std::vector<std::string> people_in_both(const PlanPtr& plan, const WindowSet& set) {
    const Bytes text = plan->plan.provenance();
    const auto j = nlohmann::json::parse(text.data(), text.data() + text.size(), nullptr, false);
    std::set<std::string> here(set.people.begin(), set.people.end());
    std::vector<std::string> both;
    if (!j.is_object() || !j.contains("calibration") || !j["calibration"].is_object()) return both;
    const auto people = j["calibration"].find("people");
    if (people == j["calibration"].end() || !people->is_array()) return both;
    for (const auto& p : *people)
        if (p.is_string() && here.count(p.get<std::string>()) != 0) both.push_back(p.get<std::string>());
    return both;
}

}  // namespace

namespace {

size_t count_people(const WindowSet& set) {
    return std::set<std::string>(set.people.begin(), set.people.end()).size();
}

// Of a plan that has nothing to be judged by but its results.
Result<Evaluation> evaluate_decisions(const EvaluateRequest& request, Evaluation e) {
    if (!request.float_model.empty())
        return fail(ErrorKind::usage, "a float network takes one stream, the plan takes several",
                    request.float_model, "leave out --float");
    e.int8 = *e.decided;
    if (!smooths(request.plan->plan)) e.decided.reset();
    e.windows = e.int8.windows;
    e.people = count_people(*request.decided);
    e.calibrated_on = people_in_both(request.plan, *request.decided);
    if (e.windows == 0) return fail(ErrorKind::usage, "no window has a label", request.decided->source);
    return e;
}

}  // namespace

Result<Evaluation> evaluate(const EvaluateRequest& request) {
    const PlanPtr& plan = request.plan;
    Evaluation e;
    e.activations = activations_of(plan->plan);
    if (request.decided != nullptr) {
        std::vector<std::string> classes;
        const auto labels = labels_for(plan, *request.decided, &classes);
        if (!labels) return tl::make_unexpected(labels.error());
        if (request.windows == nullptr) e.classes = classes;
        e.decided = judge_classifier(request.decided->values, *labels, plan->plan.scores());
    }
    const WindowSet& source = request.windows == nullptr ? *request.decided : *request.windows;
    e.data_sha256 = source.sha256;
    e.part = source.part;
    if (request.windows == nullptr) return evaluate_decisions(request, std::move(e));
    const WindowSet& set = *request.windows;
    const auto order = order_of(plan);
    if (!order) return tl::make_unexpected(order.error());
    if (filters(plan->plan) && set.time_first && !set.filtered)
        return fail(ErrorKind::usage,
                    "the plan filters its stream, the dataset holds windows cut before that", set.source,
                    "give the sessions instead of a dataset");
    const auto labels = labels_for(plan, set, &e.classes);
    if (!labels) return tl::make_unexpected(labels.error());
    const auto windows = arranged(set, *order);
    if (!windows) return tl::make_unexpected(windows.error());
    const auto scored = score(plan, *windows);
    if (!scored) return tl::make_unexpected(scored.error());
    e.int8 = judge_classifier(scored->values, *labels, scored->scores);
    e.windows = e.int8.windows;
    e.people = count_people(set);
    e.calibrated_on = people_in_both(plan, set);
    if (e.windows == 0) return fail(ErrorKind::usage, "no window has a label", set.source);
    if (request.float_model.empty()) return e;

    const auto file = read_model_file(request.float_model);
    if (!file) return tl::make_unexpected(file.error());
    const auto graph = model::import_onnx(Bytes(file->data(), file->size()), request.float_model);
    if (!graph) return tl::make_unexpected(graph.error());
    const size_t outputs = graph->values[graph->output].elements();
    if (outputs != scored->scores ||
        graph->values[graph->input].elements() != scored->network_input.front().size())
        return fail(ErrorKind::usage, "the float model is not the one that the plan was made from",
                    request.float_model, "give the .onnx file that was converted");
    Windows inputs = scored->network_input;
    const model::Shape kept = graph->values[graph->input].shape;
    const auto channels = int32_t(order->channels), time = int32_t(order->cells);
    if ((kept == model::Shape{1, 1, channels, time} || kept == model::Shape{1, channels, time, 1}) &&
        time != channels) {
        // The network takes [time, channels], which ONNX calls channels last, or an image of one colour.
        for (std::vector<float>& w : inputs) {
            std::vector<float> turned(w.size());
            for (size_t t = 0; t < order->cells; ++t)
                for (size_t c = 0; c < order->channels; ++c)
                    turned[c * order->cells + t] = w[t * order->channels + c];
            w = std::move(turned);
        }
    }
    const std::vector<float> real = score_float(*graph, inputs);
    e.real = judge_classifier(real, *labels, outputs);
    e.difference = compare_classifiers(real, scored->values, *labels, outputs, set.people);
    for (size_t i = 0; i < real.size(); ++i)
        e.largest_error = std::max(e.largest_error, std::fabs(double(real[i]) - double(scored->values[i])));
    return e;
}

}  // namespace lockstep
