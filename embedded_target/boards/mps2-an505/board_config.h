// Addresses of the mps2-an505 (Cortex-M33) as QEMU models it, secure aliases; bytes, Hz.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lockstep::board::config {

constexpr char kName[] = "mps2-an505";
constexpr uintptr_t kUart0 = 0x50200000;
constexpr uintptr_t kUart1 = 0x50201000;
constexpr unsigned kUart0Irq = 32;  // receive and transmit: this and the next
constexpr unsigned kUart1Irq = 34;
constexpr uintptr_t kFpgaIo = 0x50302000;
constexpr uint32_t kCounterHz = 20000000;  // clock of the FPGA's counter before its prescaler
constexpr uint32_t kCpuHz = 20000000;
constexpr uintptr_t kWatchdog = 0x50081000;  // SSE-200's secure watchdog
constexpr uint32_t kWatchdogHz = 20000000;
constexpr uintptr_t kMapped = 0x80000000;  // PSRAM

}  // namespace lockstep::board::config
