// All the loops of a type of vectors (wide.h) as a set.
#pragma once

#include "models/core/kernels/wide_conv2d.h"
#include "models/core/kernels/wide_depthwise_bytes.h"
#include "models/core/kernels/wide_depthwise_conv2d.h"
#include "models/core/kernels/wide_fully_connected.h"
#include "models/core/kernels/wide_pool.h"
#include "models/core/kernels/wide_quantise.h"

namespace lockstep::model::kernels {

template <typename L>
bool depthwise(const OperatorContext& c) {
    if constexpr (L::kTaps == 4)
        if (DepthwiseBytes<L>::run(c)) return true;
    return Depthwise<L>::run(c);
}

template <typename L>
constexpr Set kernel_set(const char* name, bool (*supported)()) {
    return {name,
            supported,
            Conv2d<L>::run,
            depthwise<L>,
            FullyConnected<L>::run,
            wide_pool<L, Max>,
            wide_pool<L, Average>,
            wide_quantise<L>};
}

}  // namespace lockstep::model::kernels
