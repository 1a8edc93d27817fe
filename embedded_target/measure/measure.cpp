// Runs one plan bare on a virtual board, so that its instructions and its stack can be counted (marks.c,
// `lockstep model report`). The plan's path is the last argument of QEMU's semihosting. Marks: before and
// after a loop of 2002 instructions, which shows that the counter is exact; before the inference; after each
// operator. Prints
//   measure: stack B operators N      or      measure: refused N (a Code)
#include <stdint.h>
#include <string.h>

#include "embedded_target/chips/cortex_m.h"
#include "models/core/engine.h"

extern "C" {
extern uint32_t stack_bottom[];
void firmware_main();
void board_interrupt() {}
void board_nmi() {}
}

namespace {

using namespace lockstep;

__attribute__((section(".noinit"), aligned(16))) uint8_t plan_memory[1 << 20];
__attribute__((section(".noinit"), aligned(16))) uint8_t engine_memory[2 << 20];
constexpr uint32_t kPaint = 0xA5A5A5A5;

int semihost(int operation, const void* argument) {
    register int r0 asm("r0") = operation;
    register const void* r1 asm("r1") = argument;
    asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

char line[80];
char* line_end = line;

void say(const char* word, uint32_t value) {
    while (*word != 0)
        *line_end++ = *word++;
    char digits[10];
    int n = 0;
    do
        digits[n++] = char('0' + value % 10);
    while ((value /= 10) != 0);
    while (n > 0)
        *line_end++ = digits[--n];
}

[[noreturn]] void end() {
    *line_end++ = '\n';
    semihost(4, line);  // SYS_WRITE0
    for (;;)
        semihost(0x18, reinterpret_cast<void*>(0x20026));  // SYS_EXIT, as a stopped application
}

// The file that the last word of the command line names; its length.
size_t read_plan() {
    static char command[512];
    const uintptr_t where[] = {uintptr_t(command), sizeof command};
    if (semihost(0x15, where) != 0) return 0;  // SYS_GET_CMDLINE
    const char* space = strrchr(command, ' ');
    const char* path = space == nullptr ? command : space + 1;
    const uintptr_t open[] = {uintptr_t(path), 1, strlen(path)};  // "rb"
    const int file = semihost(0x01, open);
    if (file < 0) return 0;
    const uintptr_t handle[] = {uintptr_t(file)};
    const int size = semihost(0x0C, handle);  // SYS_FLEN
    if (size <= 0 || size_t(size) > sizeof plan_memory) return 0;
    const uintptr_t read[] = {uintptr_t(file), uintptr_t(plan_memory), uintptr_t(size)};
    return semihost(0x06, read) == 0 ? size_t(size) : 0;  // SYS_READ
}

inline void mark() {
    asm volatile("mov r8, r8" ::: "memory");
}

void on_operator(void*, size_t, const model::Tensor&) {
    mark();
}
void nothing(void*, size_t, const model::Tensor&) {}

}  // namespace

void firmware_main() {
    asm volatile(
        "mov r8, r8\n"
        "movw r0, #1000\n"
        "nop\n"
        "1: subs r0, #1\n"
        "bne 1b\n"
        "mov r8, r8\n" ::
            : "r0", "cc", "memory");
    const size_t size = read_plan();
    model::Plan plan;
    Code code = model::Plan::open(Bytes(plan_memory, size), &plan);
    model::Engine engine;
    if (code == Code::ok) code = engine.bind(plan, model::all_operators(), MutableBytes(engine_memory));
    if (code != Code::ok) {
        say("measure: refused ", uint32_t(code));
        end();
    }
    uint32_t random = 1;
    for (size_t i = 0; i < plan.inputs(); ++i) {
        float* values = static_cast<float*>(engine.input(i).data);
        for (size_t k = 0; k < engine.input(i).elements(); ++k) {
            random = random * 1664525 + 1013904223;
            values[k] = float(int32_t(random)) / 1073741824.0F;
        }
    }
    uint32_t* top;
    asm volatile("mov %0, sp" : "=r"(top));
    for (volatile uint32_t* p = stack_bottom; p < top; ++p)
        *p = kPaint;
    engine.run(nothing, nullptr);
    const uint32_t* p = stack_bottom;
    while (p < top && *p == kPaint)
        ++p;
    mark();
    engine.run(on_operator, nullptr);
    say("measure: stack ", uint32_t(top - p) * 4);
    say(" operators ", uint32_t(engine.operators()));
    end();
}
