// fully_connected: four outputs at a time along their inputs, weights as they lie in the plan - one use
// pays back no other order - and the sums rescaled in lanes.
#pragma once

#include "models/core/kernels/wide.h"

namespace lockstep::model::kernels {

template <typename L>
class FullyConnected {
  public:
    using V = typename L::V;
    using E = typename L::E;  // an input as the products along a row take it

    LOCKSTEP_TARGET static bool run(const OperatorContext& c) {
        const FullyConnectedParams& p = header<FullyConnectedParams>(c);
        const size_t inputs = c.input[0]->elements(), outputs = c.output->elements();
        const bool pairs = WeightLayout(p.layout) == WeightLayout::pairs;
        if ((pairs ? 4 : 1) * inputs > kTileBytes / sizeof(E) - 64) return false;
        alignas(64) E x[kTileBytes / sizeof(E)];
        if (pairs)
            repeat(i8(c.input[0]), inputs, x);
        else
            plain(i8(c.input[0]), inputs, x);
        const ChannelArrays a = channel_arrays(c.params, sizeof(FullyConnectedParams), outputs);
        Scales<L> scales;
        scales.bound(*c.output, p.clamp, inputs);
        const bool small = scales.small;
        const V nothing =
            L::subtract(L::all(0), pairs ? pairs_of_nothing(x, inputs) : row_of_nothing(x, inputs));
        int8_t* y = i8_out(c.output);
        for (size_t o = 0; o < outputs; o += L::kLanes) {
            alignas(64) int32_t sum[L::kLanes] = {};
            const size_t count = outputs - o < L::kLanes ? outputs - o : L::kLanes;
            for (size_t k = 0; k < count; k += 4) {
                if (pairs)
                    four_paired(x, a.weights + (o + k) * inputs, inputs, nothing, sum + k);
                else
                    four_rows(x, a.weights + (o + k) * inputs, count - k, inputs, nothing, sum + k);
            }
            const V bias = load_some<L>(a.bias + o, count, 0);
            scales.small = small;
            scales.set(0, bias, load_some<L>(a.multiplier + o, count, 0),
                       load_some<L>(a.shift + o, count, -1));
            const V acc = L::add(L::add(L::load(sum), bias), L::all(L::kBegin));
            L::store(bounded<L>(rescaled<L>(acc, scales, 0), scales), y + o, count);
        }
        return true;
    }

  private:
    // Inputs, zeros behind them up to a whole step.
    static void plain(const int8_t* from, size_t n, E* x) {
        size_t i = 0;
        for (; i < n; ++i)
            x[i] = E(+from[i]);
        for (; i % L::kRowStep != 0; ++i)
            x[i] = 0;
    }
    // Fours of inputs, each once for each of the four outputs.
    static void repeat(const int8_t* from, size_t n, E* x) {
        size_t i = 0;
        for (; i < n; i += 4, x += 16) {
            const E four[4] = {E(+from[i]), E(+from[i + 1]), E(+from[i + 2]), E(+from[i + 3])};
            for (size_t k = 0; k < 4; ++k)
                memcpy(x + 4 * k, four, sizeof four);
        }
        for (; i % L::kPairsStep != 0; i += 4, x += 16)
            memset(x, 0, 16 * sizeof(E));
    }

    // What weights of 0 add: the products take weights with an offset.
    LOCKSTEP_TARGET static V row_of_nothing(const E* x, size_t n) {
        const int8_t zeros[L::kRowStep] = {};
        V v = L::all(0);
        for (size_t i = 0; i < n; i += L::kRowStep)
            v = L::row_step(v, x + i, zeros);
        return v;
    }
    LOCKSTEP_TARGET static V pairs_of_nothing(const E* x, size_t n) {
        int8_t zeros[4 * L::kPairsStep];
        for (size_t i = 0; i < sizeof zeros; ++i)
            zeros[i] = i % 2 == 0 ? -128 : 0;
        V v = L::all(0);
        for (size_t i = 0; i < n; i += L::kPairsStep)
            v = L::pairs_step(v, x + 4 * i, zeros);
        return v;
    }

    LOCKSTEP_TARGET static void four_rows(const E* x, const int8_t* w, size_t rows, size_t n, V nothing,
                                          int32_t* sum) {
        const int8_t* row[4];
        for (size_t r = 0; r < 4; ++r)
            row[r] = w + (r < rows ? r : 0) * n;
        V acc[4] = {nothing, nothing, nothing, nothing};
        size_t i = 0;
        for (; i + L::kRowStep <= n; i += L::kRowStep)
            LOCKSTEP_UNROLL for (size_t r = 0; r < 4; ++r) acc[r] = L::row_step(acc[r], x + i, row[r] + i);
        if (i < n)
            for (size_t r = 0; r < 4; ++r) {
                int8_t rest[L::kRowStep] = {};
                memcpy(rest, row[r] + i, n - i);
                acc[r] = L::row_step(acc[r], x + i, rest);
            }
        L::totals(acc, sum);
    }

    LOCKSTEP_TARGET static void four_paired(const E* x, const int8_t* w, size_t n, V nothing, int32_t* sum) {
        V acc = nothing;
        size_t i = 0;
        for (; i + L::kPairsStep <= n; i += L::kPairsStep)
            acc = L::pairs_step(acc, x + 4 * i, w + 4 * i);
        if (i < n) {
            int8_t rest[4 * L::kPairsStep] = {};
            memcpy(rest, w + 4 * i, 4 * (n - i));
            acc = L::pairs_step(acc, x + 4 * i, rest);
        }
        L::paired_totals(acc, sum);
    }
};

}  // namespace lockstep::model::kernels
