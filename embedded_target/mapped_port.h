// The mapped form of the injection port: two rings in memory that a host shares (devices/wire/injection.h).
#pragma once

#include "devices/wire/injection.h"
#include "embedded_target/board.h"

namespace lockstep::firmware {

class MappedPort final : public board::Port {
  public:
    // Empty or too small memory: a port on which nothing ever comes.
    void init(MutableBytes memory);
    size_t read(MutableBytes out) override;
    bool write(Bytes data) override;
    size_t tx_free() const override;
    size_t tx_capacity() const override { return header_ ? wire::kMappedRing : 0; }

  private:
    wire::MappedHeader* header_ = nullptr;
    uint8_t* to_device_ = nullptr;
    uint8_t* to_host_ = nullptr;
};

}  // namespace lockstep::firmware
