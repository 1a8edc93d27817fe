// The mps2-an386 (Cortex-M4F) as QEMU models it.
#pragma once

#include "embedded_target/chips/mps2_cmsdk.h"

namespace lockstep::board::config {

constexpr char kName[] = "mps2-an386";
constexpr uintptr_t kMapped = 0x21000000;  // PSRAM, a file of the host when it wants to inject through it

}  // namespace lockstep::board::config
