#include "models/network/streaming.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "models/core/plan_format.h"

namespace lockstep::model {
namespace {

constexpr size_t kNone = SIZE_MAX;

// How a value of the windows' network is there in the other one: the rows [window - lag - rows, window -
// lag).
struct Flow {
    size_t value = kNone;  // in the new graph
    bool by_hops = false;  // else it holds all of the window
    size_t axis = 0;       // of time, in four dimensions
    int32_t window = 0;
    int32_t rows = 0;
    int32_t lag = 0;
    int32_t step = 1;       // samples of the input that a row advances
    int64_t look_back = 0;  // samples before this hop that it depends on
};

class Streamer {
  public:
    Streamer(const Graph& graph, int32_t hop, bool lag, StreamingReport* report)
        : old_(graph), hop_(hop), lag_(lag), report_(report), flow_(graph.values.size()) {
        new_.name = graph.name;
    }

    Result<Graph> run() {
        const Value& in = old_.values[old_.input];
        if (in.shape.size() != 4 || in.shape[0] != 1 || in.shape[1] != 1 || in.shape[2] == 1)
            return fail(ErrorKind::usage,
                        "the network takes " + shape_text(in.shape) +
                            ", no signal over time: nothing of it "
                            "can be kept from window to window",
                        in.name, "leave out --streaming");
        if (in.shape[2] == hop_)
            return fail(ErrorKind::usage, "windows do not overlap: each sample is computed once as it is",
                        in.name, "leave out --streaming, or choose a shorter hop");
        if (in.shape[2] % hop_ != 0)
            return fail(ErrorKind::usage,
                        "the window of " + std::to_string(in.shape[2]) +
                            " samples is no multiple of the hop of " + std::to_string(hop_),
                        in.name, "choose a hop that divides the window");
        *report_ = {};
        report_->window = in.shape[2];
        report_->hop = hop_;
        report_->macs_before = multiply_accumulates(old_);
        Flow input;
        input.by_hops = true;
        input.axis = 2;
        input.window = in.shape[2];
        input.rows = hop_;
        input.value = new_.input = add(old_.input, input, "");
        flow_[old_.input] = input;
        for (const Node& n : old_.nodes)
            take(n);
        new_.output = whole(old_.output);
        report_->macs_after = multiply_accumulates(new_);
        if (layers_by_hops_ == 0)
            return fail(ErrorKind::usage, "no layer of the network can go by hops",
                        report_->whole.empty()
                            ? old_.name
                            : "\"" + report_->whole[0].node + "\": " + report_->whole[0].why,
                        "let padded layers wait for the rows that follow (--lag), or train it with layers "
                        "that are padded before the first row or not at all; strides must divide the hop");
        report_->windows = uint32_t(looked_back_ + 1);
        if (looked_back_ > int64_t(kMaxMemory))
            return fail(ErrorKind::usage,
                        "a result would look back " + std::to_string(looked_back_) + " windows", old_.name,
                        "at most " + std::to_string(kMaxMemory) + " are possible: choose a longer hop");
        if (const Status s = check_graph(new_); !s) return tl::make_unexpected(s.error());
        return std::move(new_);
    }

  private:
    static int32_t gap(int32_t a, int32_t b) { return ((a % b) + b) % b; }

    // A value of the new graph for the old one's, as `f` holds it.
    size_t add(size_t old, const Flow& f, const std::string& what) {
        Value v = old_.values[old];
        v.name += what;
        if (f.by_hops) v.shape[f.axis] = f.rows;
        new_.values.push_back(std::move(v));
        return new_.values.size() - 1;
    }

    // The last `rows` + f.rows rows of the old value: a ring before them, one for every length.
    size_t with_rows(size_t old, int32_t rows) {
        const Flow& f = flow_[old];
        if (rows == 0) return f.value;
        const auto known = rings_.find({f.value, rows});
        if (known != rings_.end()) return known->second;
        Flow longer = f;
        longer.rows = f.rows + rows;
        Node n;
        n.kind = NodeKind::ring;
        n.name = old_.values[old].name + ":earlier";
        n.axes = {int32_t(f.axis)};
        n.inputs = {f.value};
        n.output = add(old, longer, ":" + std::to_string(longer.rows));
        const int64_t windows = (f.look_back + int64_t(rows) * f.step + hop_ - 1) / hop_;
        n.windows = uint32_t(1 + std::max<int64_t>(0, windows - looked_back_));
        looked_back_ = std::max(looked_back_, windows);
        const size_t value = n.output;
        new_.nodes.push_back(std::move(n));
        rings_[{f.value, rows}] = value;
        return value;
    }

    // The old value, all of it.
    size_t whole(size_t old) {
        const Flow& f = flow_[old];
        if (!f.by_hops) return f.value;
        report_->lag = std::max(report_->lag, f.lag * f.step);
        return with_rows(old, f.window - f.rows);
    }

    // As many rows of the old value as a hop has, `rows` earlier.
    size_t delayed(size_t old, int32_t rows) {
        if (rows == 0) return flow_[old].value;
        Node n;
        n.kind = NodeKind::slice;
        n.name = old_.values[old].name + ":delayed";
        n.inputs = {with_rows(old, rows)};
        n.before = {0, 0, 0, 0};
        n.output = add(old, flow_[old], ":delayed" + std::to_string(rows));
        new_.nodes.push_back(n);
        return n.output;
    }

    void emit(const Node& n, std::vector<size_t> inputs, const Flow& f) {
        Node made = n;
        made.inputs = std::move(inputs);
        flow_[n.output] = f;
        made.output = flow_[n.output].value = add(n.output, f, "");
        new_.nodes.push_back(std::move(made));
    }

    void take_whole(const Node& n, const char* why) {
        bool streamed = false;
        std::vector<size_t> inputs;
        for (const size_t i : n.inputs) {
            streamed = streamed || flow_[i].by_hops;
            inputs.push_back(whole(i));
        }
        if (streamed && why != nullptr) report_->whole.push_back({n.name, why});
        emit(n, std::move(inputs), {});
    }

    void take(const Node& n) {
        const Flow f = flow_[n.inputs[0]];
        if (!f.by_hops) return take_whole(n, nullptr);
        switch (n.kind) {
            case NodeKind::conv2d:
            case NodeKind::depthwise_conv2d:
            case NodeKind::max_pool:
            case NodeKind::average_pool:
                return take_windowed(n, f);
            case NodeKind::unary:
            case NodeKind::requantise:
                return emit(n, {f.value}, f);
            case NodeKind::softmax:
                if (f.axis + 1 == old_.values[n.inputs[0]].shape.size()) break;
                return emit(n, {f.value}, f);
            case NodeKind::add:
            case NodeKind::subtract:
            case NodeKind::mul:
            case NodeKind::concat:
                return take_several(n, f);
            case NodeKind::transpose:
            case NodeKind::reshape:
                return take_moved(n, f);
            case NodeKind::slice:
            case NodeKind::pad:
                return take_part(n, f);
            default:
                break;
        }
        take_whole(n, nullptr);  // it needs a window by its nature
    }

    void take_windowed(const Node& n, Flow f) {
        if (f.axis != 1 && f.axis != 2) return take_whole(n, "time is no side of its input");
        const bool high = f.axis == 1;
        const WindowParams& w = n.window;
        const int32_t kernel =
            (high ? w.kernel_h - 1 : w.kernel_w - 1) * (high ? w.dilation_h : w.dilation_w) + 1;
        const int32_t stride = high ? w.stride_h : w.stride_w, before = high ? w.pad_top : w.pad_left;
        const int32_t out = padded_shape(old_.values[n.output].shape)[f.axis];
        const int32_t after = (out - 1) * stride + kernel - before - f.window;
        const bool pool = n.kind == NodeKind::max_pool || n.kind == NodeKind::average_pool;
        if (pool && (before > 0 || after > 0))
            return take_whole(n, "a pool that is padded does not count what is outside");
        if (after > 0 && !lag_) return take_whole(n, "it is padded after the last row of its window");
        if (f.rows % stride != 0) return take_whole(n, "its stride does not divide the rows of a hop");
        // Frames stay where the window has them: the last that is complete ends `unused` rows before the
        // newest.
        const int32_t spare = f.window - f.lag + before - kernel, unused = gap(spare, stride);
        const int32_t rows = kernel - stride + unused;
        if (rows < 0) return take_whole(n, "its stride is longer than its kernel");
        const int32_t lag = out - 1 - (spare - unused) / stride;
        if (lag < 0) return take_whole(n, "it leaves out rows");
        if (f.rows / stride >= out) return take_whole(n, nullptr);
        Node streamed = n;
        (high ? streamed.window.pad_top : streamed.window.pad_left) = 0;
        const size_t input = with_rows(n.inputs[0], rows);
        f.look_back += int64_t(rows) * f.step;
        f.window = out;
        f.lag = lag;
        f.rows /= stride;
        f.step *= stride;
        if (before > 0 || after > 0) report_->history.push_back(n.name);
        layers_by_hops_ += pool ? 0 : 1;
        emit(streamed, {input}, f);
    }

    void take_several(const Node& n, Flow f) {
        if (n.kind == NodeKind::concat && size_t(n.axes[0]) == f.axis)
            return take_whole(n, "it joins rows of time");
        // A row that every row of time is combined with.
        const auto is_row = [&](size_t i) {
            return !flow_[i].by_hops && n.kind != NodeKind::concat && f.axis != 3 &&
                   old_.values[i].elements() != old_.values[n.inputs[0]].elements();
        };
        for (const size_t i : n.inputs) {
            const Flow& other = flow_[i];
            if (is_row(i)) continue;
            if (!other.by_hops || other.axis != f.axis || other.window != f.window || other.rows != f.rows)
                return take_whole(n, "what it joins does not keep one pace");
            f.lag = std::max(f.lag, other.lag);
        }
        std::vector<size_t> inputs;
        for (const size_t i : n.inputs) {
            if (is_row(i)) {
                inputs.push_back(flow_[i].value);
                continue;
            }
            const int32_t wait = f.lag - flow_[i].lag;
            inputs.push_back(delayed(i, wait));
            f.look_back = std::max(f.look_back, flow_[i].look_back + int64_t(wait) * f.step);
        }
        emit(n, std::move(inputs), f);
    }

    void take_moved(const Node& n, Flow f) {
        const Shape from = padded_shape(old_.values[n.inputs[0]].shape),
                    to = padded_shape(old_.values[n.output].shape);
        const size_t rank = old_.values[n.output].shape.size();
        const auto product = [](const Shape& s, size_t begin, size_t end) {
            return std::accumulate(s.begin() + long(begin), s.begin() + long(end), int64_t(1),
                                   std::multiplies<>());
        };
        for (size_t axis = 0; axis < rank; ++axis) {
            const bool here = n.kind == NodeKind::transpose
                                  ? size_t(n.axes[axis]) == f.axis
                                  : to[axis] == f.window && product(to, 0, axis) == product(from, 0, f.axis);
            if (!here) continue;
            f.axis = axis;
            return emit(n, {flow_[n.inputs[0]].value}, f);
        }
        take_whole(n, nullptr);
    }

    // A slice or padding: along time it only says which rows are meant.
    void take_part(const Node& n, Flow f) {
        const bool slice = n.kind == NodeKind::slice;
        const Shape from = padded_shape(old_.values[n.inputs[0]].shape),
                    to = padded_shape(old_.values[n.output].shape);
        const int32_t before = n.before[f.axis];
        const int32_t after = slice ? from[f.axis] - before - to[f.axis] : to[f.axis] - before - from[f.axis];
        if (!slice && after > 0 && !lag_) return take_whole(n, "it pads after the last row of its window");
        if (f.rows >= to[f.axis]) return take_whole(n, nullptr);
        if (!slice && (before > 0 || after > 0)) report_->history.push_back(n.name);
        const int32_t wait = slice ? std::max(0, after - f.lag) : 0;
        f.lag = slice ? std::max(0, f.lag - after) : f.lag + after;
        f.window = to[f.axis];
        f.look_back += int64_t(wait) * f.step;
        bool others = false;
        for (size_t d = 0; d < 4; ++d)
            others = others || (d != f.axis && from[d] != to[d]);
        const size_t input = delayed(n.inputs[0], wait);
        if (others) {
            Node part = n;
            part.before[f.axis] = 0;
            return emit(part, {input}, f);
        }
        f.value = input;  // nothing is left to do
        flow_[n.output] = f;
    }

    const Graph& old_;
    const int32_t hop_;
    const bool lag_;
    StreamingReport* report_;
    Graph new_;
    std::vector<Flow> flow_;  // of the old values
    std::map<std::pair<size_t, int32_t>, size_t> rings_;
    int64_t looked_back_ = 0;  // windows, by the rings so far
    size_t layers_by_hops_ = 0;
};

}  // namespace

Result<Graph> stream_by_hop(const Graph& graph, int32_t hop, bool lag, StreamingReport* report) {
    return Streamer(graph, hop, lag, report).run();
}

}  // namespace lockstep::model
