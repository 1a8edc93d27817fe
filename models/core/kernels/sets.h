// Sets of kernels among which a desktop's processor chooses when the program starts.
#pragma once

#include "models/core/kernels/kernels.h"

#if defined(LOCKSTEP_KERNEL_SETS)

namespace lockstep::model::kernels {

struct Set {
    const char* name;
    bool (*supported)();  // by this processor and its operating system
    bool (*conv2d)(const OperatorContext& c);
    bool (*depthwise_conv2d)(const OperatorContext& c);
    bool (*fully_connected)(const OperatorContext& c);
    bool (*max_pool)(const OperatorContext& c);
    bool (*average_pool)(const OperatorContext& c);
    bool (*quantise)(const OperatorContext& c);
};

// Every set of this build, the best first.
using Sets = Span<const Set* const>;
Sets all_sets();

// The best supported set; null, and the reference runs, before it is chosen or if there is none. For
// tests: may be changed while nothing runs.
extern const Set* chosen_set;

}  // namespace lockstep::model::kernels

#endif
