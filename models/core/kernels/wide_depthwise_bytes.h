// depthwise_conv2d for sets whose mac() multiplies bytes, four taps a lane: one output channel for each input
// channel, whole blocks of them. Four positions of the input that lie below each other - beside each other
// for kernels of one row - are interleaved once for every row of outputs; each cell then takes a step for
// every four taps. Unpacking leaves channels in an order that packing the results undoes.
#pragma once

#include "models/core/kernels/wide.h"

namespace lockstep::model::kernels {

template <typename L>
class DepthwiseBytes {
  public:
    using V = typename L::V;
    using U = typename L::Bytes;
    using B = typename U::B;

    LOCKSTEP_TARGET static bool run(const OperatorContext& c) {
        const Tensor& x = *c.input[0];
        const Tensor& y = *c.output;
        const ConvParams& p = header<ConvParams>(c);
        const WindowParams& w = p.window;
        const size_t channels = y.dim[3];
        Shape s;
        s.down = w.kernel_h > 1;
        s.along = s.down ? w.kernel_h : w.kernel_w;
        s.across = s.down ? w.kernel_w : 1;
        s.fours = (s.along + 3) / 4;
        s.width = int32_t(reach(y.dim[2], w.stride_w, s.down ? w.kernel_w : 4 * s.fours - 3, w.dilation_w));
        const size_t steps = size_t(s.fours) * size_t(s.across);
        const size_t row = s.down ? size_t(s.fours) * size_t(s.width) : size_t(s.width);
        if (x.dim[3] != channels || channels < kBlock || steps > kMostSteps || row > kMostPositions)
            return false;
        Block b;
        b.steps = steps;
        for (size_t k = 0; k < steps; ++k) {
            const size_t four = k / size_t(s.across), other = k % size_t(s.across);
            const size_t position = s.down ? four * size_t(s.width) + other * size_t(w.dilation_w)
                                           : 4 * four * size_t(w.dilation_w);
            b.at[k] = uint32_t(position * kPosition);
        }
        alignas(64) int8_t positions[kMostPositions * kPosition];
        for (size_t o = 0; o < channels; o += kBlock) {
            if (o + kBlock > channels) o = channels - kBlock;  // some once more
            fill(c, s, o, &b);
            int8_t* out = i8_out(&y) + o;
            for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
                interleave_row(x, w, s, oy, o, positions);
                const size_t step = size_t(w.stride_w) * kPosition;
                const int8_t* cell = positions;
                int32_t ox = 0;
                for (; ox + 2 <= y.dim[2]; ox += 2, cell += 2 * step, out += 2 * channels)
                    run_cells<2>(b, cell, step, out, channels);
                if (ox < y.dim[2]) {
                    run_cells<1>(b, cell, step, out, channels);
                    out += channels;
                }
            }
        }
        return true;
    }

  private:
    static constexpr size_t kBlock = sizeof(B);         // channels
    static constexpr size_t kPosition = 4 * sizeof(B);  // bytes of four interleaved positions
    static constexpr size_t kMostSteps = 64, kMostPositions = kTileBytes / kPosition;

    struct Shape {
        bool down;
        int32_t along, across, fours, width;  // taps, fours of taps, positions
    };
    struct Block {
        alignas(64) int8_t weights[kMostSteps * kPosition];
        uint32_t at[kMostSteps];
        size_t steps;
        V bias[4];
        Scales<L> scales[2];
    };

    // Four vectors of lanes, each the bytes of a channel.
    LOCKSTEP_WIDE static void interleave(B a, B b, B c, B d, int8_t* to) {
        const B ab = U::low_bytes(a, b), ab2 = U::high_bytes(a, b), cd = U::low_bytes(c, d),
                cd2 = U::high_bytes(c, d);
        U::store(U::low_halves(ab, cd), to);
        U::store(U::high_halves(ab, cd), to + sizeof(B));
        U::store(U::low_halves(ab2, cd2), to + 2 * sizeof(B));
        U::store(U::high_halves(ab2, cd2), to + 3 * sizeof(B));
    }
    // Channel values in the order of the k-th of the four vectors.
    LOCKSTEP_WIDE static V channel_order(const int32_t* from, size_t k) {
        alignas(64) int32_t some[L::kLanes];
        for (size_t i = 0; i < L::kLanes; i += 4)
            memcpy(some + i, from + 4 * i + 4 * k, 16);
        return L::load(some);
    }

    LOCKSTEP_TARGET static void fill(const OperatorContext& c, const Shape& s, size_t o, Block* b) {
        const ConvParams& p = header<ConvParams>(c);
        const size_t channels = c.output->dim[3], taps = size_t(s.along) * size_t(s.across);
        const ChannelArrays a = channel_arrays(c.params, sizeof(ConvParams), channels);
        V more[4] = {};
        const V offset = L::all(int32_t(0x80808080));
        for (size_t k = 0; k < b->steps; ++k) {
            B tap[4];
            for (size_t i = 0; i < 4; ++i) {
                const size_t along = 4 * (k / size_t(s.across)) + i;
                tap[i] = U::all(0);
                if (along >= size_t(s.along)) continue;
                const size_t t = along * size_t(s.across) + k % size_t(s.across);
                if (WeightLayout(p.layout) == WeightLayout::rows) {
                    tap[i] = U::load(a.weights + t * channels + o);
                } else {
                    int8_t row[kBlock];
                    for (size_t n = 0; n < kBlock; ++n)
                        row[n] = a.weights[tap_pairs_at(o + n, t, taps)];
                    tap[i] = U::load(row);
                }
            }
            int8_t* to = b->weights + k * kPosition;
            interleave(tap[0], tap[1], tap[2], tap[3], to);
            for (size_t v = 0; L::kOffset != 0 && v < 4; ++v)
                more[v] = L::mac(more[v], offset, L::load(to + v * sizeof(B)));
        }
        for (size_t v = 0; v < 4; ++v) {
            Scales<L>& scales = b->scales[v / 2];
            if (v % 2 == 0) scales.bound(*c.output, p.clamp, taps);
            const V bias = channel_order(a.bias + o, v);
            b->bias[v] = L::subtract(L::add(bias, L::all(L::kBegin)), more[v]);
            scales.set(v % 2, bias, channel_order(a.multiplier + o, v), channel_order(a.shift + o, v));
        }
    }

    LOCKSTEP_TARGET static void interleave_row(const Tensor& x, const WindowParams& w, const Shape& s,
                                               int32_t oy, size_t o, int8_t* to) {
        alignas(64) int8_t outside[kBlock];
        memset(outside, x.zero_point, sizeof outside);
        const int64_t channels = x.dim[3], row = channels * x.dim[2];
        const Inside columns(-w.pad_left, s.width, x.dim[2]);
        for (int32_t four = 0; four < (s.down ? s.fours : 1); ++four) {
            const int8_t* from[4];  // the first column inside
            int64_t step[4];
            for (int32_t i = 0; i < 4; ++i) {
                const int32_t tap = 4 * four + i;
                const int32_t iy = oy * w.stride_h - w.pad_top + (s.down ? tap * w.dilation_h : 0);
                const bool inside = iy >= 0 && iy < x.dim[1] && (!s.down || tap < s.along);
                from[i] = inside ? i8(&x) + iy * row + int64_t(o) : outside;
                step[i] = inside ? channels : 0;
            }
            int32_t n = 0;
            for (; n < s.width; ++n, to += kPosition) {
                if (s.down && n == columns.first) {
                    const int8_t *a = from[0], *b = from[1], *d = from[2], *e = from[3];
                    for (; n < columns.last; ++n, to += kPosition) {
                        interleave(U::input(a), U::input(b), U::input(d), U::input(e), to);
                        a += step[0];
                        b += step[1];
                        d += step[2];
                        e += step[3];
                    }
                    if (n == s.width) break;
                }
                const int8_t* at[4];
                LOCKSTEP_UNROLL for (int32_t i = 0; i < 4; ++i) {
                    const int32_t column = n + i * w.dilation_w - w.pad_left;
                    at[i] = s.down || column < 0 || column >= x.dim[2] ? outside : from[i] + column * step[i];
                }
                interleave(U::input(at[0]), U::input(at[1]), U::input(at[2]), U::input(at[3]), to);
            }
        }
    }

    template <int M>
    LOCKSTEP_TARGET static void run_cells(const Block& b, const int8_t* cell, size_t step, int8_t* out,
                                          size_t channels) {
        V first[M][2], second[M][2];
        LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) {
            LOCKSTEP_UNROLL for (int v = 0; v < 2; ++v) {
                first[m][v] = b.bias[v];
                second[m][v] = b.bias[2 + v];
            }
        }
        const int8_t* w = b.weights;
        for (size_t k = 0; k < b.steps; ++k, w += kPosition) {
            const int8_t* at = cell + b.at[k];
            V weights[4];
            LOCKSTEP_UNROLL for (int v = 0; v < 4; ++v) weights[v] = L::load(w + v * int(sizeof(B)));
            LOCKSTEP_UNROLL for (int m = 0; m < M; ++m, at += step) {
                LOCKSTEP_UNROLL for (int v = 0; v < 2; ++v) {
                    first[m][v] = L::mac(first[m][v], L::load(at + v * int(sizeof(B))), weights[v]);
                    second[m][v] =
                        L::mac(second[m][v], L::load(at + (2 + v) * int(sizeof(B))), weights[2 + v]);
                }
            }
        }
        finish<L, M, 2>(b.scales[0], first);
        finish<L, M, 2>(b.scales[1], second);
        LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) U::store(
            U::packed(first[m][0], first[m][1], second[m][0], second[m][1]), out + size_t(m) * channels);
    }
};

}  // namespace lockstep::model::kernels
