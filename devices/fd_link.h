// What serial port and TCP have in common: a non-blocking file descriptor, waited for with poll().
#pragma once

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

  private:
    int wake_ = -1;  // eventfd: readable once shut
};

}  // namespace lockstep
