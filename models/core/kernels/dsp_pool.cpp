#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include "models/core/kernels/dsp.h"

namespace lockstep::model::kernels {

bool max_pool(const OperatorContext&) {
    return false;
}
bool average_pool(const OperatorContext&) {
    return false;
}

}  // namespace lockstep::model::kernels
#endif
