// What the MPS2 images with the Cortex-M system design kit (AN385, AN386, AN500) share; bytes, Hz.
// Source: Arm DAI 0385, 0386 and 0500, the memory maps, as QEMU models them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lockstep::board::config {

constexpr uintptr_t kUart0 = 0x40004000;
constexpr uintptr_t kUart1 = 0x40005000;
constexpr unsigned kUart0Irq = 0;  // receive and transmit: this and the next
constexpr unsigned kUart1Irq = 2;
constexpr uintptr_t kFpgaIo = 0x40028000;
constexpr uint32_t kCounterHz = 25000000;  // clock of the FPGA's counter before its prescaler
constexpr uint32_t kCpuHz = 25000000;
constexpr uintptr_t kWatchdog = 0x40008000;
constexpr uint32_t kWatchdogHz = 25000000;

}  // namespace lockstep::board::config
