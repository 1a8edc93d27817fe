// Hides AVX512 and the VNNI instructions from libraries that are loaded later, so that ONNX Runtime runs as
// it would on a processor with AVX2 alone: Linux lets CPUID fault, and a signal handler answers for it.
// Answers asked before stay as they were; the C library's copies are chosen already.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>

namespace avx2_only {

inline bool cpuid_faults(bool on) {
    constexpr long kSetCpuid = 0x1012;  // ARCH_SET_CPUID; 0: it faults
    return syscall(SYS_arch_prctl, kSetCpuid, on ? 0L : 1L) == 0;
}

inline void answer(int number, siginfo_t*, void* context) {
    greg_t* r = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto* code = reinterpret_cast<const unsigned char*>(r[REG_RIP]);
    if (code[0] != 0x0f || code[1] != 0xa2) {  // an error like any other: it comes again
        signal(number, SIG_DFL);
        return;
    }
    const auto leaf = unsigned(r[REG_RAX]), part = unsigned(r[REG_RCX]);
    unsigned a = 0, b = 0, c = 0, d = 0;
    cpuid_faults(false);
    __cpuid_count(leaf, part, a, b, c, d);
    cpuid_faults(true);
    if (leaf == 7 && part == 0) {
        b &= ~(3u << 16 | 1u << 21 | 7u << 26 | 3u << 30);           // AVX512
        c &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);  // VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ
        d &= ~(0xfu << 2 | 1u << 8 | 0xfu << 22);  // 4VNNIW, 4FMAPS, VP2INTERSECT, AMX, FP16
    }
    if (leaf == 7 && part == 1) a &= ~(3u << 4);  // AVX-VNNI, AVX512-BF16
    r[REG_RAX] = a;
    r[REG_RBX] = b;
    r[REG_RCX] = c;
    r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

// False where the processor or the kernel cannot do it. Process-wide; single-threaded.
inline bool begin() {
    struct sigaction action = {};
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGSEGV, &action, nullptr) == 0 && cpuid_faults(true);
}

}  // namespace avx2_only
#else
namespace avx2_only {
inline bool begin() {
    return false;
}
}  // namespace avx2_only
#endif
