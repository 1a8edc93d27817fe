#include "models/data/feed.h"

#include <cstring>

#include "models/network/float_executor.h"
#include "models/plan/run.h"

namespace lockstep {

InputOrder order_of(const model::Graph& graph, bool channels_first) {
    const model::Shape& shape = graph.values[graph.input].shape;
    InputOrder o;
    o.channels = size_t(shape.back());
    o.cells = graph.values[graph.input].elements() / o.channels;
    o.channels_first = channels_first;
    return o;
}

Result<InputOrder> order_of(const PlanPtr& plan) {
    if (plan->plan.inputs() != 1)
        return fail(ErrorKind::usage, "the plan has several inputs", plan->path, "feed it a session instead");
    const model::InputSpec input = plan->plan.input(0);
    // A plan that came from TensorFlow Lite keeps its file's order.
    return InputOrder{input.span, input.channels, raw_type(plan->plan) == model::ElementType::float32};
}

Result<Windows> arranged(const WindowSet& set, const InputOrder& order) {
    const size_t per = set.elements();
    if (set.count == 0 || per != order.cells * order.channels) {
        std::string shape;
        for (const size_t d : set.shape)
            shape += (shape.empty() ? "" : ", ") + std::to_string(d);
        return fail(ErrorKind::usage,
                    "each window is [" + shape + "], " + std::to_string(per) + " values; the model takes " +
                        std::to_string(order.cells) + " of " + std::to_string(order.channels) + " channels",
                    set.source);
    }
    bool swap = order.channels_first && set.shape.size() > 1;
    if (set.time_first) {
        const bool as_kept = set.shape[0] == order.cells && set.shape[1] == order.channels;
        swap = !as_kept && set.shape[0] == order.channels && set.shape[1] == order.cells;
    }
    Windows windows(set.count, std::vector<float>(per));
    for (size_t w = 0; w < set.count; ++w)
        for (size_t i = 0; i < per; ++i)
            windows[w][swap ? (i % order.cells) * order.channels + i / order.cells : i] =
                set.values[w * per + i];
    return windows;
}

Result<Scored> score(const PlanPtr& plan, const Windows& windows) {
    auto runner = StageRunner::make(plan);
    if (!runner) return tl::make_unexpected(runner.error());
    Scored out;
    out.scores = plan->plan.scores();
    out.values.reserve(windows.size() * out.scores);
    for (const std::vector<float>& w : windows) {
        const auto stages = (*runner)->run(w);
        if (!stages) return tl::make_unexpected(stages.error());
        std::vector<float> row(out.scores);
        memcpy(row.data(), own_scores(*stages).bytes.data(), out.scores * sizeof(float));
        out.values.insert(out.values.end(), row.begin(), row.end());
        std::vector<float> in = w;
        for (const StageTensor& s : *stages)
            if (s.kind == model::StageKind::features) {
                in.resize(s.bytes.size() / sizeof(float));
                memcpy(in.data(), s.bytes.data(), s.bytes.size());
            }
        out.network_input.push_back(std::move(in));
    }
    return out;
}

std::vector<float> score_float(const model::Graph& graph, const Windows& windows) {
    std::vector<float> out;
    for (const std::vector<float>& w : windows) {
        const std::vector<float> scores = model::run_float(graph, w)[graph.output];
        out.insert(out.end(), scores.begin(), scores.end());
    }
    return out;
}

}  // namespace lockstep
