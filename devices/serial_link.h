// A serial port (UART adapter, USB CDC, pseudo terminal), raw, 8N1, held exclusively.
#pragma once

#include "devices/fd_link.h"

namespace lockstep {

class SerialLink final : public FdLink {
  public:
    SerialLink(std::string path, int baud);
    Status open() override;

  private:
    const std::string path_;
    const int baud_;
};

// The stable name of a port in /dev/serial/by-id (or another such folder of links), or "" if none. A
// board that comes back after a dropout may get another ttyACM number, but keeps this name.
std::string stable_serial_name(const std::string& path, const std::string& folder = "/dev/serial/by-id");

}  // namespace lockstep
