// quantise: float32 to int8, lane by lane what the reference does.
#pragma once

#include "models/core/kernels/wide.h"

namespace lockstep::model::kernels {

template <typename L>
LOCKSTEP_WIDE typename L::V quantised(typename L::F x, float scale, int32_t zero_point) {
    using F = typename L::F;
    using V = typename L::V;
    const F v = x / (F{} + scale);
    const V number = V(v == v);
    const F bounded_v = L::larger_real(L::smaller_real(v, F{} + 512.0f), F{} - 512.0f);
    const V whole = L::truncated(bounded_v);
    const F rest = bounded_v - L::real(whole);
    const V up = V(rest >= 0.5f), down = V(rest <= -0.5f);  // all ones are -1
    const V q = ((whole - up + down) & number) + L::all(zero_point);
    return L::smaller(L::larger(q, L::all(-128)), L::all(127));
}

template <typename L>
LOCKSTEP_TARGET bool wide_quantise(const OperatorContext& c) {
    const auto* in = static_cast<const float*>(c.input[0]->data);
    int8_t* out = i8_out(c.output);
    const size_t n = c.output->elements();
    const float scale = c.output->scale;
    const int32_t zero_point = c.output->zero_point;
    for (size_t i = 0; i < n; i += L::kLanes) {
        const size_t count = n - i < L::kLanes ? n - i : L::kLanes;
        typename L::F x = {};
        if (count == L::kLanes)
            memcpy(&x, in + i, sizeof x);
        else
            memcpy(&x, in + i, 4 * count);
        L::store(quantised<L>(x, scale, zero_point), out + i, count);
    }
    return true;
}

}  // namespace lockstep::model::kernels
