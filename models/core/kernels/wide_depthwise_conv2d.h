// depthwise_conv2d over lanes of output channels: a tile of one block of channels is copied with its padding,
// as 16-bit values, an input channel repeated for each of its output channels; two taps a step.
#pragma once

#include "models/core/kernels/wide.h"

namespace lockstep::model::kernels {

template <typename L>
class Depthwise {
  public:
    using V = typename L::V;

    LOCKSTEP_TARGET static bool run(const OperatorContext& c) {
        const Tensor& x = *c.input[0];
        const Tensor& y = *c.output;
        const ConvParams& p = header<ConvParams>(c);
        const WindowParams& w = p.window;
        const size_t oc = y.dim[3], taps = size_t(w.kernel_h) * size_t(w.kernel_w);
        Tile tile;
        if (taps > kMostTaps || !tile.fit(w, y, 2 * kBlock, kTileBytes)) return false;
        alignas(64) int16_t input[kTileBytes / 2];
        Block b;
        b.pairs = (taps + 1) / 2;
        for (size_t t = 0; t < 2 * b.pairs; ++t) {
            const size_t tap = t < taps ? t : 0;  // the odd one out weighs 0
            b.at[t] = uint32_t((tap / size_t(w.kernel_w) * size_t(w.dilation_h) * size_t(tile.width) +
                                tap % size_t(w.kernel_w) * size_t(w.dilation_w)) *
                               kBlock);
        }
        for (size_t o = 0; o < oc; o += kBlock) {
            fill(c, o, taps, &b);
            for (int32_t oy = 0; oy < y.dim[1]; oy += tile.rows)
                for (int32_t ox = 0; ox < y.dim[2]; ox += tile.columns) {
                    Tile t = tile;
                    if (y.dim[1] - oy < t.rows) t.rows = y.dim[1] - oy;
                    if (y.dim[2] - ox < t.columns) t.columns = y.dim[2] - ox;
                    copy(x, w, oy, ox, t, o, oc, input);
                    run_tile(b, input, w, t, i8_out(&y) + (size_t(oy) * y.dim[2] + size_t(ox)) * oc + o, oc,
                             size_t(y.dim[2]) * oc);
                }
        }
        return true;
    }

  private:
    static constexpr size_t kBlock = 2 * L::kLanes;
    static constexpr size_t kPiece = kBlock < 16 ? kBlock : 16;  // channels copied at a time
    static constexpr size_t kMostTaps = 1024;
    static constexpr int kCells = 3;

    struct Block {
        alignas(64) int16_t weights[kMostTaps * kBlock];
        uint32_t at[kMostTaps];
        size_t pairs;
        V bias[2];
        Scales<L> scales;
        size_t count;
    };

    LOCKSTEP_TARGET static void fill(const OperatorContext& c, size_t o, size_t taps, Block* b) {
        const ConvParams& p = header<ConvParams>(c);
        const size_t oc = c.output->dim[3];
        const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), oc);
        const bool pairs = WeightLayout(p.layout) == WeightLayout::pairs;
        b->count = oc - o < kBlock ? oc - o : kBlock;
        alignas(64) int32_t bias[kBlock] = {}, multiplier[kBlock] = {}, shift[kBlock];
        for (size_t slot = 0; slot < kBlock; ++slot) {
            shift[slot] = -1;
            const size_t channel = o + L::channel_of(slot);
            if (channel >= oc) continue;
            bias[slot] = a.bias[channel];
            multiplier[slot] = a.multiplier[channel];
            shift[slot] = a.shift[channel];
        }
        const bool whole = !pairs && b->count == kBlock;
        const uint8_t same[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        for (size_t t = 0; t < 2 * b->pairs; t += 2) {
            alignas(64) int16_t two[2][kBlock];
            for (size_t k = 0; k < 2; ++k) {
                if (whole && t + k < taps) {
                    L::widen_block(a.weights + (t + k) * oc + o, two[k]);
                    continue;
                }
                int8_t row[kBlock + 16] = {};  // a piece is read as 16
                if (pairs)
                    for (size_t i = 0; i < b->count; ++i)
                        row[i] = a.weights[tap_pairs_at(o + i, t + k, 2 * b->pairs)];
                else if (t + k < taps)
                    memcpy(row, a.weights + (t + k) * oc + o, b->count);
                for (size_t i = 0; i < kBlock; i += kPiece)
                    L::pick(row + i, same, two[k] + i);
            }
            L::interleave(two[0], two[1], b->weights + t * kBlock);
        }
        b->scales.bound(*c.output, p.clamp, taps);
        for (size_t v = 0; v < 2; ++v) {
            const V from = L::load(bias + v * L::kLanes);
            b->bias[v] = L::add(from, L::all(L::kBegin));
            b->scales.set(v, from, L::load(multiplier + v * L::kLanes), L::load(shift + v * L::kLanes));
        }
    }

    // Output channels o and on of every position; what stands in the lanes behind the last one weighs 0.
    LOCKSTEP_TARGET static void copy(const Tensor& x, const WindowParams& w, int32_t oy, int32_t ox,
                                     const Tile& t, size_t o, size_t oc, int16_t* to) {
        constexpr size_t kPieces = kBlock / kPiece;
        const size_t ic = x.dim[3], multiplier = oc / ic;
        uint8_t from[kPieces][16] = {};
        size_t channel[kPieces] = {}, last_channel = 0;
        for (size_t k = 0; k < kPieces && o + k * kPiece < oc; ++k) {
            channel[k] = last_channel = (o + k * kPiece) / multiplier;
            size_t next = 0, rest = (o + k * kPiece) % multiplier;
            for (size_t i = 0; i < kPiece; ++i) {
                from[k][i] = uint8_t(next);
                if (++rest == multiplier) {
                    rest = 0;
                    ++next;
                }
            }
        }
        const int8_t* end = i8(&x) + x.elements();
        const int32_t y0 = oy * w.stride_h - w.pad_top, x0 = ox * w.stride_w - w.pad_left;
        const Inside columns(x0, t.width, x.dim[2]);
        for (int32_t row = 0; row < t.height; ++row) {
            const int32_t iy = y0 + row;
            const bool inside = iy >= 0 && iy < x.dim[1];
            const int32_t first = inside ? columns.first : t.width, last = inside ? columns.last : t.width;
            for (int32_t i = 0; i < first; ++i)
                for (size_t k = 0; k < kPieces; ++k, to += kPiece)
                    L::fill(x.zero_point, to);
            const int8_t* source = i8(&x) + (int64_t(iy) * x.dim[2] + x0 + first) * int64_t(ic);
            int32_t i = first;
            if (multiplier == 1 && o + kBlock <= oc)
                for (; i < last; ++i, source += ic, to += kBlock)
                    L::widen_block(source + o, to);
            // Sixteen bytes can be read from all but the input's last cells.
            for (; i < last && end - source >= int64_t(last_channel) + 16; ++i, source += ic)
                for (size_t k = 0; k < kPieces; ++k, to += kPiece)
                    L::pick(source + channel[k], from[k], to);
            for (; i < last; ++i, source += ic)
                for (size_t k = 0; k < kPieces; ++k, to += kPiece) {
                    int8_t rest[16] = {};
                    const int8_t* at = source + channel[k];
                    memcpy(rest, at, end - at < 16 ? size_t(end - at) : 16);
                    L::pick(rest, from[k], to);
                }
            for (i = last; i < t.width; ++i)
                for (size_t k = 0; k < kPieces; ++k, to += kPiece)
                    L::fill(x.zero_point, to);
        }
    }

    template <int M>
    LOCKSTEP_TARGET static void run_cells(const Block& b, const int16_t* const* cell, int8_t* const* out) {
        V acc[M][2];
        LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) {
            acc[m][0] = b.bias[0];
            acc[m][1] = b.bias[1];
        }
        const int16_t* w = b.weights;
        for (size_t k = 0; k < 2 * b.pairs; k += 2, w += 2 * kBlock) {
            LOCKSTEP_UNROLL for (int m = 0; m < M; ++m)
                L::two_taps(cell[m] + b.at[k], cell[m] + b.at[k + 1], w, acc[m]);
        }
        finish<L, M, 2>(b.scales, acc);
        const size_t count = b.count;
        LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) L::store_two(acc[m][0], acc[m][1], out[m], count);
    }

    LOCKSTEP_TARGET static void run_tile(const Block& b, const int16_t* input, const WindowParams& w,
                                         const Tile& t, int8_t* out, size_t oc, size_t row_bytes) {
        const size_t column_step = size_t(w.stride_w) * kBlock;
        const size_t row_step = size_t(w.stride_h) * size_t(t.width) * kBlock;
        const int16_t* cell[kCells];
        int8_t* to[kCells];
        int n = 0;
        for (int32_t r = 0; r < t.rows; ++r, input += row_step, out += row_bytes) {
            const int16_t* from = input;
            int8_t* y = out;
            for (int32_t c = 0; c < t.columns; ++c, from += column_step, y += oc) {
                cell[n] = from;
                to[n] = y;
                if (++n < kCells) continue;
                run_cells<kCells>(b, cell, to);
                n = 0;
            }
        }
        if (n == 0) return;
        for (int i = n; i < kCells; ++i) {  // the rest: with its last cell as often as it takes
            cell[i] = cell[n - 1];
            to[i] = to[n - 1];
        }
        run_cells<kCells>(b, cell, to);
    }
};

}  // namespace lockstep::model::kernels
