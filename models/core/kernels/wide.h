// The loops of the desktop's kernel sets. A set is a type L of vectors whose lanes are output channels:
//
//   V, kLanes       vector of int32
//   X               a value of the input as the products take it: q + kOffset
//   kTaps           taps whose products one mac() adds to a lane: a word of X, and one of weights
//   widen(q, n, x)  n values as X
//   spread(q, w)    kLanes words of four int8 weights -> 4 / kTaps vectors of mac()'s words, kLanes words
//                   times `step` apart
//   Quick, quick, rescale: the short way of rescaling, see Scales; sums begin with kBegin and their bias
//   mac, broadcast, high_multiply and the others: as they are used
//
// Everything that meets a vector carries LOCKSTEP_TARGET, the set's target attribute: the file's other
// inline functions stay good for every processor, whichever copy of them the linker keeps.
#pragma once

#include <string.h>

#include "models/core/kernels/sets.h"
#include "models/core/ops/check.h"

#define LOCKSTEP_WIDE LOCKSTEP_TARGET __attribute__((always_inline)) inline
#define LOCKSTEP_UNROLL _Pragma("GCC unroll 16")

namespace lockstep::model::kernels {

// Room on the stack: a desktop's threads have megabytes.
constexpr size_t kTileBytes = 1 << 16;  // input of one tile, padding included
constexpr size_t kMostWords = 1024;     // of taps, a channel

inline uint32_t load_word(const void* p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

// The first `count` of a vector's int32; the others are `otherwise`.
template <typename L>
LOCKSTEP_WIDE typename L::V load_some(const int32_t* p, size_t count, int32_t otherwise) {
    if (count >= L::kLanes) return L::load(p);
    alignas(64) int32_t some[L::kLanes];
    for (size_t i = 0; i < L::kLanes; ++i)
        some[i] = i < count ? p[i] : otherwise;
    return L::load(some);
}

// Rescaling and output bounds of up to two vectors of channels.
template <typename L>
struct Scales {
    using V = typename L::V;
    typename L::Quick quick[2];
    V multiplier[2];
    V shift[2];           // to the right
    V left[2], exact[2];  // exact: all ones where there is no shift to the right
    V low, high;
    int32_t zero_point;
    bool small;   // the short way is exact
    bool lefts;   // whether any factor is one half or more
    bool clamps;  // whether the output is bounded within int8

    LOCKSTEP_WIDE void bound(const Tensor& y, const ClampParams& clamp, size_t taps) {
        zero_point = y.zero_point;
        low = L::all(clamp.low);
        high = L::all(clamp.high);
        clamps = clamp.low != -128 || clamp.high != 127;
        lefts = false;
        small = taps < 1 << 15;
    }
    LOCKSTEP_WIDE void set(size_t v, V bias, V m, V s) {
        // |bias| and products below 2^29, shifts to the right by 1 to 22: no sum leaves 32 bits.
        constexpr int32_t kMost = 1 << 29, kFarthest = -22;
        small = small && !L::any(((bias + kMost) | (kMost - bias)) >> 31) && !L::any(~(s >> 31)) &&
                !L::any((s - kFarthest) >> 31);
        multiplier[v] = m;
        left[v] = L::larger(s, L::all(0));
        shift[v] = L::larger(L::all(0) - s, L::all(0));
        exact[v] = ~(s >> 31);
        lefts |= L::any(exact[v]);
        quick[v] =
            L::quick(m, shift[v],
                     L::shift_left(L::all(zero_point), shift[v]) + L::shift_left(L::all(1), shift[v] - 1));
    }
};

// requantise() of the lanes' accumulators. A rounding division by 2^n, ties away from zero: one less where
// it is negative, a half more, shifted. The short way, L::rescale(), adds the half and the zero point at
// once; the long way halves n - 1 times before it adds the half.
template <typename L>
LOCKSTEP_WIDE typename L::V rescaled(typename L::V acc, const Scales<L>& s, size_t v) {
    using V = typename L::V;
    if (s.small) return L::rescale(acc, s.quick[v]);
    acc = L::subtract(acc, L::all(L::kBegin));
    if (s.lefts) acc = L::shift_left(acc, s.left[v]);
    const V whole = L::high_multiply(acc, s.multiplier[v]), further = L::larger(s.shift[v] - 1, L::all(0));
    V out = ((L::add(whole, whole >> 31) >> further) + 1) >> 1;
    if (s.lefts) out = (whole & s.exact[v]) | (out & ~s.exact[v]);
    // Bounded before the zero point is added, which may lead past the edge of int32.
    const V zero = L::all(s.zero_point);
    return L::add(L::smaller(L::larger(out, s.low - zero), s.high - zero), zero);
}
template <typename L>
LOCKSTEP_WIDE typename L::V bounded(typename L::V v, const Scales<L>& s) {
    return s.clamps ? L::smaller(L::larger(v, s.low), s.high) : v;
}

// All sums of M cells; what is the same for all is asked once.
template <typename L, int M, int N>
LOCKSTEP_WIDE void finish(const Scales<L>& scales, typename L::V (&acc)[M][N]) {
    const Scales<L> s = scales;  // a copy: bytes that are stored might be anything's
    if (s.small) {
        LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) {
            LOCKSTEP_UNROLL for (int n = 0; n < N; ++n) acc[m][n] = L::rescale(acc[m][n], s.quick[n]);
        }
    } else {
        LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) {
            LOCKSTEP_UNROLL for (int n = 0; n < N; ++n) acc[m][n] = rescaled<L>(acc[m][n], s, size_t(n));
        }
    }
    if (!s.clamps) return;
    LOCKSTEP_UNROLL for (int m = 0; m < M; ++m) {
        LOCKSTEP_UNROLL for (int n = 0; n < N; ++n) acc[m][n] = bounded<L>(acc[m][n], s);
    }
}

// --- windows ---------------------------------------------------------------------------------------------

// Input positions from the first to the last that n outputs read.
inline int64_t reach(int64_t n, int32_t stride, int32_t kernel, int32_t dilation) {
    return (n - 1) * stride + int64_t(kernel - 1) * dilation + 1;
}

// A part of the output, computed from one padded copy of the input under it.
struct Tile {
    int32_t rows, columns;  // outputs
    int32_t height, width;  // inputs
    // Halves the output until the copy fits. False: one output's window does not.
    bool fit(const WindowParams& w, const Tensor& y, size_t position_bytes, size_t room) {
        rows = y.dim[1];
        columns = y.dim[2];
        for (;;) {
            const int64_t h = reach(rows, w.stride_h, w.kernel_h, w.dilation_h);
            const int64_t v = reach(columns, w.stride_w, w.kernel_w, w.dilation_w);
            if (uint64_t(h) * uint64_t(v) <= room / position_bytes) {
                height = int32_t(h);
                width = int32_t(v);
                return true;
            }
            if (rows == 1 && columns == 1) return false;
            if (rows > 1)
                rows = (rows + 1) / 2;
            else
                columns = (columns + 1) / 2;
        }
    }
};

// Positions [first, last) of a tile's row that lie in the input's.
struct Inside {
    int32_t first, last;
    Inside(int32_t start, int32_t size, int32_t limit) {
        first = start >= 0 ? 0 : -start < size ? -start : size;
        last = limit - start < size ? limit - start : size;
        if (last < first) last = first;
    }
};

}  // namespace lockstep::model::kernels
