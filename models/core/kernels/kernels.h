// Fast twins of the operators' plain C++ (docs/kernels.md). Each returns false, and has written nothing,
// when the shape or its parameters are not for it; the reference then runs. On a microcontroller one set is
// compiled in by the processor's features; a desktop's processor is asked when the program starts (sets.h).
//
// REQUIRES: the operator's prepare() accepts the context.
#pragma once

#include "models/core/operator.h"

namespace lockstep::model::kernels {

#if defined(LOCKSTEP_REFERENCE_ONLY)
#elif defined(__x86_64__) || defined(__aarch64__)
#define LOCKSTEP_KERNEL_SETS 1
#elif defined(__ARM_FEATURE_MVE) || defined(__ARM_FEATURE_DSP)
#define LOCKSTEP_ONE_KERNEL_SET 1
#endif

#if defined(LOCKSTEP_KERNEL_SETS)
bool quantise(const OperatorContext& c);
#else
inline bool quantise(const OperatorContext&) {
    return false;
}
#endif

#if defined(LOCKSTEP_KERNEL_SETS) || defined(LOCKSTEP_ONE_KERNEL_SET)
bool conv2d(const OperatorContext& c);
bool depthwise_conv2d(const OperatorContext& c);
bool fully_connected(const OperatorContext& c);
bool max_pool(const OperatorContext& c);
bool average_pool(const OperatorContext& c);
#else
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

// A microcontroller's reference behind a fast kernel runs seldom: small is better than fast.
#if defined(LOCKSTEP_ONE_KERNEL_SET)
#define LOCKSTEP_FALLBACK __attribute__((cold))
#else
#define LOCKSTEP_FALLBACK
#endif

}  // namespace lockstep::model::kernels
