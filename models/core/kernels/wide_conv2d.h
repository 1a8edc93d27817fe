// conv2d over lanes of output channels: a tile of the input is copied with its padding, so that every window
// is a list of fixed distances; the weights of a block of channels are brought into the lanes' order, which
// its cells pay back.
#pragma once

#include "models/core/kernels/wide.h"

namespace lockstep::model::kernels {

// Four weights from tap k of channel o on; those past `n` are 0. Paired weights come for channels o to
// o + 3 at once.
inline void four_weights(const ConvParams& p, const ChannelArrays& a, size_t o, size_t k, size_t n,
                         size_t taps, size_t channels, uint32_t* out) {
    if (WeightLayout(p.layout) == WeightLayout::rows) {
        const int8_t* at = a.weights + o * taps + k;
        for (size_t i = 0; i < channels; ++i, at += taps) {
            out[i] = 0;
            if (n >= 4)
                out[i] = load_word(at);
            else
                memcpy(&out[i], at, n);
        }
        return;
    }
    for (size_t i = 0; i < channels; i += 4) {
        if (n >= 4 && k % 4 == 0) {
            constexpr uint32_t kEvens = 0x00ff00ff, kSigns = 0x80808080;
            const int8_t* at = a.weights + pairs_at(o + i, k, taps);
            for (size_t pair = 0; pair < 2; ++pair) {
                const uint32_t u = load_word(at + 8 * pair), v = load_word(at + 8 * pair + 4);
                out[i + 2 * pair] = ((u & kEvens) | (v & kEvens) << 8) ^ kSigns;
                out[i + 2 * pair + 1] = (u >> 8 & kEvens) | (v & ~kEvens);
            }
            continue;
        }
        for (size_t c = i; c < i + 4; ++c) {
            out[c] = 0;
            for (size_t t = 0; t < (n < 4 ? n : 4); ++t)
                out[c] |= uint32_t(uint8_t(paired(a.weights, o + c, k + t, taps))) << 8 * t;
        }
    }
}

// Up to two vectors of output channels.
template <typename L>
struct Channels {
    alignas(64) uint32_t weights[kMostWords * 2 * L::kLanes];
    uint32_t at[kMostWords];  // where a word's taps lie in the window
    size_t words;
    typename L::V bias[2];
    Scales<L> scales;
    size_t count[2];
};

// M cells by N vectors of channels.
template <typename L, int M, int N>
LOCKSTEP_TARGET void run_cells(const Channels<L>& b, const typename L::X* const* cell, int8_t* const* out) {
    typename L::V acc[M][N];
    LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) {
        LOCKSTEP_UNROLL for (int n = 0; n < N; ++n) acc[m][n] = b.bias[n];
    }
    const uint32_t* w = b.weights;
    for (size_t k = 0; k < b.words; ++k, w += N * L::kLanes) {
        const size_t at = b.at[k];
        typename L::V weights[N];
        LOCKSTEP_UNROLL for (int n = 0; n < N; ++n) weights[n] = L::load(w + n * L::kLanes);
        LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) {
            const typename L::V x = L::broadcast(cell[m] + at);
            LOCKSTEP_UNROLL for (int n = 0; n < N; ++n) acc[m][n] = L::mac(acc[m][n], x, weights[n]);
        }
    }
    finish<L, M, N>(b.scales, acc);
    const size_t count[2] = {b.count[0], b.count[1]};
    if (N == 2 && count[1] == L::kLanes) {
        LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) L::store_both(acc[m][0], acc[m][N - 1], out[m]);
        return;
    }
    LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) {
        LOCKSTEP_UNROLL for (int n = 0; n < N; ++n) L::store(acc[m][n], out[m] + n * L::kLanes, count[n]);
    }
}

template <typename L, int N>
LOCKSTEP_TARGET void run_tile(const Channels<L>& b, const typename L::X* input, size_t column_step,
                              size_t row_step, Tile t, int8_t* out, size_t channels, size_t row_bytes) {
    if (row_step == size_t(t.columns) * column_step && row_bytes == size_t(t.columns) * channels) {
        t.columns *= t.rows;  // one row
        t.rows = 1;
    }
    constexpr int kCells = L::kCells;
    const typename L::X* cell[kCells];
    int8_t* to[kCells];
    int n = 0;
    for (int32_t r = 0; r < t.rows; ++r, input += row_step, out += row_bytes) {
        const typename L::X* from = input;
        int8_t* y = out;
        for (int32_t c = 0; c < t.columns; ++c, from += column_step, y += channels) {
            for (; n == 0 && t.columns - c >= kCells; c += kCells) {
                LOCKSTEP_UNROLL for (int i = 0; i < kCells; ++i, from += column_step, y += channels) {
                    cell[i] = from;
                    to[i] = y;
                }
                run_cells<L, kCells, N>(b, cell, to);
            }
            if (c == t.columns) break;
            cell[n] = from;
            to[n] = y;
            if (++n < kCells) continue;
            run_cells<L, kCells, N>(b, cell, to);
            n = 0;
        }
    }
    if (n == 0) return;
    // The rest: with its last cell as often as it takes.
    constexpr int kHalf = (kCells + 1) / 2;
    for (int i = n; i < kCells; ++i) {
        cell[i] = cell[n - 1];
        to[i] = to[n - 1];
    }
    (n == 1       ? run_cells<L, 1, N>
     : n <= kHalf ? run_cells<L, kHalf, N>
                  : run_cells<L, kCells, N>)(b, cell, to);
}

template <typename L>
class Conv2d {
  public:
    using X = typename L::X;
    using V = typename L::V;

    LOCKSTEP_TARGET static bool run(const OperatorContext& c) {
        const Tensor& x = *c.input[0];
        const Tensor& y = *c.output;
        const ConvParams& p = header<ConvParams>(c);
        const WindowParams& w = p.window;
        const size_t ic = x.dim[3], oc = y.dim[3];
        // Runs of taps that lie beside each other in the input.
        const bool rows = w.dilation_w == 1;
        const size_t runs = size_t(w.kernel_h) * size_t(rows ? 1 : w.kernel_w);
        const size_t run_taps = rows ? size_t(w.kernel_w) * ic : ic;
        Tile tile;
        if (runs * ((run_taps + 3) / 4) > kMostWords * size_t(L::kTaps) / 4 ||
            !tile.fit(w, y, ic * sizeof(X), kTileBytes))
            return false;
        alignas(64) X input[kTileBytes / sizeof(X) + 4];
        Channels<L> b;
        const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), oc);
        b.words = 0;
        for (size_t r = 0; r < runs; ++r)
            for (size_t k = 0; k < run_taps; k += 4)
                for (size_t word = 0; word < 4; word += L::kTaps) {
                    const size_t ky = rows ? r : r / size_t(w.kernel_w),
                                 kx = rows ? 0 : r % size_t(w.kernel_w);
                    const size_t at =
                        (ky * size_t(w.dilation_h) * size_t(tile.width) + kx * size_t(w.dilation_w)) * ic +
                        k + word;
                    b.at[b.words++] = uint32_t(at);
                }
        for (int32_t oy = 0; oy < y.dim[1]; oy += tile.rows)
            for (int32_t ox = 0; ox < y.dim[2]; ox += tile.columns) {
                Tile t = tile;
                if (y.dim[1] - oy < t.rows) t.rows = y.dim[1] - oy;
                if (y.dim[2] - ox < t.columns) t.columns = y.dim[2] - ox;
                copy(x, w, oy, ox, t, input);
                int8_t* out = i8_out(&y) + (size_t(oy) * y.dim[2] + size_t(ox)) * oc;
                const size_t column_step = size_t(w.stride_w) * ic;
                const size_t row_step = size_t(w.stride_h) * size_t(t.width) * ic;
                for (size_t o = 0; o < oc; o += 2 * L::kLanes, out += 2 * L::kLanes) {
                    const bool two = oc - o > L::kLanes;
                    fill(p, a, o, oc, runs, run_taps, y, &b);
                    (two ? run_tile<L, 2> : run_tile<L, 1>)(b, input, column_step, row_step, t, out, oc,
                                                            size_t(y.dim[2]) * oc);
                }
            }
        return true;
    }

  private:
    LOCKSTEP_TARGET static void copy(const Tensor& x, const WindowParams& w, int32_t oy, int32_t ox,
                                     const Tile& t, X* to) {
        const size_t ic = x.dim[3], width = size_t(t.width) * ic;
        const X outside = X(x.zero_point + L::kOffset);
        const int32_t y0 = oy * w.stride_h - w.pad_top, x0 = ox * w.stride_w - w.pad_left;
        const Inside columns(x0, t.width, x.dim[2]);
        const size_t first = size_t(columns.first) * ic, last = size_t(columns.last) * ic;
        int32_t row = 0;
        if (x0 == 0 && t.width == x.dim[2] && y0 >= 0 && y0 < x.dim[1]) {  // whole rows at once
            row = x.dim[1] - y0 < t.height ? x.dim[1] - y0 : t.height;
            L::widen(i8(&x) + size_t(y0) * width, size_t(row) * width, to);
            to += size_t(row) * width;
        }
        constexpr bool kBytes = sizeof(X) == 1;
        if (kBytes) memset(to, int(outside), size_t(t.height - row) * width);
        for (; row < t.height; ++row, to += width) {
            const int32_t iy = y0 + row;
            const bool inside = iy >= 0 && iy < x.dim[1];
            const size_t from = inside ? first : width, end = inside ? last : width;
            for (size_t i = 0; !kBytes && i < from; ++i)
                to[i] = outside;
            if (end > from)
                L::widen(i8(&x) + (iy * x.dim[2] + x0 + columns.first) * int32_t(ic), end - from, to + from);
            for (size_t i = end; !kBytes && i < width; ++i)
                to[i] = outside;
        }
        for (size_t i = 0; i < 4; ++i)
            to[i] = outside;  // a last word of taps may reach so far
    }

    LOCKSTEP_TARGET static void fill(const ConvParams& p, const ChannelArrays& a, size_t o, size_t oc,
                                     size_t runs, size_t run_taps, const Tensor& y, Channels<L>* b) {
        const size_t count = oc - o < 2 * L::kLanes ? oc - o : 2 * L::kLanes;
        const size_t vectors = count > L::kLanes ? 2 : 1, lanes = vectors * L::kLanes;
        b->count[0] = count < L::kLanes ? count : L::kLanes;
        b->count[1] = count - b->count[0];
        const size_t taps = runs * run_taps;
        if (run_taps % 4 == 0) {  // no word has taps of two runs
            run_taps = taps;
            runs = 1;
        }
        const bool by_sixteen = WeightLayout(p.layout) == WeightLayout::rows && count == lanes;
        alignas(64) uint32_t four[4][2 * L::kLanes];
        if (count < lanes) memset(four, 0, sizeof four);
        uint32_t* to = b->weights;
        for (size_t r = 0; r < runs; ++r)
            for (size_t k = 0; k < run_taps;) {
                size_t fours = 1;
                const size_t tap = r * run_taps + k;
                if (by_sixteen && run_taps - k >= 16) {
                    fours = 4;
                    if (L::kTaps == 4) {  // they lie as mac() takes them
                        for (size_t i = 0; i < lanes; i += 4)
                            L::turn(a.weights + (o + i) * taps + tap, taps, to + i, lanes);
                        k += 16;
                        to += 4 * lanes;
                        continue;
                    }
                    for (size_t i = 0; i < lanes; i += 4)
                        L::turn(a.weights + (o + i) * taps + tap, taps, four[0] + i, 2 * L::kLanes);
                } else {
                    four_weights(p, a, o, tap, run_taps - k, taps, count, four[0]);
                }
                for (size_t f = 0; f < fours; ++f, k += 4, to += 4 / L::kTaps * lanes)
                    for (size_t v = 0; v < vectors; ++v)
                        L::spread(four[f] + v * L::kLanes, lanes, to + v * L::kLanes);
            }
        b->scales.bound(y, p.clamp, taps);
        const X offset[4] = {X(L::kOffset), X(L::kOffset), X(L::kOffset), X(L::kOffset)};
        for (size_t v = 0; v < vectors; ++v) {
            V more = {};
            for (size_t k = 0; L::kOffset != 0 && k < b->words; ++k)
                more = L::mac(more, L::broadcast(offset), L::load(b->weights + k * lanes + v * L::kLanes));
            const size_t from = o + v * L::kLanes;
            const V bias = load_some<L>(a.bias + from, b->count[v], 0);
            b->bias[v] = L::subtract(L::add(bias, L::all(L::kBegin)), more);
            b->scales.set(v, bias, load_some<L>(a.multiplier + from, b->count[v], 0),
                          load_some<L>(a.shift + from, b->count[v], -1));
        }
    }
};

}  // namespace lockstep::model::kernels
