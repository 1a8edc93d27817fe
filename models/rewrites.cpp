#include "models/rewrites.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/float_executor.h"

namespace lockstep::model {
namespace {

class Rewriter {
  public:
    explicit Rewriter(Graph* graph) : g_(*graph) {}

    void run() {
        while (fold_affine_back() || fold_affine_forward() || fold_clip() || fold_pad() || bypass_moves() ||
               merge_reshapes()) {
        }
    }

  private:
    // The node that computes the value, when nobody else reads it.
    Node* only_producer(size_t value) {
        if (value == g_.output || g_.consumers(value).size() != 1) return nullptr;
        for (Node& n : g_.nodes)
            if (n.output == value) return &n;
        return nullptr;
    }
    // Looks through reshapes that leave the last dimension alone.
    Node* producer_behind_shape(size_t value, size_t channels) {
        Node* p = only_producer(value);
        while (p != nullptr && p->kind == NodeKind::reshape) {
            if (size_t(g_.values[p->inputs[0]].shape.back()) != channels) return nullptr;
            p = only_producer(p->inputs[0]);
        }
        return p;
    }

    static bool unclamped(const Node& n) { return !std::isfinite(n.low) && !std::isfinite(n.high); }

    bool affine(const Node& n) const {
        const WindowParams& w = n.window;
        return n.kind == NodeKind::depthwise_conv2d && w.kernel_h == 1 && w.kernel_w == 1 &&
               w.stride_h == 1 && w.stride_w == 1 && w.pad_top == 0 && w.pad_left == 0 && unclamped(n) &&
               g_.values[n.inputs[0]].shape == g_.values[n.output].shape;
    }

    void remove(size_t index) {
        const size_t from = g_.nodes[index].output, to = g_.nodes[index].inputs[0];
        for (Node& n : g_.nodes)
            std::replace(n.inputs.begin(), n.inputs.end(), from, to);
        if (g_.output == from) g_.output = to;
        g_.nodes.erase(g_.nodes.begin() + long(index));
    }

    // Whether dropping this node leaves somebody's output shape right: the values agree.
    bool removable(const Node& n) const { return g_.values[n.inputs[0]].shape == g_.values[n.output].shape; }

    // scale and shift after a layer with weights.
    bool fold_affine_back() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            if (!affine(g_.nodes[i])) continue;
            const Node a = g_.nodes[i];
            const size_t channels = a.weights.size();
            Node* p = producer_behind_shape(a.inputs[0], channels);
            if (p == nullptr || !p->has_weights() || !unclamped(*p) || p->bias.size() != channels) continue;
            const size_t taps = p->weights.size() / channels;
            for (size_t o = 0; o < channels; ++o) {
                for (size_t k = 0; k < taps; ++k)
                    p->weights[p->kind == NodeKind::depthwise_conv2d ? k * channels + o : o * taps + k] *=
                        a.weights[o];
                p->bias[o] = p->bias[o] * a.weights[o] + a.bias[o];
            }
            remove(i);
            return true;
        }
        return false;
    }

    // scale and shift before a layer that sees every input cell: no padding, which would not be shifted.
    bool fold_affine_forward() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            if (!affine(g_.nodes[i]) || g_.nodes[i].output == g_.output) continue;
            const Node a = g_.nodes[i];
            const size_t channels = a.weights.size();
            size_t value = a.output;
            Node* layer = nullptr;
            while (layer == nullptr) {
                const std::vector<size_t> readers = g_.consumers(value);
                if (readers.size() != 1 || value == g_.output) break;
                Node& reader = g_.nodes[readers[0]];
                const bool same_row = size_t(g_.values[reader.output].shape.back()) == channels;
                if (reader.kind == NodeKind::reshape && same_row) {
                    value = reader.output;
                    continue;
                }
                layer = &reader;
            }
            if (layer == nullptr || (layer->kind != NodeKind::fully_connected && !unpadded_conv(*layer)))
                continue;
            const size_t outputs = layer->bias.size(), taps = layer->weights.size() / outputs;
            for (size_t o = 0; o < outputs; ++o)
                for (size_t k = 0; k < taps; ++k) {
                    float& w = layer->weights[o * taps + k];
                    layer->bias[o] += w * a.bias[k % channels];
                    w *= a.weights[k % channels];
                }
            remove(i);
            return true;
        }
        return false;
    }
    bool unpadded_conv(const Node& n) const {
        if (n.kind != NodeKind::conv2d || n.window.pad_top != 0 || n.window.pad_left != 0) return false;
        const WindowParams& w = n.window;
        const Shape &in = g_.values[n.inputs[0]].shape, &out = g_.values[n.output].shape;
        return (out[1] - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h < in[1] &&
               (out[2] - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w < in[2];
    }

    // ReLU and clip become the clamp of what they follow.
    bool fold_clip() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            const Node c = g_.nodes[i];
            if (c.kind != NodeKind::unary || !c.clip || !removable(c)) continue;
            Node* p = only_producer(c.inputs[0]);
            const bool clamps = p != nullptr && (p->has_weights() || p->kind == NodeKind::add ||
                                                 p->kind == NodeKind::subtract || p->kind == NodeKind::mul);
            if (!clamps || std::max(p->low, c.low) > std::min(p->high, c.high)) continue;
            p->low = std::max(p->low, c.low);
            p->high = std::min(p->high, c.high);
            remove(i);
            return true;
        }
        return false;
    }

    // Zeros around a convolution are its own padding.
    bool fold_pad() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            const Node p = g_.nodes[i];
            if (p.kind != NodeKind::pad || p.before[0] != 0 || p.before[3] != 0 || p.output == g_.output)
                continue;
            const Shape &in = g_.values[p.inputs[0]].shape, &out = g_.values[p.output].shape;
            const std::vector<size_t> readers = g_.consumers(p.output);
            if (in.size() != 4 || in[3] != out[3] || readers.size() != 1) continue;
            Node& conv = g_.nodes[readers[0]];
            if (conv.kind != NodeKind::conv2d && conv.kind != NodeKind::depthwise_conv2d) continue;
            conv.window.pad_top += p.before[1];
            conv.window.pad_left += p.before[2];
            remove(i);
            return true;
        }
        return false;
    }

    // A dense layer takes its inputs in any order and shape: moves before it go into its weights.
    bool bypass_moves() {
        for (Node& n : g_.nodes) {
            if (n.kind != NodeKind::fully_connected) continue;
            const Node* move = g_.producer(n.inputs[0]);
            if (move == nullptr || (move->kind != NodeKind::reshape && move->kind != NodeKind::transpose))
                continue;
            if (g_.consumers(move->output).size() != 1 || move->output == g_.output) continue;
            const size_t count = g_.values[n.inputs[0]].elements();
            // Where each input of the layer comes from: the move applied to 0, 1, 2, ... (exact: count <
            // 2^24)
            Graph alone;
            alone.values = {g_.values[move->inputs[0]], g_.values[move->output]};
            alone.nodes = {*move};
            alone.nodes[0].inputs = {0};
            alone.nodes[0].output = 1;
            alone.output = 1;
            std::vector<float> places(count);
            std::iota(places.begin(), places.end(), 0.0f);
            places = run_float(alone, places)[1];
            std::vector<float> weights(n.weights.size());
            for (size_t o = 0; o < n.bias.size(); ++o)
                for (size_t k = 0; k < count; ++k)
                    weights[o * count + size_t(places[k])] = n.weights[o * count + k];
            n.weights = std::move(weights);
            const size_t gone = move->output;
            n.inputs[0] = move->inputs[0];
            for (size_t i = 0; i < g_.nodes.size(); ++i)
                if (g_.nodes[i].output == gone) {
                    g_.nodes.erase(g_.nodes.begin() + long(i));
                    break;
                }
            return true;
        }
        return false;
    }

    bool merge_reshapes() {
        for (size_t i = 0; i < g_.nodes.size(); ++i) {
            Node& n = g_.nodes[i];
            if (n.kind != NodeKind::reshape) continue;
            if (removable(n)) {
                remove(i);
                return true;
            }
            const Node* p = only_producer(n.inputs[0]);
            if (p == nullptr || p->kind != NodeKind::reshape) continue;
            const size_t middle = n.inputs[0];
            n.inputs[0] = p->inputs[0];
            for (size_t k = 0; k < g_.nodes.size(); ++k)
                if (g_.nodes[k].output == middle) {
                    g_.nodes.erase(g_.nodes.begin() + long(k));
                    break;
                }
            return true;
        }
        return false;
    }

    Graph& g_;
};

// Nodes whose results nobody reads.
void drop_unused(Graph* g) {
    for (size_t i = g->nodes.size(); i-- > 0;)
        if (g->nodes[i].output != g->output && g->consumers(g->nodes[i].output).empty())
            g->nodes.erase(g->nodes.begin() + long(i));
}

}  // namespace

void simplify(Graph* graph) {
    drop_unused(graph);
    Rewriter(graph).run();
}

}  // namespace lockstep::model
