// max_pool and average_pool: sixteen, or four, channels at a time.
#if defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/mve.h"

namespace lockstep::model::kernels {
namespace {

// Cells [first, first + count) of [start, start + size) that lie inside [0, limit).
struct Cut {
    int32_t first, count;
};
inline Cut cut(int32_t start, int32_t size, int32_t limit) {
    const int32_t first = start < 0 ? 0 : start;
    const int32_t end = start + size < limit ? start + size : limit;
    return {first, end - first};
}

struct Block {
    const int8_t* from;
    int32_t rows, columns, row_bytes, column_bytes;
};

struct Max {
    static constexpr int32_t kChannels = 16;
    static void run(const Block& b, int8_t* out, int32_t n, const ClampParams& clamp) {
        const mve_pred16_t some = vctp8q(uint32_t(n));
        int8x16_t best = vdupq_n_s8(-128);
        const int8_t* row = b.from;
        for (int32_t y = 0; y < b.rows; ++y, row += b.row_bytes) {
            const int8_t* p = row;
            if (n == 16)
                for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes)
                    best = vmaxq_s8(best, vldrbq_s8(p));
            else
                for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes)
                    best = vmaxq_s8(best, vldrbq_z_s8(p, some));
        }
        best = vminq_s8(vmaxq_s8(best, vdupq_n_s8(int8_t(clamp.low))), vdupq_n_s8(int8_t(clamp.high)));
        vstrbq_p_s8(out, best, some);
    }
};

struct Average {
    static constexpr int32_t kChannels = 4;
    static void run(const Block& b, int8_t* out, int32_t n, const ClampParams& clamp) {
        const mve_pred16_t some = vctp32q(uint32_t(n));
        int32x4_t sum = vdupq_n_s32(0);
        const int8_t* row = b.from;
        for (int32_t y = 0; y < b.rows; ++y, row += b.row_bytes) {
            const int8_t* p = row;
            if (n == 4)
                for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes)
                    sum = vaddq_s32(sum, vldrbq_s32(p));
            else
                for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes)
                    sum = vaddq_s32(sum, vldrbq_z_s32(p, some));
        }
        int32_t v[4];
        vstrwq_s32(v, sum);
        const int32_t count = b.rows * b.columns;
        for (int32_t i = 0; i < n; ++i) {
            const int32_t mean = (v[i] > 0 ? v[i] + count / 2 : v[i] - count / 2) / count;
            out[i] = int8_t(model::clamp(mean, clamp.low, clamp.high));
        }
    }
};

template <typename Reducer>
bool pool(const OperatorContext& c) {
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    const PoolParams& p = header<PoolParams>(c);
    const WindowParams& w = p.window;
    const int32_t channels = x.dim[3];
    if (w.dilation_h != 1 || w.dilation_w != 1) return false;
    int8_t* out = i8_out(&y);
    for (int32_t oy = 0; oy < y.dim[1]; ++oy) {
        const Cut rows = cut(oy * w.stride_h - w.pad_top, w.kernel_h, x.dim[1]);
        for (int32_t ox = 0; ox < y.dim[2]; ++ox, out += channels) {
            const Cut columns = cut(ox * w.stride_w - w.pad_left, w.kernel_w, x.dim[2]);
            const int8_t* from = i8(&x) + (rows.first * x.dim[2] + columns.first) * channels;
            for (int32_t o = 0; o < channels; o += Reducer::kChannels) {
                const int32_t n = channels - o < Reducer::kChannels ? channels - o : Reducer::kChannels;
                Reducer::run({from + o, rows.count, columns.count, x.dim[2] * channels, channels}, out + o, n,
                             p.clamp);
            }
        }
    }
    return true;
}

}  // namespace

bool max_pool(const OperatorContext& c) {
    return pool<Max>(c);
}
bool average_pool(const OperatorContext& c) {
    return pool<Average>(c);
}

}  // namespace lockstep::model::kernels
#endif
