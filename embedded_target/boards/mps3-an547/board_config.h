// Addresses of the mps3-an547 (Cortex-M55) as QEMU models it, secure aliases; bytes, Hz.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lockstep::board::config {

constexpr char kName[] = "mps3-an547";
constexpr uintptr_t kUart0 = 0x59303000;
constexpr uintptr_t kUart1 = 0x59304000;
constexpr unsigned kUart0Irq = 33;  // receive and transmit: this and the next
constexpr unsigned kUart1Irq = 35;
constexpr uintptr_t kFpgaIo = 0x59302000;
constexpr uint32_t kCounterHz = 20000000;  // clock of the FPGA's counter before its prescaler
constexpr uint32_t kCpuHz = 32000000;
constexpr uintptr_t kWatchdog = 0x5802E000;  // SSE-300's watchdog on the slow clock
constexpr uint32_t kWatchdogHz = 32768;
constexpr uintptr_t kMapped = 0;  // its DDR is 2 GiB: not worth a file

}  // namespace lockstep::board::config
