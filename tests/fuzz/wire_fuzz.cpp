// Any bytes on the line: the decoder and every message codec stay inside their memory, and what decodes
// encodes to something that decodes again.
#include "devices/wire/frame.h"
#include "devices/wire/messages.h"

namespace lockstep::wire {
namespace {

template <typename Message>
void round_trip(Bytes payload) {
    Message first;
    if (!decode(payload, &first)) return;
    uint8_t bytes[kMaxPayload];
    const size_t n = encode(first, MutableBytes(bytes));
    Message second;
    if (n != 0 && !decode(Bytes(bytes, n), &second)) __builtin_trap();
}

void on_frame(void*, const FrameView& frame) {
    const Bytes p = frame.payload;
    round_trip<Hello>(p);
    round_trip<ModelDescription>(p);
    round_trip<Data>(p);
    round_trip<Prediction>(p);
    round_trip<Health>(p);
    round_trip<Marker>(p);
    round_trip<Heartbeat>(p);
    round_trip<HelloRequest>(p);
    round_trip<Command>(p);
    round_trip<StartReply>(p);
    round_trip<StopReply>(p);
    round_trip<Configure>(p);
    round_trip<ConfigureReply>(p);
    round_trip<Ping>(p);
    round_trip<PingReply>(p);
    round_trip<StagesRequest>(p);
    round_trip<StagesReply>(p);
    round_trip<Describe>(p);
    round_trip<HostMarker>(p);
    round_trip<ModelBegin>(p);
    round_trip<ModelBeginReply>(p);
    round_trip<ModelChunk>(p);
    round_trip<ModelChunkReply>(p);
    round_trip<ModelVerdict>(p);
    round_trip<ModelSelect>(p);
    round_trip<ModelList>(p);
    round_trip<ModelChange>(p);
    StreamDescription stream;
    ChannelDescription page[kPageChannels];
    (void)decode(p, &stream, Span<ChannelDescription>(page));
}

}  // namespace
}  // namespace lockstep::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace lockstep;
    // Once as a line, so that resynchronising is exercised, and once as a payload with a right checksum.
    static wire::Decoder decoder;
    decoder.reset();
    decoder.push(Bytes(data, size), wire::on_frame, nullptr);
    uint8_t line[wire::kMaxEncoded];
    const size_t n = wire::encode_frame(
        1, 0, Bytes(data, size < wire::kMaxPayload ? size : wire::kMaxPayload), MutableBytes(line));
    decoder.push(Bytes(line, n), wire::on_frame, nullptr);
    return 0;
}
