// Start-up of a Cortex-M: vectors, memory, stack painting, FPU.
#include "embedded_target/chips/cortex_m.h"

#include <string.h>

extern "C" {
extern char data_begin[], data_end[], data_image[], bss_begin[], bss_end[];
extern uint32_t stack_bottom[], stack_top[];
extern const uint8_t build_id_note[];
using Constructor = void (*)();
extern const Constructor init_array_begin[], init_array_end[];
void firmware_main();
[[noreturn]] void reset_handler();
void fault_handler();
void systick_handler();
void __cxa_pure_virtual();
}

namespace {

using Handler = void (*)();
constexpr size_t kVectors = 16 + 128;
constexpr uint32_t kPaint = 0xC5C5C5C5;

struct Vectors {
    uint32_t* stack;
    Handler handler[kVectors - 1];
};

constexpr Vectors make_vectors() {
    Vectors v{stack_top, {}};
    for (Handler& h : v.handler)
        h = board_interrupt;
    for (size_t i = 2; i < 14; ++i)
        v.handler[i] = fault_handler;
    v.handler[0] = reset_handler;
    v.handler[1] = board_nmi;
    v.handler[14] = systick_handler;
    return v;
}

}  // namespace

extern "C" {

extern const Vectors vectors;
alignas(1024) __attribute__((section(".vectors"), used)) const Vectors vectors = make_vectors();

// Runs before memory is set up: no statics, nothing inlined that needs the stack below.
__attribute__((naked)) void reset_handler() {
    asm volatile(
        "cpsid i\n"
        "ldr r0, =stack_bottom\n"
        "ldr r1, =stack_top\n"
        "ldr r2, =0xC5C5C5C5\n"
        "1: cmp r0, r1\n"
        "it lo\n"
        "strlo r2, [r0], #4\n"
        "blo 1b\n"
        "mov sp, r1\n"
        "bl start\n");
}

__attribute__((used, noreturn)) void start() {
    using lockstep::chip::reg;
    reg(0xE000ED08) = reinterpret_cast<uint32_t>(&vectors);  // VTOR
    reg(0xE000ED88) = reg(0xE000ED88) | 0xFu << 20;          // CPACR: FPU on; without one a write is ignored
    asm volatile("dsb\n isb" ::: "memory");
    memcpy(data_begin, data_image, size_t(data_end - data_begin));
    memset(bss_begin, 0, size_t(bss_end - bss_begin));
    for (const Constructor* c = init_array_begin; c != init_array_end; ++c)
        (*c)();
    asm volatile("cpsie i" ::: "memory");
    firmware_main();
    for (;;) {
    }
}

// The watchdog resets a board that ends here.
void fault_handler() {
    for (;;) {
    }
}

void systick_handler() {}

void __cxa_pure_virtual() {
    fault_handler();
}

}  // extern "C"

namespace lockstep::chip {

void start_systick(uint32_t cpu_hz) {
    reg(0xE000E014) = cpu_hz / 1000 - 1;
    reg(0xE000E018) = 0;
    reg(0xE000E010) = 7;  // processor clock, interrupt, on
}

size_t stack_size() {
    return size_t(stack_top - stack_bottom) * sizeof(uint32_t);
}

size_t stack_high_water() {
    const uint32_t* p = stack_bottom;
    while (p != stack_top && *p == kPaint)
        ++p;
    return size_t(stack_top - p) * sizeof(uint32_t);
}

// ELF note: three words of header and the name "GNU\0" before the 20 bytes of SHA-1.
const uint8_t* build_id() {
    return build_id_note + 16;
}

}  // namespace lockstep::chip
