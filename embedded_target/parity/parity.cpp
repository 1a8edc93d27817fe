// The same plans on the same inputs, on any machine: a hash of every tensor, one line each. Runs hosted
// (main with the file of plans and, if wanted, a kernel set's name) or bare (LOCKSTEP_BARE: plans loaded at
// LOCKSTEP_PLANS, semihosting).
//
//   plans file: what run_all() reads
//   output:     PLAN/ WINDOW. STAGE NAME HASH ...; kernels cases N fast N wrong N first N HASH
#include "embedded_target/parity/kernel_cases.h"
#include "models/core/engine.h"
#include "models/core/kernels/sets.h"

#ifdef LOCKSTEP_BARE
extern "C" void firmware_main();
extern "C" void board_interrupt() {}
extern "C" void board_nmi() {}

static void put(const char* text) {
#if defined(__arm__)
    register int r0 asm("r0") = 4;  // SYS_WRITE0
    register const char* r1 asm("r1") = text;
    asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
#else
    register int a0 asm("a0") = 4;
    register const char* a1 asm("a1") = text;
    asm volatile(
        ".option push\n.option norvc\n.balign 16\n"
        "slli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
        : "+r"(a0)
        : "r"(a1)
        : "memory");
#endif
}
#else
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>
static void put(const char* text) {
    fputs(text, stdout);
}
#endif

namespace {

using namespace lockstep;
using namespace lockstep::model;

alignas(16) uint8_t memory[1 << 20];
parity::Cases cases;

void put_hex(uint32_t v) {
    char text[10] = " 00000000";
    for (int i = 8; i > 0; --i, v >>= 4)
        text[i] = "0123456789abcdef"[v & 15];
    put(text);
}
void put_number(uint32_t v) {
    char text[12] = {};
    char* p = text + 11;
    do
        *--p = char('0' + v % 10);
    while ((v /= 10) != 0);
    put(" ");
    put(p);
}

struct Printer {
    const Plan* plan;
    size_t first;  // stage of operator 0
    uint32_t window;
};

void print_stage(void* user, size_t index, const Tensor& output) {
    const auto* printer = static_cast<const Printer*>(user);
    put(printer->plan->name());
    put("/");
    put_number(printer->window);
    put(".");
    put_number(uint32_t(index));
    put(" ");
    put(printer->plan->stage(printer->first + index).name);
    put_hex(tensor_hash(output));
    put("\n");
}

// Not every number is one, and nothing may depend on the machine then, either.
void fill_random(parity::Random* random, const Tensor& x) {
    float* values = static_cast<float*>(x.data);
    for (size_t k = 0; k < x.elements(); ++k)
        values[k] = float(random->in(-4000, 4000)) / 1024.0f;
    const uint32_t odd[3] = {0x7fc00000, 0x7f800000, 0xff800000};
    for (size_t k = 0; k < 3 && k < x.elements(); ++k)
        memcpy(&values[k], &odd[k], 4);
}

// `inputs` are the plan's, one after another, as often as they are there; random ones when it is empty.
void run_plan(Bytes blob, Bytes inputs) {
    Plan plan;
    if (Plan::open(blob, &plan) != Code::ok) return put("a plan does not open\n");
    Engine engine;
    if (engine.bind(plan, all_operators(), MutableBytes(memory)) != Code::ok)
        return put("a plan does not bind\n");
    Printer printer = {&plan, plan.stages() - engine.operators(), 0};
    parity::Random random;
    uint32_t windows = inputs.size() == 0 ? plan.memory() + 1 : 0;  // random ones
    do {
        for (size_t i = 0; i < plan.inputs(); ++i) {
            const Tensor& x = engine.input(i);
            if (x.bytes() > inputs.size() && inputs.size() != 0) return put("an input is too short\n");
            if (inputs.size() == 0) {
                fill_random(&random, x);
                continue;
            }
            memcpy(x.data, inputs.data(), x.bytes());
            inputs = Bytes(inputs.data() + x.bytes(), inputs.size() - x.bytes());
        }
        engine.run(print_stage, &printer);
        ++printer.window;
    } while (inputs.size() != 0 || printer.window < windows);
}

// Their number; of each its bytes, those of its inputs, then both, everything in whole blocks of 16.
void run_all(const uint8_t* plans) {
    uint32_t count;
    memcpy(&count, plans, 4);
    const uint8_t* at = plans + 16;
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t bytes[2];
        memcpy(bytes, at, 8);
        const uint8_t* inputs = at + 16 + (bytes[0] + 15) / 16 * 16;
        run_plan(Bytes(at + 16, bytes[0]), Bytes(inputs, bytes[1]));
        at = inputs + (bytes[1] + 15) / 16 * 16;
    }
    const parity::Result r = cases.run(KERNEL_CASES);
    put("kernels cases");
    put_number(r.cases);
    put(" fast");
    put_number(r.fast);
    put(" wrong");
    put_number(r.wrong);
    put(" first");
    put_number(r.first_wrong);
    put_hex(r.crc);
    put("\ndone\n");
}

}  // namespace

#ifdef LOCKSTEP_BARE
void firmware_main() {
    run_all(reinterpret_cast<const uint8_t*>(LOCKSTEP_PLANS));
#if defined(__arm__)
    register int r0 asm("r0") = 0x18;  // SYS_EXIT
    register int r1 asm("r1") = 0x20026;
    asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
#else
    *reinterpret_cast<volatile uint32_t*>(0x100000) = 0x5555;  // QEMU virt: power off
#endif
    for (;;) {
    }
}
#else
// Status 3: this processor does not have the named set.
int main(int argc, char** argv) {
    if (argc < 2) return 2;
#if defined(LOCKSTEP_KERNEL_SETS)
    if (argc > 2) {
        const kernels::Set* wanted = nullptr;
        for (const kernels::Set* set : kernels::all_sets())
            if (strcmp(set->name, argv[2]) == 0 && set->supported()) wanted = set;
        if (wanted == nullptr) return 3;
        kernels::chosen_set = wanted;
    }
#endif
    std::ifstream in(argv[1], std::ios::binary);
    const std::vector<char> file{std::istreambuf_iterator<char>(in), {}};
    if (file.size() < 16) return 2;
    std::vector<uint8_t> room(file.size() + 16);
    uint8_t* aligned = room.data() + (-reinterpret_cast<uintptr_t>(room.data()) & 15);
    memcpy(aligned, file.data(), file.size());
    run_all(aligned);
    return 0;
}
#endif
