#include "embedded_target/chips/cmsdk_uart.h"

#include "embedded_target/chips/cortex_m.h"

namespace lockstep::chip {
namespace {

constexpr uintptr_t kData = 0x00;
constexpr uintptr_t kState = 0x04;
constexpr uintptr_t kControl = 0x08;
constexpr uintptr_t kInterrupt = 0x0C;
constexpr uintptr_t kBaudDivider = 0x10;
constexpr uint32_t kTxFull = 1;
constexpr uint32_t kRxFull = 2;

}  // namespace

void CmsdkUart::init(uintptr_t base, unsigned irq, MutableBytes rx, MutableBytes tx) {
    base_ = base;
    rx_.bind(rx);
    tx_.bind(tx);
    reg(base + kBaudDivider) = 16;  // QEMU's line has no rate of its own; the least that counts as set up
    reg(base + kControl) = 0xF;     // both directions and their interrupts
    const uint32_t dummy = reg(base + kData);  // assigned: a cast to void reads nothing
    (void)dummy;
    reg(base + kInterrupt) = 0xF;
    enable_irq(irq);
    enable_irq(irq + 1);
}

void CmsdkUart::interrupt() {
    reg(base_ + kInterrupt) = 0xF;
    take();
    send();
}

// With a full ring the byte stays in the receiver until read() made room: a line with flow control (QEMU's)
// waits, another one loses, and either way nothing is overwritten here.
void CmsdkUart::take() {
    while ((reg(base_ + kState) & kRxFull) != 0 && rx_.free() != 0) {
        const uint8_t byte = uint8_t(reg(base_ + kData));
        if (byte == 0) frame_end_us_ = board::now_us();
        rx_.push(byte);
    }
    if (rx_.used() > rx_high_) rx_high_ = rx_.used();
}

void CmsdkUart::send() {
    uint8_t byte;
    while ((reg(base_ + kState) & kTxFull) == 0 && tx_.pop(&byte))
        reg(base_ + kData) = byte;
}

size_t CmsdkUart::read(MutableBytes out) {
    const size_t n = rx_.pop(out);
    const Critical critical;
    take();
    return n;
}

bool CmsdkUart::write(Bytes data) {
    if (!tx_.push(data)) return false;
    const Critical critical;
    send();
    return true;
}

uint64_t CmsdkUart::frame_end_us() const {
    const Critical critical;
    return frame_end_us_;
}

uint8_t CmsdkUart::rx_high_percent() {
    const Critical critical;
    const uint8_t percent = uint8_t(rx_high_ * 100 / rx_.capacity());
    rx_high_ = 0;
    return percent;
}

}  // namespace lockstep::chip
