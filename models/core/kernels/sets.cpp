#include "models/core/kernels/sets.h"

#if defined(LOCKSTEP_KERNEL_SETS)

namespace lockstep::model::kernels {

#if defined(__x86_64__)
extern const Set kAvx512Vnni, kAvxVnni, kAvx2;
namespace {
constexpr const Set* kSets[] = {&kAvx512Vnni, &kAvxVnni, &kAvx2};
}
#elif defined(__aarch64__)
extern const Set kNeonDot, kNeon;
namespace {
constexpr const Set* kSets[] = {&kNeonDot, &kNeon};
}
#endif

namespace {

const Set* best() {
    for (const Set* set : kSets)
        if (set->supported()) return set;
    return nullptr;
}

}  // namespace

Sets all_sets() {
    return Sets(kSets);
}

const Set* chosen_set = best();

bool conv2d(const OperatorContext& c) {
    return chosen_set != nullptr && chosen_set->conv2d(c);
}
bool depthwise_conv2d(const OperatorContext& c) {
    return chosen_set != nullptr && chosen_set->depthwise_conv2d(c);
}
bool fully_connected(const OperatorContext& c) {
    return chosen_set != nullptr && chosen_set->fully_connected(c);
}
bool max_pool(const OperatorContext& c) {
    return chosen_set != nullptr && chosen_set->max_pool(c);
}
bool average_pool(const OperatorContext& c) {
    return chosen_set != nullptr && chosen_set->average_pool(c);
}
bool quantise(const OperatorContext& c) {
    return chosen_set != nullptr && chosen_set->quantise(c);
}

}  // namespace lockstep::model::kernels

#endif
