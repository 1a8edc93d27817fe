// A byte stream to a device: serial port, TCP, BLE UART, pty. Blocking, used by exactly one link
// thread for reading; write() and shut() may come from other threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "acquisition/error.h"

namespace lockstep {

class ByteLink {
  public:
    virtual ~ByteLink() = default;
    virtual Status open() = 0;
    // Waits at most timeout_ms for the first byte, then takes what is there; 0 bytes = time-out.
    // An error means that the link is gone.
    virtual Result<size_t> read(uint8_t* out, size_t size, int timeout_ms) = 0;
    virtual Status write(const uint8_t* data, size_t size) = 0;
    // Wakes a blocked read() with an error; idempotent.
    virtual void shut() = 0;
};

}  // namespace lockstep
