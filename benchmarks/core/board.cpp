// Runs one plan in source form on its golden vectors, bare on a virtual board: the instruction counter
// (instruction_count.c) counts between count_begin and count_end. Prints by semihosting:
//   vectors N wrong M stack B   vectors run, bytes that differ, deepest stack of one run in bytes
#include PLAN_HEADER
#include <stdint.h>
#include <string.h>

#include "embedded_target/chips/cortex_m.h"

extern "C" {
extern uint32_t stack_bottom[];
extern const uint8_t golden_input[], golden_input_end[], golden_output[];
void firmware_main();
}

asm(".section .rodata.golden, \"a\"\n.balign 16\n"
    ".global golden_input, golden_input_end, golden_output\n"
    "golden_input: .incbin \"" GOLDEN_INPUT
    "\"\ngolden_input_end:\n"
    "golden_output: .incbin \"" GOLDEN_OUTPUT "\"\n.text\n");

namespace {

constexpr uint32_t kPaint = 0xA5A5A5A5;

int semihost(int operation, const void* argument) {
    register int r0 asm("r0") = operation;
    register const void* r1 asm("r1") = argument;
    asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

char line[120];
char* end = line;

void say(const char* word, uint32_t value) {
    while (*word != 0)
        *end++ = *word++;
    char digits[10];
    int n = 0;
    do
        digits[n++] = char('0' + value % 10);
    while ((value /= 10) != 0);
    while (n > 0)
        *end++ = digits[--n];
}

}  // namespace

extern "C" {
__attribute__((noinline, used)) void count_begin() {
    asm volatile("" ::: "memory");
}
__attribute__((noinline, used)) void count_end() {
    asm volatile("" ::: "memory");
}
void board_interrupt() {}
void board_nmi() {}
}

__attribute__((noinline)) static void run_counted() {
    count_begin();
    lockstep::PLAN::run();
    count_end();
}

void firmware_main() {
    using namespace lockstep::PLAN;
    asm volatile(
        "bl count_begin\n"
        "movw r0, #1000\n"
        "1: subs r0, #1\n"
        "bne 1b\n"
        "bl count_end\n" ::
            : "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");
    uint32_t vectors = 0, wrong = 0, deepest = 0;
    const uint8_t* out = golden_output;
    for (const uint8_t* in = golden_input; in < golden_input_end; in += kInputBytes, out += kOutputBytes) {
        memcpy(input(), in, kInputBytes);
        uint32_t* top;
        asm volatile("mov %0, sp" : "=r"(top));
        for (volatile uint32_t* p = stack_bottom; p < top; ++p)
            *p = kPaint;
        run_counted();
        const uint32_t* p = stack_bottom;
        while (p < top && *p == kPaint)
            ++p;
        const uint32_t used = uint32_t(top - p) * 4;
        if (used > deepest) deepest = used;
        ++vectors;
        const uint8_t* y = static_cast<const uint8_t*>(output());
        for (size_t i = 0; i < kOutputBytes; ++i)
            wrong += y[i] != out[i];
    }
    say("vectors ", vectors);
    say(" wrong ", wrong);
    say(" stack ", deepest);
    *end++ = '\n';
    semihost(4, line);                                 // SYS_WRITE0
    semihost(0x18, reinterpret_cast<void*>(0x20026));  // SYS_EXIT, as a stopped application
}
