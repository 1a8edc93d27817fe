// The processor's own registers that the drivers need (Armv7-M and Armv8-M reference manuals, B3).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lockstep::chip {

inline volatile uint32_t& reg(uintptr_t address) {
    return *reinterpret_cast<volatile uint32_t*>(address);
}

inline void enable_irq(unsigned n) {
    reg(0xE000E100 + 4 * (n / 32)) = 1u << (n % 32);
}
// 1 kHz wake-ups; nothing is counted from them.
void start_systick(uint32_t cpu_hz);

// Interrupts off while in scope.
class Critical {
  public:
    Critical() { asm volatile("mrs %0, primask\n cpsid i" : "=r"(primask_)::"memory"); }
    ~Critical() { asm volatile("msr primask, %0" ::"r"(primask_) : "memory"); }
    Critical(const Critical&) = delete;
    Critical& operator=(const Critical&) = delete;

  private:
    uint32_t primask_ = 0;
};

size_t stack_size();
size_t stack_high_water();
const uint8_t* build_id();

}  // namespace lockstep::chip

// Implemented by the board's chip file: any external interrupt, and the watchdog's early warning.
extern "C" void board_interrupt();
extern "C" void board_nmi();
