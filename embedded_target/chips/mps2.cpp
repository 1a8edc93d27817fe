// Arm's MPS2 and MPS3 FPGA boards: two UARTs, the FPGA's counter as the clock, the CMSDK watchdog.
#include "board_config.h"
#include "embedded_target/board.h"
#include "embedded_target/chips/cmsdk_uart.h"
#include "embedded_target/chips/cortex_m.h"

namespace lockstep::board {
namespace {

using chip::reg;

constexpr uintptr_t kCounter = config::kFpgaIo + 0x18;
constexpr uintptr_t kPrescale = config::kFpgaIo + 0x1C;
constexpr uintptr_t kWatchdogLoad = config::kWatchdog + 0x00;
constexpr uintptr_t kWatchdogControl = config::kWatchdog + 0x08;
constexpr uintptr_t kWatchdogClear = config::kWatchdog + 0x0C;
constexpr uintptr_t kWatchdogLock = config::kWatchdog + 0xC00;
constexpr uint32_t kWatchdogSeconds = 4;  // then a warning, after as long again the reset

constexpr size_t kMappedSize = 4 << 20;

alignas(4) uint8_t link_rx[8192];
alignas(4) uint8_t link_tx[32768];
alignas(4) uint8_t injection_rx[16384];
alignas(4) uint8_t injection_tx[4096];
chip::CmsdkUart uart0;
chip::CmsdkUart uart1;

uint32_t clock_last;
uint32_t clock_high;

// Survives a reset, not a power cycle.
constexpr uint32_t kAlive = 0x4C4B5354;
struct ResetNote {
    uint32_t alive;
    uint32_t watchdog_barked;
};
__attribute__((section(".noinit"))) volatile ResetNote reset_note;
wire::ResetCause cause;

}  // namespace

const char* const name = config::kName;

void init() {
    reg(kPrescale) = config::kCounterHz / 1000000 - 1;
    cause = reset_note.alive != kAlive        ? wire::ResetCause::power_on
            : reset_note.watchdog_barked != 0 ? wire::ResetCause::watchdog
                                              : wire::ResetCause::external;
    reset_note.alive = kAlive;
    reset_note.watchdog_barked = 0;
    reg(kCounter) = 0;
    uart0.init(config::kUart0, config::kUart0Irq, MutableBytes(link_rx), MutableBytes(link_tx));
    uart1.init(config::kUart1, config::kUart1Irq, MutableBytes(injection_rx), MutableBytes(injection_tx));
    chip::start_systick(config::kCpuHz);
    if (config::kWatchdog != 0) {
        reg(kWatchdogLock) = 0x1ACCE551;
        reg(kWatchdogLoad) = config::kWatchdogHz * kWatchdogSeconds;
        reg(kWatchdogControl) = 3;
    }
}

// The counter itself is the time: counting ticks would lose those that come late.
uint64_t now_us() {
    const chip::Critical critical;
    const uint32_t now = reg(kCounter);
    if (now < clock_last) ++clock_high;
    clock_last = now;
    return uint64_t(clock_high) << 32 | now;
}

Port& link() {
    return uart0;
}
Port& injection() {
    return uart1;
}

MutableBytes mapped_memory() {
    if (config::kMapped == 0) return {};
    return MutableBytes(reinterpret_cast<uint8_t*>(config::kMapped), kMappedSize);
}

void idle() {
    asm volatile("wfi" ::: "memory");
}

void feed_watchdog() {
    if (config::kWatchdog != 0) reg(kWatchdogClear) = 1;
}

wire::ResetCause reset_cause() {
    return cause;
}

// QEMU counts no cycles; its clock is the host's.
wire::CostKind cost_kind() {
    return wire::CostKind::host_us;
}
uint32_t cost_now() {
    return uint32_t(now_us());
}

size_t stack_size() {
    return chip::stack_size();
}
size_t stack_high_water() {
    return chip::stack_high_water();
}
const uint8_t* build_id() {
    return chip::build_id();
}

}  // namespace lockstep::board

extern "C" void board_interrupt() {
    lockstep::board::uart0.interrupt();
    lockstep::board::uart1.interrupt();
}

extern "C" void board_nmi() {
    lockstep::board::reset_note.watchdog_barked = 1;
}
