// Addresses of the mps2-an386 (Cortex-M4F) as QEMU models it; bytes, Hz.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lockstep::board::config {

constexpr char kName[] = "mps2-an386";
constexpr uintptr_t kUart0 = 0x40004000;
constexpr uintptr_t kUart1 = 0x40005000;
constexpr unsigned kUart0Irq = 0;  // receive and transmit: this and the next
constexpr unsigned kUart1Irq = 2;
constexpr uintptr_t kFpgaIo = 0x40028000;
constexpr uint32_t kCounterHz = 25000000;  // clock of the FPGA's counter before its prescaler
constexpr uint32_t kCpuHz = 25000000;
constexpr uintptr_t kWatchdog = 0x40008000;
constexpr uint32_t kWatchdogHz = 25000000;
constexpr uintptr_t kMapped = 0x21000000;  // PSRAM, a file of the host when it wants to inject through it

}  // namespace lockstep::board::config
