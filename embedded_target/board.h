// What the firmware asks of a board. A board is a folder boards/NAME (processor, memories, addresses)
// and the drivers of chips/ that it names; nothing above this header knows a register.
#pragma once

#include "devices/wire/messages.h"
#include "dsp/base/span.h"

namespace lockstep::board {

// A byte link with its own receive and transmit queues. Main loop only; the driver's interrupt works on
// the other ends of the queues.
class Port {
  public:
    virtual size_t read(MutableBytes out) = 0;
    // All or nothing.
    virtual bool write(Bytes data) = 0;
    virtual size_t tx_free() const = 0;
    virtual size_t tx_capacity() const = 0;
    // Device time at which the latest zero byte (end of a frame) came off the line; 0 = not recorded.
    virtual uint64_t frame_end_us() const { return 0; }
    // Fullest since the last call, in percent.
    virtual uint8_t rx_high_percent() { return 0; }

  protected:
    ~Port() = default;
};

extern const char* const name;
void init();
// Free-running since boot. May be called from interrupts; must be called at least once an hour.
uint64_t now_us();
Port& link();
Port& injection();
// Memory that a host can map to inject faster than injection() carries; empty when there is none.
MutableBytes mapped_memory();
// Sleeps until an interrupt, at most about 1 ms.
void idle();
void feed_watchdog();
wire::ResetCause reset_cause();
// Cost of a piece of work as the difference of two readings.
wire::CostKind cost_kind();
uint32_t cost_now();
size_t stack_size();
size_t stack_high_water();
const uint8_t* build_id();  // 8 bytes

}  // namespace lockstep::board
