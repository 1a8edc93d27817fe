#include "models/compile/assemble.h"

#include "models/compile/lower.h"
#include "models/core/ops/int16.h"
#include "models/preprocessing/front.h"

namespace lockstep::model {
namespace {

// Quantiser, network and dequantiser behind the float32 tensor `x` of shape `dims`.
Result<uint16_t> add_network(const Graph& g, uint16_t x, const std::vector<uint16_t>& dims, PlanBuilder* plan,
                             Target target) {
    const Value& in = g.values[g.input];
    const bool wide_in = in.type == ElementType::int16;
    uint16_t q = plan->add_tensor(in.type, dims, in.scale, in.zero_point);
    plan->add_operator(wide_in ? uint16_t(kOpQuantise16) : uint16_t(kOpQuantise), {x}, q, {}, "quantise",
                       StageKind::quantised_input);
    if (dims != plan_dims(in.shape)) {
        const uint16_t shaped = plan->add_tensor(in.type, plan_dims(in.shape), in.scale, in.zero_point);
        plan->add_operator(kOpReshape, {q}, shaped, {}, "shape", StageKind::layer);
        q = shaped;
    }
    auto y = emit_network(g, q, plan, target);
    if (!y) return y;
    const Value& out = g.values[g.output];
    Shape shape = out.shape;
    if (out.elements() > kMaxScores) {
        // A plan reports no more; run_raw still gives the whole last layer.
        const Shape flat = {1, int32_t(out.elements())};
        if (out.elements() > 65535) return fail(ErrorKind::usage, "the output is too large", out.name);
        const uint16_t row = plan->add_tensor(out.type, plan_dims(flat), out.scale, out.zero_point);
        plan->add_operator(kOpReshape, {*y}, row, {}, "row", StageKind::layer);
        shape = {1, int32_t(kMaxScores)};
        const uint16_t part = plan->add_tensor(out.type, plan_dims(shape), out.scale, out.zero_point);
        const std::vector<uint8_t> params(sizeof(SliceParams), 0);
        plan->add_operator(kOpSlice, {row}, part, params, "first", StageKind::output);
        y = part;
    }
    const uint16_t scores = plan->add_tensor(ElementType::float32, plan_dims(shape));
    plan->add_operator(out.type == ElementType::int16 ? uint16_t(kOpDequantise16) : uint16_t(kOpDequantise),
                       {*y}, scores, {}, "scores", StageKind::output);
    return scores;
}

}  // namespace

Result<std::vector<uint8_t>> raw_plan(const Graph& g, const std::string& unit, const std::string& provenance,
                                      Target target, const std::vector<std::string>& classes, uint32_t span) {
    const Value& in = g.values[g.input];
    const size_t n = in.elements();
    const auto last = size_t(in.shape.back());
    const size_t channels = last <= 64 && in.shape.size() > 1 ? last : 1;
    if (n / channels > 65535) return fail(ErrorKind::usage, "the input is too large", in.name);
    PlanBuilder plan(g.name);
    PlanInput input;
    input.kind = "raw";
    input.window = input.hop = uint32_t(n / channels);
    input.span = span;
    for (size_t c = 0; c < channels; ++c)
        input.channels.push_back({"x" + std::to_string(c), unit});
    const uint16_t x = plan.add_input(input);
    auto done = add_network(g, x, {1, 1, uint16_t(n / channels), uint16_t(channels)}, &plan, target);
    if (!done) return tl::make_unexpected(done.error());
    std::vector<std::string> names, units;
    for (size_t i = 0; i < std::min(g.values[g.output].elements(), kMaxScores); ++i) {
        names.push_back("y" + std::to_string(i));
        units.emplace_back();
    }
    if (!classes.empty() && classes.size() != names.size())
        return fail(ErrorKind::usage,
                    std::to_string(classes.size()) + " classes are named, the model has " +
                        std::to_string(names.size()) + " outputs",
                    g.name);
    plan.set_scores(classes.empty() ? names : classes, units, !classes.empty());
    plan.set_provenance(provenance);
    return plan.finish();
}

Result<std::vector<uint8_t>> stream_plan(const Graph& g, const Preprocessing& way,
                                         const std::string& provenance, Target target) {
    if (const Status s = check_front(way, way.model); !s) return tl::make_unexpected(s.error());
    PlanBuilder plan(g.name);
    const Front x = add_front(way, true, &plan);
    const Value& first = g.values[g.input];
    // The window arrives as [time][channels]; the graph keeps a signal that way, whatever the layout of
    // the file it came from, but a model that wants anything else must say so.
    const Shape wanted(x.dims.begin(), x.dims.end());
    const bool flat = first.shape.size() == 2 && (x.dims.size() == 2 || way.inputs[0].layout == "NTC");
    if (first.shape != wanted && !(flat && first.elements() == x.elements()))
        return fail(
            ErrorKind::usage,
            "the model takes " + shape_text(first.shape) + ", the stream gives " + shape_text(wanted) +
                (x.dims.size() == 2 ? " (features)" : " (batch, height, time, channels)"),
            first.name, "correct /inputs/0/window, the channels or the features in the preprocessing file");
    const size_t outputs = g.values[g.output].elements();
    if (outputs != way.score_names.size())
        return fail(ErrorKind::usage,
                    "the model has " + std::to_string(outputs) + " outputs, the preprocessing file names " +
                        std::to_string(way.score_names.size()),
                    g.values[g.output].name);
    auto done = add_network(g, x.tensor, x.dims, &plan, target);
    if (!done) return tl::make_unexpected(done.error());
    add_post(way.post, *done, {1, uint16_t(outputs)}, &plan);
    plan.set_scores(way.score_names, way.score_units, way.is_classifier());
    plan.set_provenance(provenance);
    return plan.finish();
}

Result<std::vector<uint8_t>> window_plan(const Preprocessing& way) {
    PlanBuilder plan(way.model);
    const uint16_t x = plan.add_input(way.inputs.at(0).stream);
    const auto channels = uint16_t(way.inputs[0].stream.channels.size());
    const uint16_t q =
        plan.add_tensor(ElementType::int8, {1, 1, uint16_t(way.inputs[0].stream.window), channels});
    const uint16_t first = plan.add_tensor(ElementType::int8, {1, 1, 1, 1});
    const uint16_t score = plan.add_tensor(ElementType::float32, {1, 1, 1, 1});
    plan.add_operator(kOpQuantise, {x}, q, {}, "quantise", StageKind::quantised_input);
    plan.add_operator(kOpSlice, {q}, first, std::vector<uint8_t>(sizeof(SliceParams), 0), "first",
                      StageKind::layer);
    plan.add_operator(kOpDequantise, {first}, score, {}, "score", StageKind::output);
    plan.set_scores({"first"}, {""}, false);
    return plan.finish();
}

}  // namespace lockstep::model
