// What serial port, TCP and Bluetooth have in common: a non-blocking file descriptor, waited for with poll().
#pragma once

#include <cstdint>
#include <string>

#include "acquisition/byte_link.h"

namespace lockstep {

class FdLink : public ByteLink {
  public:
    FdLink(const FdLink&) = delete;
    FdLink& operator=(const FdLink&) = delete;
    ~FdLink() override;
    Result<size_t> read(uint8_t* out, size_t size, int timeout_ms) override;
    Status write(const uint8_t* data, size_t size) override;
    void shut() override;

  protected:
    explicit FdLink(std::string where);
    tl::unexpected<Error> system_error(const std::string& what, const std::string& remedy = {}) const;

    const std::string where_;  // for messages
    int fd_ = -1;
    int out_ = -1;  // written to when it is not fd_
    // Where one read or write is one packet: room that a read needs (read() REQUIRES as much), bytes of a
    // write.
    size_t read_unit_ = 1;
    size_t write_unit_ = SIZE_MAX;

  private:
    int wake_ = -1;  // eventfd: readable once shut
};

}  // namespace lockstep
