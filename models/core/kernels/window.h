// The input cells under a convolution's window.
#pragma once

#include <string.h>

#include "models/core/ops/check.h"

namespace lockstep::model::kernels {

// Tap by tap, for taps that are apart.
inline const int8_t* gathered(const Tensor& x, const WindowParams& w, int32_t y0, int32_t x0, int8_t* copy) {
    const int32_t ic = x.dim[3];
    int8_t* to = copy;
    for (int32_t ky = 0; ky < w.kernel_h; ++ky)
        for (int32_t kx = 0; kx < w.kernel_w; ++kx, to += ic) {
            const int32_t iy = y0 + ky * w.dilation_h, ix = x0 + kx * w.dilation_w;
            if (iy >= 0 && iy < x.dim[1] && ix >= 0 && ix < x.dim[2])
                memcpy(to, i8(&x) + (iy * x.dim[2] + ix) * ic, size_t(ic));
            else
                memset(to, x.zero_point, size_t(ic));
        }
    return copy;
}

// The window of the output cell (oy, ox) as one run of bytes: in place where it is one, else in `copy`.
inline const int8_t* window(const Tensor& x, const WindowParams& w, int32_t oy, int32_t ox, int8_t* copy) {
    const int32_t height = x.dim[1], width = x.dim[2], ic = x.dim[3];
    const int32_t y0 = oy * w.stride_h - w.pad_top, x0 = ox * w.stride_w - w.pad_left;
    if (w.dilation_w != 1) return gathered(x, w, y0, x0, copy);
    // Taps [first, last) of a row lie inside.
    const int32_t first = x0 < 0 ? (-x0 < w.kernel_w ? -x0 : w.kernel_w) : 0;
    const int32_t room = width - x0 < w.kernel_w ? width - x0 : w.kernel_w;
    const int32_t last = room < first ? first : room;
    const size_t row = size_t(w.kernel_w * ic), left = size_t(first * ic),
                 middle = size_t((last - first) * ic);
    if (w.kernel_h == 1 && middle == row && y0 >= 0 && y0 < height) return i8(&x) + (y0 * width + x0) * ic;
    int8_t* to = copy;
    for (int32_t ky = 0; ky < w.kernel_h; ++ky, to += row) {
        const int32_t iy = y0 + ky * w.dilation_h;
        if (iy < 0 || iy >= height || middle == 0) {
            memset(to, x.zero_point, row);
            continue;
        }
        if (middle != row) memset(to, x.zero_point, row);
        const int8_t* from = i8(&x) + (iy * width + x0 + first) * ic;
        if (middle == 4)
            memcpy(to + left, from, 4);  // a load and a store, and frequent
        else
            memcpy(to + left, from, middle);
    }
    return copy;
}

}  // namespace lockstep::model::kernels
