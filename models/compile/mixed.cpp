#include "models/compile/mixed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "models/core/plan_format.h"
#include "models/network/float_executor.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"

namespace lockstep {
namespace {

using model::Graph;
using model::Node;
using model::QuantiserOptions;

constexpr size_t kMostWindows = 32;
constexpr uint64_t kMostMacs = uint64_t(1) << 32;  // of a whole search, about
constexpr double kMostDecibels = 200;
constexpr double kAllowance = 1.1;  // on what int16 everywhere reaches, when that is over the limit

// A plan made of the graph, and how far it is from the float network.
struct Trial {
    Graph graph;
    double error = 0;
    size_t arena = 0;
    std::map<size_t, double> noise;  // power at a value of the float graph
};

std::vector<float> real_values(const StageTensor& s, const model::Value& v) {
    const size_t n = v.elements();
    std::vector<float> out(n);
    for (size_t i = 0; i < n; ++i) {
        int16_t q = 0;
        if (s.type == model::ElementType::int16)
            memcpy(&q, &s.bytes[2 * i], 2);
        else
            q = int16_t(s.bytes[i] < 128 ? s.bytes[i] : s.bytes[i] - 256);
        out[i] = float(q - v.zero_point) * v.scale;
    }
    return out;
}

class Search {
  public:
    Search(const Graph& g, const Windows& windows) : g_(g) {
        const uint64_t macs = std::max<uint64_t>(multiply_accumulates(g), 1);
        const size_t trials = g.nodes.size() * g.nodes.size() / 2 + 2;
        const size_t most = size_t(std::min<uint64_t>(kMostWindows, kMostMacs / (macs * trials) + 4));
        const size_t n = std::min(windows.size(), most);
        for (size_t i = 0; i < n; ++i)
            windows_.push_back(windows[i * windows.size() / n]);
        for (const std::vector<float>& w : windows_)
            float_.push_back(run_float(g, w));
        const size_t scores = std::min(g.values[g.output].elements(), model::kMaxScores);
        double sum = 0, squares = 0;
        for (const auto& values : float_)
            for (size_t i = 0; i < scores; ++i) {
                sum += double(values[g.output][i]);
                squares += double(values[g.output][i]) * double(values[g.output][i]);
            }
        const double count = double(n * scores);
        spread_ = std::sqrt(std::max(squares / count - sum / count * sum / count, 1e-30));
        for (size_t v = 0; v < g.values.size(); ++v) {
            double power = 0;
            for (const auto& values : float_)
                for (const float x : values[v])
                    power += double(x) * double(x);
            power_.push_back(power);
        }
    }

    Result<Trial> attempt(const QuantiserOptions& options, bool every_layer) const {
        Trial t;
        t.graph = g_;
        if (const Status s = quantise(&t.graph, windows_, options); !s) return tl::make_unexpected(s.error());
        const auto blob = raw_plan(t.graph, "float32", "{}", model::Target::any);
        if (!blob) return tl::make_unexpected(blob.error());
        const auto plan = plan_from_bytes(*blob);
        if (!plan) return tl::make_unexpected(plan.error());
        t.arena = (*plan)->plan.arena_bytes();
        const auto runner = StageRunner::make(*plan);
        if (!runner) return tl::make_unexpected(runner.error());
        double squares = 0;
        size_t scores = 0;
        for (size_t w = 0; w < windows_.size(); ++w) {
            const auto stages = (*runner)->run(windows_[w]);
            if (!stages) return tl::make_unexpected(stages.error());
            const StageTensor& last = stages->back();
            scores = last.bytes.size() / sizeof(float);
            for (size_t i = 0; i < scores; ++i) {
                float y = 0;
                memcpy(&y, &last.bytes[sizeof(float) * i], sizeof y);
                const double d = double(y) - double(float_[w][g_.output][i]);
                squares += d * d;
            }
            if (every_layer) add_noise(*stages, w, &t);
        }
        t.error = std::sqrt(squares / double(windows_.size() * scores)) / spread_;
        return t;
    }

    // The value that a layer writes.
    size_t value_of(const std::string& layer) const {
        for (const Node& n : g_.nodes)
            if (n.name == layer) return n.output;
        return g_.input;
    }
    double decibels(const Trial& t, size_t value) const {
        const auto at = t.noise.find(value);
        const double noise = at == t.noise.end() ? 0 : at->second;
        return noise > 0 ? std::min(10 * std::log10(power_[value] / noise), kMostDecibels) : kMostDecibels;
    }
    size_t windows() const { return windows_.size(); }

  private:
    // Stages are: quantise, perhaps a change of shape, the nodes, what makes scores of the last.
    void add_noise(const std::vector<StageTensor>& stages, size_t w, Trial* t) const {
        const Graph& q = t->graph;
        const size_t tail = q.values[q.output].elements() > model::kMaxScores ? 3 : 1;
        const size_t first = stages.size() - tail - q.nodes.size();
        add_noise(stages[0], q.input, w, t);
        for (size_t i = 0; i < q.nodes.size(); ++i)
            if (q.nodes[i].output < g_.values.size()) add_noise(stages[first + i], q.nodes[i].output, w, t);
    }
    void add_noise(const StageTensor& stage, size_t value, size_t w, Trial* t) const {
        const std::vector<float> got = real_values(stage, t->graph.values[value]);
        double& noise = t->noise[value];
        for (size_t i = 0; i < got.size(); ++i) {
            const double d = double(got[i]) - double(float_[w][value][i]);
            noise += d * d;
        }
    }

    const Graph& g_;
    Windows windows_;
    std::vector<std::vector<std::vector<float>>> float_;  // [window][value]
    double spread_ = 1;                                   // of the float scores
    std::vector<double> power_;                           // of every value, over all windows
};

// Multiplications of the layer that writes the value.
uint64_t macs_of(const Graph& g, size_t value) {
    Graph one = g;
    one.nodes.clear();
    for (const Node& n : g.nodes)
        if (n.output == value) one.nodes.push_back(n);
    return multiply_accumulates(one);
}

QuantiserOptions without(QuantiserOptions options, const std::string& layer) {
    options.int16.erase(layer);
    return options;
}

}  // namespace

Result<PrecisionReport> choose_int16(const Graph& graph, const Windows& windows, const MixedLimits* limits,
                                     QuantiserOptions* options) {
    const auto calibration = calibrate(graph, windows, options->method, options->clip);
    if (!calibration) return tl::make_unexpected(calibration.error());
    const Search search(graph, windows);
    QuantiserOptions now = *options, int8 = *options, int16 = *options;
    now.calibrated = int8.calibrated = int16.calibrated = &*calibration;
    int8.int16.clear();
    int8.all_int16 = false;
    int16.all_int16 = true;

    const std::vector<std::string> layers = int16_layers(graph);
    const auto plain = search.attempt(int8, true), whole = search.attempt(int16, false);
    for (const Result<Trial>* t : {&plain, &whole})
        if (!*t) return tl::make_unexpected(t->error());
    PrecisionReport report;
    if (limits != nullptr) {
        report.limit = std::max(limits->score_error, kAllowance * whole->error);
        // Int8 everywhere may do, although the way there leads through worse plans.
        if (plain->error > limits->score_error) now.int16 = {layers.begin(), layers.end()};
        for (;;) {
            const bool too_many = now.int16.size() > limits->layers + options->int16.size();
            std::string name;
            double least = too_many ? std::numeric_limits<double>::infinity() : report.limit;
            size_t bytes = 0;
            for (const std::string& layer : layers) {
                if (now.int16.count(layer) == 0 || options->int16.count(layer) != 0) continue;
                const auto t = search.attempt(without(now, layer), false);
                const size_t of_layer = graph.values[search.value_of(layer)].elements();
                if (!t || t->error > least || (t->error == least && of_layer <= bytes)) continue;
                least = t->error;
                bytes = of_layer;
                name = layer;
            }
            if (name.empty()) break;
            now.int16.erase(name);
        }
    }
    const auto best = search.attempt(now, true);
    if (!best) return tl::make_unexpected(best.error());

    report.windows = search.windows();
    report.int8_error = plain->error;
    report.int16_error = whole->error;
    report.error = best->error;
    report.int8_arena = plain->arena;
    report.int16_arena = whole->arena;
    report.arena = best->arena;
    report.macs = multiply_accumulates(graph);
    for (const std::string& name : layers) {
        const size_t value = search.value_of(name);
        LayerPrecision l;
        l.layer = name;
        l.int8_db = search.decibels(*plain, value);
        l.chosen_db = search.decibels(*best, value);
        l.macs = macs_of(graph, value);
        l.bytes = graph.values[value].elements();
        const bool wide = best->graph.values[value].type == model::ElementType::int16;
        if (wide) {
            l.why = options->all_int16                ? "all"
                    : options->int16.count(name) != 0 ? "named"
                    : now.int16.count(name) != 0      ? "chosen"
                                                      : "joined with another";
            QuantiserOptions rest = now;
            if (rest.all_int16) rest.int16 = {layers.begin(), layers.end()};
            rest.all_int16 = false;
            const auto t = search.attempt(without(rest, name), false);
            l.error_without = t ? t->error : 0;
            report.int16_macs += l.macs;
        }
        report.layers.push_back(std::move(l));
    }
    options->int16 = now.int16;
    return report;
}

}  // namespace lockstep
