#include "embedded_target/sensors/sensor.h"

#include "devices/wire/frame.h"

namespace lockstep::firmware {
namespace {

size_t max_batch(const wire::StreamDescription& stream) {
    return (wire::kMaxPayload - wire::kDataHeader) / row_bytes(stream);
}

}  // namespace

uint16_t default_batch(const wire::StreamDescription& stream) {
    const uint32_t rate = stream.rate_num / stream.rate_den;
    const size_t batch = rate >= 200 ? rate / 25 : (rate + 9) / 10;
    const size_t most = max_batch(stream);
    return uint16_t(batch == 0 ? 1 : batch < most ? batch : most);
}

Code configure_common(const wire::Configure& wish, wire::StreamDescription* stream) {
    if (wish.batch > max_batch(*stream)) return Code::out_of_range;
    if (wish.batch != 0) stream->batch = wish.batch;
    stream->enabled = wish.enabled;
    return Code::ok;
}

}  // namespace lockstep::firmware
