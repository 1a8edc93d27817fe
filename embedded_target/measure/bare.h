// What programs that are counted on a bare virtual board share: semihosting, one line of words and numbers,
// the marks of marks.c, and the depth of the stack. Board only; one thread.
#pragma once

#include <stdint.h>

extern "C" {
extern uint32_t stack_bottom[];
void firmware_main();
void board_interrupt() {}
void board_nmi() {}
}

namespace lockstep::bare {

inline int semihost(int operation, const void* argument) {
    register int r0 asm("r0") = operation;
    register const void* r1 asm("r1") = argument;
    asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

class Line {
  public:
    void say(const char* word, uint32_t value) {
        while (*word != 0)
            *end_++ = *word++;
        char digits[10];
        int n = 0;
        do
            digits[n++] = char('0' + value % 10);
        while ((value /= 10) != 0);
        while (n > 0)
            *end_++ = digits[--n];
    }
    // Prints it and stops the machine.
    [[noreturn]] void finish() {
        *end_++ = '\n';
        *end_ = 0;
        semihost(4, text_);  // SYS_WRITE0
        for (;;)
            semihost(0x18, reinterpret_cast<const void*>(0x20026));  // SYS_EXIT, as a stopped application
    }

  private:
    char text_[120];
    char* end_ = text_;
};

inline void mark() {
    asm volatile("mov r8, r8" ::: "memory");
}
// Instructions between the two marks of known_loop().
constexpr uint32_t kKnownLoop = 2002;
inline void known_loop() {
    asm volatile(
        "mov r8, r8\n"
        "movw r0, #1000\n"
        "nop\n"
        "1: subs r0, #1\n"
        "bne 1b\n"
        "mov r8, r8\n" ::
            : "r0", "cc", "memory");
}

// Bytes of stack that use() takes at its deepest. Not inlined: what is below its frame is painted.
template <typename Use>
__attribute__((noinline)) uint32_t stack_of(Use use) {
    constexpr uint32_t kPaint = 0xA5A5A5A5;
    uint32_t* top;
    asm volatile("mov %0, sp" : "=r"(top));
    for (volatile uint32_t* p = stack_bottom; p < top; ++p)
        *p = kPaint;
    use();
    const uint32_t* p = stack_bottom;
    while (p < top && *p == kPaint)
        ++p;
    return uint32_t(top - p) * 4;
}

}  // namespace lockstep::bare
