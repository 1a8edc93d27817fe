// Frames to the host through the link's transmit queue. A frame that does not fit is not sent at all:
// the caller counts it. Data leaves room for answers.
#pragma once

#include "devices/wire/frame.h"
#include "devices/wire/messages.h"
#include "embedded_target/board.h"

namespace lockstep::firmware {

class Transmitter {
  public:
    void init(board::Port* port) { port_ = port; }

    template <typename Message>
    bool send(wire::Type type, const Message& message) {
        return send_payload(type, encode(message, MutableBytes(payload_)));
    }
    bool send(const wire::StreamDescription& stream, Span<const wire::ChannelDescription> page) {
        return send_payload(wire::Type::stream_info, encode(stream, page, MutableBytes(payload_)));
    }
    bool half_full() const { return port_->tx_free() < port_->tx_capacity() / 2; }
    // Fullest queue since the last call, in percent.
    uint16_t take_high_percent() {
        const size_t high = high_;
        high_ = 0;
        return uint16_t(high * 100 / port_->tx_capacity());
    }

  private:
    static constexpr size_t kReserve = 2048;  // bytes that data and predictions leave free

    bool send_payload(wire::Type type, size_t size) {
        const bool bulk = type == wire::Type::data || type == wire::Type::prediction;
        if (size == 0) return false;
        const size_t n =
            wire::encode_frame(uint8_t(type), sequence_, Bytes(payload_, size), MutableBytes(encoded_));
        if (n == 0 || port_->tx_free() < n + (bulk ? kReserve : 0) || !port_->write(Bytes(encoded_, n)))
            return false;
        ++sequence_;
        const size_t used = port_->tx_capacity() - port_->tx_free();
        if (used > high_) high_ = used;
        return true;
    }

    board::Port* port_ = nullptr;
    uint16_t sequence_ = 0;
    size_t high_ = 0;
    uint8_t payload_[wire::kMaxPayload];
    uint8_t encoded_[wire::kMaxEncoded];
};

}  // namespace lockstep::firmware
