// Runs one plan in source form on its golden vectors, bare on a virtual board. Marks
// (embedded_target/measure/marks.c): around a loop of known length, then around every run. Prints by
// semihosting:
//   vectors N wrong M stack B   vectors run, bytes that differ, deepest stack of one run in bytes
#include PLAN_HEADER
#include <stdint.h>
#include <string.h>

#include "embedded_target/measure/bare.h"

extern "C" {
extern const uint8_t golden_input[], golden_input_end[], golden_output[];
}

asm(".section .rodata.golden, \"a\"\n.balign 16\n"
    ".global golden_input, golden_input_end, golden_output\n"
    "golden_input: .incbin \"" GOLDEN_INPUT
    "\"\ngolden_input_end:\n"
    "golden_output: .incbin \"" GOLDEN_OUTPUT "\"\n.text\n");

void firmware_main() {
    using namespace lockstep::PLAN;
    namespace bare = lockstep::bare;
    bare::known_loop();
    uint32_t vectors = 0, wrong = 0, deepest = 0;
    const uint8_t* out = golden_output;
    for (const uint8_t* in = golden_input; in < golden_input_end; in += kInputBytes, out += kOutputBytes) {
        memcpy(input(), in, kInputBytes);
        const uint32_t used = bare::stack_of([] {
            bare::mark();
            run();
            bare::mark();
        });
        if (used > deepest) deepest = used;
        ++vectors;
        const uint8_t* y = static_cast<const uint8_t*>(output());
        for (size_t i = 0; i < kOutputBytes; ++i)
            wrong += y[i] != out[i];
    }
    bare::Line line;
    line.say("vectors ", vectors);
    line.say(" wrong ", wrong);
    line.say(" stack ", deepest);
    line.finish();
}
