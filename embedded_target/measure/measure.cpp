// Runs one plan bare on a virtual board, so that its instructions and its stack can be counted (marks.c,
// `lockstep model report`). The plan's path is the last argument of QEMU's semihosting. Marks: before and
// after a loop of 2002 instructions, which shows that the counter is exact; before the inference; after each
// operator. Prints
//   measure: stack B operators N      or      measure: refused N (a Code)
#include <stdint.h>
#include <string.h>

#include "embedded_target/measure/bare.h"
#include "models/core/engine.h"

namespace {

using namespace lockstep;
using bare::semihost;

__attribute__((section(".noinit"), aligned(16))) uint8_t plan_memory[1 << 20];
__attribute__((section(".noinit"), aligned(16))) uint8_t engine_memory[2 << 20];

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

void on_operator(void*, size_t, const model::Tensor&) {
    bare::mark();
}
void nothing(void*, size_t, const model::Tensor&) {}

}  // namespace

void firmware_main() {
    bare::known_loop();
    bare::Line line;
    const size_t size = read_plan();
    model::Plan plan;
    Code code = model::Plan::open(Bytes(plan_memory, size), &plan);
    model::Engine engine;
    if (code == Code::ok) code = engine.bind(plan, model::all_operators(), MutableBytes(engine_memory));
    if (code != Code::ok) {
        line.say("measure: refused ", uint32_t(code));
        line.finish();
    }
    uint32_t random = 1;
    for (size_t i = 0; i < plan.inputs(); ++i) {
        float* values = static_cast<float*>(engine.input(i).data);
        for (size_t k = 0; k < engine.input(i).elements(); ++k) {
            random = random * 1664525 + 1013904223;
            values[k] = float(int32_t(random)) / 1073741824.0F;
        }
    }
    const uint32_t stack = bare::stack_of([&] { engine.run(nothing, nullptr); });
    bare::mark();
    engine.run(on_operator, nullptr);
    line.say("measure: stack ", stack);
    line.say(" operators ", uint32_t(engine.operators()));
    line.finish();
}
