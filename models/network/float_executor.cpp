#include "models/network/float_executor.h"

#include <algorithm>
#include <cmath>

namespace lockstep::model {
namespace {

using Data = std::vector<float>;

// Calls visit(index of the input cell, index of the tap) for every cell of one window inside the input;
// cells count (row * width + column).
template <typename Visit>
void window_cells(const WindowParams& w, const Shape& in, int32_t oy, int32_t ox, Visit visit) {
    for (int32_t ky = 0; ky < w.kernel_h; ++ky) {
        const int32_t iy = oy * w.stride_h - w.pad_top + ky * w.dilation_h;
        if (iy < 0 || iy >= in[1]) continue;
        for (int32_t kx = 0; kx < w.kernel_w; ++kx) {
            const int32_t ix = ox * w.stride_w - w.pad_left + kx * w.dilation_w;
            if (ix < 0 || ix >= in[2]) continue;
            visit(size_t(iy) * size_t(in[2]) + size_t(ix), size_t(ky) * size_t(w.kernel_w) + size_t(kx));
        }
    }
}

void windowed(const Node& n, const Shape& in, const Shape& out, const Data& x, Data* y) {
    const auto ic = size_t(in[3]), oc = size_t(out[3]);
    const size_t taps = size_t(n.window.kernel_h) * size_t(n.window.kernel_w);
    float* cell = y->data();
    for (int32_t oy = 0; oy < out[1]; ++oy)
        for (int32_t ox = 0; ox < out[2]; ++ox, cell += oc)
            for (size_t o = 0; o < oc; ++o) {
                float sum = n.has_weights() ? n.bias[o] : 0.0f;
                float max = -std::numeric_limits<float>::infinity();
                size_t count = 0;
                window_cells(n.window, in, oy, ox, [&](size_t at, size_t k) {
                    ++count;
                    if (n.kind == NodeKind::conv2d) {
                        const float* w = &n.weights[(o * taps + k) * ic];
                        for (size_t i = 0; i < ic; ++i)
                            sum += x[at * ic + i] * w[i];
                    } else if (n.kind == NodeKind::depthwise_conv2d) {
                        sum += x[at * ic + o / (oc / ic)] * n.weights[k * oc + o];
                    } else {
                        sum += x[at * ic + o];
                        max = std::max(max, x[at * ic + o]);
                    }
                });
                cell[o] = n.kind == NodeKind::max_pool       ? max
                          : n.kind == NodeKind::average_pool ? sum / float(std::max<size_t>(count, 1))
                                                             : sum;
            }
}

void softmax(const Shape& shape, float beta, const Data& x, Data* y) {
    const auto row = size_t(shape.back());
    for (size_t at = 0; at < x.size(); at += row) {
        const float max = *std::max_element(x.begin() + long(at), x.begin() + long(at + row));
        float sum = 0;
        for (size_t i = at; i < at + row; ++i)
            sum += (*y)[i] = std::exp(beta * (x[i] - max));
        for (size_t i = at; i < at + row; ++i)
            (*y)[i] /= sum;
    }
}

// Calls visit(flat index) for every element of `shape`, with its four coordinates.
template <typename Visit>
void every_cell(const Shape& shape, Visit visit) {
    int32_t c[4];
    for (c[0] = 0; c[0] < shape[0]; ++c[0])
        for (c[1] = 0; c[1] < shape[1]; ++c[1])
            for (c[2] = 0; c[2] < shape[2]; ++c[2])
                for (c[3] = 0; c[3] < shape[3]; ++c[3])
                    visit(c);
}
size_t flat(const Shape& s, const int32_t* c) {
    return ((size_t(c[0]) * size_t(s[1]) + size_t(c[1])) * size_t(s[2]) + size_t(c[2])) * size_t(s[3]) +
           size_t(c[3]);
}

void concat(const Graph& g, const Node& n, const std::vector<Data>& values, Data* y) {
    const Shape out = padded_shape(g.values[n.output].shape);
    const auto axis = size_t(n.axes[0]);
    int32_t offset = 0;
    for (const size_t i : n.inputs) {
        const Shape part = padded_shape(g.values[i].shape);
        every_cell(part, [&](const int32_t* c) {
            int32_t to[4] = {c[0], c[1], c[2], c[3]};
            to[axis] += offset;
            (*y)[flat(out, to)] = values[i][flat(part, c)];
        });
        offset += part[axis];
    }
}

float sigmoid(float v) {
    return 1.0f / (1.0f + std::exp(-v));
}

float dot(const float* w, const float* x, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; ++i)
        sum += w[i] * x[i];
    return sum;
}

// ONNX's order of gates: GRU update, reset, new; LSTM input, output, forget, cell.
void recurrent(const Node& n, const Shape& in, const Data& x, Data* y) {
    const size_t time = size_t(in[2]), inputs = size_t(in[3]), rows = n.bias.size() / 2,
                 hidden = rows / n.gates();
    const float* recur = n.weights.data() + rows * inputs;
    Data h(hidden, 0.0f), cell(hidden, 0.0f), gated(hidden), a(rows), b(rows);
    for (size_t step = 0; step < time; ++step) {
        const size_t t = n.reverse ? time - 1 - step : step;
        for (size_t r = 0; r < rows; ++r) {
            a[r] = n.bias[r] + dot(&n.weights[r * inputs], &x[t * inputs], inputs);
            b[r] = n.bias[rows + r] + dot(recur + r * hidden, h.data(), hidden);
        }
        const auto sum = [&](size_t gate, size_t u) { return a[gate * hidden + u] + b[gate * hidden + u]; };
        if (n.reset_first) {
            for (size_t u = 0; u < hidden; ++u)
                gated[u] = sigmoid(sum(1, u)) * h[u];
            for (size_t r = 2 * hidden; r < rows; ++r)
                b[r] = n.bias[rows + r] + dot(recur + r * hidden, gated.data(), hidden);
        }
        for (size_t u = 0; u < hidden; ++u) {
            if (n.kind == NodeKind::gru) {
                const float z = sigmoid(sum(0, u)), reset = n.reset_first ? 1.0f : sigmoid(sum(1, u));
                const float fresh = std::tanh(a[2 * hidden + u] + reset * b[2 * hidden + u]);
                h[u] = (1.0f - z) * fresh + z * h[u];
            } else {
                cell[u] = sigmoid(sum(2, u)) * cell[u] + sigmoid(sum(0, u)) * std::tanh(sum(3, u));
                h[u] = sigmoid(sum(1, u)) * std::tanh(cell[u]);
            }
        }
        if (!n.last_only)
            std::copy(h.begin(), h.end(), y->begin() + long(t * hidden));
        else if (step + 1 == time)
            *y = h;
    }
}

void eval(const Graph& g, const Node& n, const std::vector<Data>& values, Data* y) {
    const Shape& in = g.values[n.inputs[0]].shape;
    const Shape& out = g.values[n.output].shape;
    const Data& x = values[n.inputs[0]];
    switch (n.kind) {
        case NodeKind::conv2d:
        case NodeKind::depthwise_conv2d:
        case NodeKind::max_pool:
        case NodeKind::average_pool:
            windowed(n, in, out, x, y);
            break;
        case NodeKind::fully_connected:
            for (size_t o = 0; o < y->size(); ++o) {
                float sum = n.bias[o];
                for (size_t i = 0; i < x.size(); ++i)
                    sum += x[i] * n.weights[o * x.size() + i];
                (*y)[o] = sum;
            }
            break;
        case NodeKind::mean: {
            const size_t channels = y->size(), cells = x.size() / channels;
            for (size_t i = 0; i < x.size(); ++i)
                (*y)[i % channels] += x[i] / float(cells);
            break;
        }
        case NodeKind::softmax:
            softmax(out, n.beta, x, y);
            break;
        case NodeKind::reshape:
        case NodeKind::requantise:
            *y = x;
            break;
        case NodeKind::transpose: {
            const Shape from = padded_shape(in), to = padded_shape(out);
            every_cell(to, [&](const int32_t* c) {
                int32_t at[4];
                for (size_t d = 0; d < 4; ++d)
                    at[size_t(n.axes[d])] = c[d];
                (*y)[flat(to, c)] = x[flat(from, at)];
            });
            break;
        }
        case NodeKind::pad: {
            const Shape from = padded_shape(in), to = padded_shape(out);
            every_cell(from, [&](const int32_t* c) {
                int32_t at[4];
                for (size_t d = 0; d < 4; ++d)
                    at[d] = c[d] + n.before[d];
                (*y)[flat(to, at)] = x[flat(from, c)];
            });
            break;
        }
        case NodeKind::slice: {
            const Shape from = padded_shape(in), to = padded_shape(out);
            every_cell(to, [&](const int32_t* c) {
                int32_t at[4];
                for (size_t d = 0; d < 4; ++d)
                    at[d] = c[d] + n.before[d];
                (*y)[flat(to, c)] = x[flat(from, at)];
            });
            break;
        }
        case NodeKind::gru:
        case NodeKind::lstm:
            recurrent(n, in, x, y);
            break;
        case NodeKind::add:
        case NodeKind::subtract:
        case NodeKind::mul: {
            const Data& b = values[n.inputs[1]];
            for (size_t i = 0; i < y->size(); ++i) {
                const float v = b[i % b.size()];
                (*y)[i] = n.kind == NodeKind::add ? x[i] + v : n.kind == NodeKind::mul ? x[i] * v : x[i] - v;
            }
            break;
        }
        case NodeKind::concat:
            concat(g, n, values, y);
            break;
        case NodeKind::argmax:
            (*y)[0] = float(std::max_element(x.begin(), x.end()) - x.begin());
            break;
        case NodeKind::ring: {  // after none: zeros before the new rows
            const Shape from = padded_shape(in), to = padded_shape(out);
            const auto axis = size_t(n.axes[0]);
            every_cell(from, [&](const int32_t* c) {
                int32_t at[4] = {c[0], c[1], c[2], c[3]};
                at[axis] += to[axis] - from[axis];
                (*y)[flat(to, at)] = x[flat(from, c)];
            });
            break;
        }
        case NodeKind::unary:
            std::transform(x.begin(), x.end(), y->begin(), n.function);
            return;
    }
    for (float& v : *y)
        v = std::min(std::max(v, n.low), n.high);
}

}  // namespace

std::vector<std::vector<float>> run_float(const Graph& g, const std::vector<float>& input) {
    std::vector<Data> values(g.values.size());
    values[g.input] = input;
    for (const Node& n : g.nodes) {
        values[n.output].assign(g.values[n.output].elements(), 0.0f);
        eval(g, n, values, &values[n.output]);
    }
    return values;
}

}  // namespace lockstep::model
