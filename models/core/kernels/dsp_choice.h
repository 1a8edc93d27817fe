// Which of the Armv7E-M kernels takes a layer. Plain C++: a plan in source form is bound to the kernel alone
// where the answer is known when it is written (models/plan/source_plan.h).
#pragma once

#include "models/core/operator.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE) && !defined(LOCKSTEP_REFERENCE_ONLY)
#define LOCKSTEP_DSP_KERNELS 1
#endif

namespace lockstep::model::kernels::dsp {

// Null: the reference. Otherwise the name of one of the functions below.
// REQUIRES: the operator's prepare() accepts the context; no tensor's data is looked at.
const char* kernel_of(uint16_t operator_code, const OperatorContext& c);

// Whether the function takes the layer.
bool takes_temporal(const OperatorContext& c);
bool takes_conv2d(const OperatorContext& c);
bool takes_depthwise_conv2d(const OperatorContext& c);
bool takes_fully_connected(const OperatorContext& c);
bool takes_pool(const OperatorContext& c);

#if defined(LOCKSTEP_DSP_KERNELS)
// REQUIRES: takes_...(c), and the layout that the name says.
void conv2d_temporal(const OperatorContext& c);
void conv2d_pairs(const OperatorContext& c);
void conv2d_rows(const OperatorContext& c);
void depthwise_conv2d(const OperatorContext& c);
void fully_connected_pairs(const OperatorContext& c);
void fully_connected_rows(const OperatorContext& c);
void max_pool(const OperatorContext& c);
void average_pool(const OperatorContext& c);
#endif

}  // namespace lockstep::model::kernels::dsp
