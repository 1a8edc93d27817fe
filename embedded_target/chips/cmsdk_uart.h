// UART of Arm's Cortex-M System Design Kit (DDI 0479), one byte deep each way, with rings in memory.
// QEMU: receive hands bytes over only after somebody read DATA once, and the transmit interrupt
// shows even when off, so it is always cleared.
#pragma once

#include "dsp/base/ring.h"
#include "embedded_target/board.h"

namespace lockstep::chip {

class CmsdkUart final : public board::Port {
  public:
    // REQUIRES: ring sizes are powers of two; interrupts irq and irq + 1 call interrupt().
    void init(uintptr_t base, unsigned irq, MutableBytes rx, MutableBytes tx);
    void interrupt();

    size_t read(MutableBytes out) override;
    bool write(Bytes data) override;
    size_t tx_free() const override { return tx_.free(); }
    size_t tx_capacity() const override { return tx_.capacity(); }
    uint64_t frame_end_us() const override;
    uint8_t rx_high_percent() override;

  private:
    void take();  // receiver -> ring
    void send();  // ring -> transmitter

    uintptr_t base_ = 0;
    Ring<uint8_t> rx_;
    Ring<uint8_t> tx_;
    size_t rx_high_ = 0;
    volatile uint64_t frame_end_us_ = 0;
};

}  // namespace lockstep::chip
