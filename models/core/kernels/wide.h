// The loops of the desktop's kernel sets. A set is a type L of vectors whose lanes are output channels:
//
//   V, kLanes       vector of int32
//   X               a value of the input as the products take it: q + kOffset
//   kTaps           taps whose products one mac() adds to a lane: a word of X, and one of weights
//   widen(q, n, x)  n values as X
//   spread(q, w)    kLanes words of four int8 weights -> 4 / kTaps vectors of mac()'s words, kLanes words
//                   times `step` apart
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

// Rescaling and output bounds of a block of channels, in the order of the lanes.
template <typename L>
struct Scales {
    using V = typename L::V;
    V multiplier[2], left[2], right[2], exact[2], low, high;
    int32_t zero_point;
    bool lefts = false;  // whether any factor is one half or more

    LOCKSTEP_WIDE void bound(const Tensor& y, const ClampParams& clamp) {
        zero_point = y.zero_point;
        low = L::all(clamp.low - zero_point);
        high = L::all(clamp.high - zero_point);
        lefts = false;
    }
    LOCKSTEP_WIDE void set(size_t v, V m, V shift) {
        multiplier[v] = m;
        left[v] = L::larger(shift, L::all(0));
        right[v] = ~L::smaller(shift, L::all(-1));
        exact[v] = ~(shift >> 31);
        lefts |= L::any(exact[v]);
    }
};

// requantise() of the lanes' accumulators. A rounding division by 2^n, ties away from zero: one less where
// it is negative, then halved n - 1 times, then a half up.
template <typename L>
LOCKSTEP_WIDE typename L::V rescaled(typename L::V acc, const Scales<L>& s, size_t v) {
    using V = typename L::V;
    if (s.lefts) acc = L::shift_left(acc, s.left[v]);
    const V whole = L::high_multiply(acc, s.multiplier[v]);
    V out = (((whole + (whole >> 31)) >> s.right[v]) + 1) >> 1;
    if (s.lefts) out = (whole & s.exact[v]) | (out & ~s.exact[v]);
    return L::smaller(L::larger(out, s.low), s.high) + s.zero_point;
}

// The first `count` of a vector's int32; the others are 0.
template <typename L>
LOCKSTEP_WIDE typename L::V load_some(const int32_t* p, size_t count) {
    if (count >= L::kLanes) return L::load(p);
    alignas(64) int32_t some[L::kLanes] = {};
    memcpy(some, p, 4 * count);
    return L::load(some);
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
