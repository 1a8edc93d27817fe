// max_pool and average_pool: sixteen, or eight, channels at a time.
#if defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/mve.h"
#include "models/core/kernels/pool.h"

namespace lockstep::model::kernels {
namespace {

// use(cell) for every input cell of a block.
template <typename Use>
inline void each_cell(const PoolBlock& b, Use use) {
    const int8_t* row = b.from;
    for (int32_t y = 0; y < b.rows; ++y, row += b.row_bytes) {
        const int8_t* p = row;
        for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes)
            use(p);
    }
}

struct Max {
    static constexpr int32_t kChannels = 16;
    static void run(const PoolBlock& b, int8_t* out, int32_t n, const ClampParams& clamp) {
        const mve_pred16_t some = vctp8q(uint32_t(n));
        int8x16_t best = vdupq_n_s8(-128);
        if (n == 16)
            each_cell(b, [&](const int8_t* p) { best = vmaxq_s8(best, vldrbq_s8(p)); });
        else
            each_cell(b, [&](const int8_t* p) { best = vmaxq_s8(best, vldrbq_z_s8(p, some)); });
        best = vminq_s8(vmaxq_s8(best, vdupq_n_s8(int8_t(clamp.low))), vdupq_n_s8(int8_t(clamp.high)));
        vstrbq_p_s8(out, best, some);
    }
};

struct Average {
    static constexpr int32_t kChannels = 8;
    static void run(const PoolBlock& b, int8_t* out, int32_t n, const ClampParams& clamp) {
        const mve_pred16_t some = vctp16q(uint32_t(n));
        int16x8_t sum = vdupq_n_s16(0);
        if (n == 8)
            each_cell(b, [&](const int8_t* p) { sum = vaddq_s16(sum, vldrbq_s16(p)); });
        else
            each_cell(b, [&](const int8_t* p) { sum = vaddq_s16(sum, vldrbq_z_s16(p, some)); });
        int16_t v[8];
        vstrhq_s16(v, sum);
        const int32_t count = b.rows * b.columns;
        for (int32_t i = 0; i < n; ++i) {
            const int32_t mean = (v[i] > 0 ? v[i] + count / 2 : v[i] - count / 2) / count;
            out[i] = int8_t(model::clamp(mean, clamp.low, clamp.high));
        }
    }
};

template <typename Reducer>
struct Channels {
    static void run(PoolBlock b, size_t channels, const ClampParams& clamp, int8_t* out) {
        const int32_t all = int32_t(channels);
        for (int32_t o = 0; o < all; o += Reducer::kChannels, b.from += Reducer::kChannels)
            Reducer::run(b, out + o, all - o < Reducer::kChannels ? all - o : Reducer::kChannels, clamp);
    }
};

template <typename Reducer>
bool run(const OperatorContext& c) {
    const WindowParams& w = header<PoolParams>(c).window;
    if (w.dilation_h != 1 || w.dilation_w != 1) return false;
    pool<Channels<Reducer>>(c);
    return true;
}

}  // namespace

bool max_pool(const OperatorContext& c) {
    return run<Max>(c);
}
bool average_pool(const OperatorContext& c) {
    constexpr int32_t kMostPooled = 255;  // their sum fits 16 bits
    const WindowParams& w = header<PoolParams>(c).window;
    if (w.kernel_h * w.kernel_w > kMostPooled) return false;
    return run<Average>(c);
}

}  // namespace lockstep::model::kernels
#endif
