// max_pool and average_pool over lanes of channels.
#pragma once

#include "models/core/kernels/pool.h"
#include "models/core/kernels/wide.h"

namespace lockstep::model::kernels {

// Runs add(cell) over a block's cells; `room` bytes can be read behind each.
template <size_t kRoom, typename Sum>
LOCKSTEP_WIDE void add_cells(const PoolBlock& b, size_t channel, Sum* sum) {
    const int8_t* row = b.from + channel;
    for (int32_t y = 0; y < b.rows; ++y, row += b.row_bytes) {
        const int8_t* p = row;
        for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes) {
            if (size_t(b.end - p) >= kRoom) {
                sum->add(p);
                continue;
            }
            int8_t rest[kRoom] = {};
            memcpy(rest, p, size_t(b.end - p));
            sum->add(rest);
        }
    }
}

template <typename L>
struct Max {
    typename L::B best;
    LOCKSTEP_WIDE void add(const int8_t* p) { best = L::larger_bytes(best, L::load_bytes(p)); }
    LOCKSTEP_TARGET static void run(const PoolBlock& b, size_t channels, const ClampParams& clamp,
                                    int8_t* out) {
        const typename L::B low = L::all_bytes(int8_t(clamp.low)), high = L::all_bytes(int8_t(clamp.high));
        for (size_t o = 0; o < channels; o += sizeof low) {
            Max m = {low};
            add_cells<sizeof low>(b, o, &m);
            int8_t bytes[sizeof low];
            L::store_bytes(L::smaller_bytes(m.best, high), bytes);
            memcpy(out + o, bytes, channels - o < sizeof low ? channels - o : sizeof low);
        }
    }
};

template <typename L>
struct Average {
    typename L::V sum;
    LOCKSTEP_WIDE void add(const int8_t* p) { sum = L::add(sum, L::lanes_of_bytes(p)); }
    LOCKSTEP_TARGET static void run(const PoolBlock& b, size_t channels, const ClampParams& clamp,
                                    int8_t* out) {
        const int32_t n = b.rows * b.columns;
        for (size_t o = 0; o < channels; o += L::kLanes) {
            Average a = {L::all(0)};
            add_cells<L::kLanes>(b, o, &a);
            const typename L::V sign = a.sum >> 31;
            // Float32 divides sums of this size without an error that reaches an integer.
            const typename L::V mean = L::quotient(L::add(a.sum, (L::all(n / 2) ^ sign) - sign), float(n));
            L::store(L::smaller(L::larger(mean, L::all(clamp.low)), L::all(clamp.high)), out + o,
                     channels - o < L::kLanes ? channels - o : L::kLanes);
        }
    }
};

// |sum| and what is added to it stay below 2^22.
constexpr int32_t kMostPooled = 1 << 14;

template <typename L, template <typename> class Reducer>
LOCKSTEP_TARGET bool wide_pool(const OperatorContext& c) {
    const WindowParams& w = header<PoolParams>(c).window;
    if (w.dilation_h != 1 || w.dilation_w != 1 || w.kernel_h * w.kernel_w > kMostPooled) return false;
    pool<Reducer<L>>(c);
    return true;
}

}  // namespace lockstep::model::kernels
