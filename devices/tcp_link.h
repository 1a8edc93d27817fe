// A TCP connection to a serial server or bridge.
#pragma once

#include "devices/fd_link.h"

namespace lockstep {

class TcpLink final : public FdLink {
  public:
    TcpLink(std::string host, std::string port);
    Status open() override;  // at most 3 s an address

  private:
    const std::string host_;
    const std::string port_;
};

}  // namespace lockstep
