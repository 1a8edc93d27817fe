// Fast twins of the operators' plain C++ (docs/kernels.md). Each returns false, and has written nothing,
// when the shape or its parameters are not for it; the reference then runs. One set is compiled in by the
// processor's features; on x86-64 the set is chosen when the program runs.
//
// REQUIRES: the operator's prepare() accepts the context.
#pragma once

#include "models/core/operator.h"

namespace lockstep::model::kernels {

#if !defined(LOCKSTEP_REFERENCE_ONLY) && (defined(__ARM_FEATURE_MVE) || defined(__ARM_FEATURE_DSP))
#define LOCKSTEP_FAST_KERNELS 1
bool conv2d(const OperatorContext& c);
bool depthwise_conv2d(const OperatorContext& c);
bool fully_connected(const OperatorContext& c);
bool max_pool(const OperatorContext& c);
bool average_pool(const OperatorContext& c);
// A reference behind a fast kernel runs seldom: small is better than fast.
#define LOCKSTEP_FALLBACK __attribute__((cold))
#else
#define LOCKSTEP_FALLBACK
inline bool conv2d(const OperatorContext&) {
    return false;
}
inline bool depthwise_conv2d(const OperatorContext&) {
    return false;
}
inline bool fully_connected(const OperatorContext&) {
    return false;
}
inline bool max_pool(const OperatorContext&) {
    return false;
}
inline bool average_pool(const OperatorContext&) {
    return false;
}
#endif

}  // namespace lockstep::model::kernels
