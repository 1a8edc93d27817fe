#include "devices/wire/messages.h"

#include "devices/wire/codec.h"

namespace lockstep::wire {
namespace {

bool finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (bits & 0x7F800000u) != 0x7F800000u;
}

}  // namespace

template <typename C>
void fields(C& c, typename C::template Of<Hello>& m) {
    c.constant(kMagic);
    c(m.major, m.minor);
    // The rest of another major's hello may mean anything: what is known is enough to refuse it.
    if (C::kReads && m.major != kProtocolMajor) return;
    c(m.boot_id, m.build_id, m.board, m.firmware, m.streams, m.models, m.max_payload, m.device_us);
    c.known_or(m.reset_cause, ResetCause::external, ResetCause::unknown);
    c(m.running, m.epoch);
    c.known(m.cost_kind, CostKind::host_us);
    c.check(m.streams <= kMaxStreams && m.models <= kMaxModels);
}

template <typename C>
void fields(C& c, typename C::template Of<StreamDescription>& m) {
    c(m.stream, m.name, m.kind, m.type, m.channels, m.rate_num, m.rate_den, m.batch, m.enabled,
      m.first_channel, m.page_channels);
    c.check(m.stream < kMaxStreams && sample_bytes(m.type) != 0 && m.name[0] != 0);
    c.check(m.channels != 0 && m.channels <= kMaxChannels && m.page_channels <= kPageChannels);
    c.check(size_t(m.first_channel) + m.page_channels <= m.channels);
    c.check(m.rate_num != 0 && m.rate_den != 0 && m.batch != 0);
    // Faster than 1 MHz is no wearable sensor, and would overflow the stamps of a block.
    c.check(m.rate_den == 0 || m.rate_num / m.rate_den <= 1000000);
}

template <typename C>
void fields(C& c, typename C::template Of<ChannelDescription>& m) {
    c(m.name, m.unit, m.scale, m.offset);
    c.check(finite(m.scale) && finite(m.offset) && m.scale != 0);
}

template <typename C>
void fields(C& c, typename C::template Of<ModelDescription>& m) {
    c(m.model, m.plan_id, m.name);
    c.list(m.inputs, m.input_stream);
    c(m.active, m.stages);
    c.check(m.model < kMaxModels && m.stages <= kMaxStages);
}

template <typename C>
void fields(C& c, typename C::template Of<Data>& m) {
    c(m.stream, m.flags, m.epoch, m.count, m.first, m.time_us);
    c.rest(m.samples);
    c.check(m.stream < kMaxStreams && m.count != 0);
}

template <typename C>
void fields(C& c, typename C::template Of<Prediction>& m) {
    c(m.model, m.epoch, m.plan_id, m.window, m.time_us);
    c.list(m.inputs, m.first);
    c(m.input_hash, m.output_hash);
    c.known(m.cost_kind, CostKind::host_us);
    c(m.cost);
    c.list(m.scores_count, m.scores);
    c.check(m.model < kMaxModels);
}

template <typename C>
void fields(C& c, typename C::template Of<StreamHealth>& m) {
    c(m.produced, m.dropped);
}

template <typename C>
void fields(C& c, typename C::template Of<Health>& m) {
    c(m.uptime_us, m.tx_queue_high, m.rx_queue_high, m.stack_size, m.stack_high, m.bad_frames, m.late_samples,
      m.windows_skipped);
    c.list(m.streams, m.stream);
}

template <typename C>
void fields(C& c, typename C::template Of<Marker>& m) {
    c(m.time_us, m.code, m.text);
}

template <typename C>
void fields(C& c, typename C::template Of<Heartbeat>& m) {
    c(m.device_us, m.epoch, m.running);
}

template <typename C>
void fields(C& c, typename C::template Of<Ack>& m) {
    c(m.command, m.tag, m.code);
    c.rest(m.detail);
}

template <typename C>
void fields(C& c, typename C::template Of<HelloRequest>& m) {
    c(m.tag);
    c.constant(kMagic);
    c(m.major, m.minor, m.nonce);
}

template <typename C>
void fields(C& c, typename C::template Of<Command>& m) {
    c(m.tag);
}

template <typename C>
void fields(C& c, typename C::template Of<StartReply>& m) {
    c(m.epoch, m.device_us);
}

template <typename C>
void fields(C& c, typename C::template Of<StopReply>& m) {
    c(m.epoch);
    c.list(m.streams, m.stream);
}

template <typename C>
void fields(C& c, typename C::template Of<Configure>& m) {
    c(m.tag, m.stream, m.enabled, m.rate_num, m.rate_den, m.batch);
    c.check(m.rate_den != 0);
}

template <typename C>
void fields(C& c, typename C::template Of<ConfigureReply>& m) {
    c(m.stream, m.enabled, m.rate_num, m.rate_den, m.batch);
    c.check(m.rate_num != 0 && m.rate_den != 0);
}

template <typename C>
void fields(C& c, typename C::template Of<Ping>& m) {
    c(m.tag, m.host_ns);
}

template <typename C>
void fields(C& c, typename C::template Of<PingReply>& m) {
    c(m.host_ns, m.received_us, m.transmitted_us);
}

template <typename C>
void fields(C& c, typename C::template Of<StagesRequest>& m) {
    c(m.tag, m.model, m.window);
}

template <typename C>
void fields(C& c, typename C::template Of<StagesReply>& m) {
    c(m.model, m.window);
    c.list(m.count, m.hash);
}

template <typename C>
void fields(C& c, typename C::template Of<Describe>& m) {
    c(m.tag, m.index, m.first_channel);
}

template <typename C>
void fields(C& c, typename C::template Of<HostMarker>& m) {
    c(m.tag, m.code, m.text);
}

// Model transfer: 90 to 9f of docs/protocol.md.

template <typename C>
void fields(C& c, typename C::template Of<ModelBegin>& m) {
    c(m.tag, m.plan_id, m.size, m.has_signature);
    if (m.has_signature) c(m.signature);
}

template <typename C>
void fields(C& c, typename C::template Of<ModelBeginReply>& m) {
    c(m.next, m.chunk);
    c.check(m.chunk != 0);
}

template <typename C>
void fields(C& c, typename C::template Of<ModelChunk>& m) {
    c(m.tag, m.offset);
    c.counted(m.bytes, kModelChunk);
}

template <typename C>
void fields(C& c, typename C::template Of<ModelChunkReply>& m) {
    c(m.next);
}

// Reasons of a newer device stay numbers.
template <typename C>
void fields(C& c, typename C::template Of<ModelVerdict>& m) {
    c(m.reason, m.bytes);
}

template <typename C>
void fields(C& c, typename C::template Of<ModelSelect>& m) {
    c(m.tag, m.plan_id);
}

template <typename C>
void fields(C& c, typename C::template Of<StoredModel>& m) {
    c(m.plan_id, m.name, m.size);
    auto flags = uint8_t((m.built_in ? 1 : 0) | (m.previous ? 2 : 0));
    c(flags);
    if constexpr (C::kReads) {
        m.built_in = (flags & 1) != 0;
        m.previous = (flags & 2) != 0;
    }
    c(m.place);
}

template <typename C>
void fields(C& c, typename C::template Of<ModelList>& m) {
    c(m.largest, m.signed_only);
    c.list(m.count, m.model);
}

template <typename C>
void fields(C& c, typename C::template Of<ModelChange>& m) {
    c(m.epoch, m.running, m.device_us, m.models, m.changed);
    c.check(m.models <= kMaxModels);
}

LOCKSTEP_WIRE_MESSAGE(Hello);
LOCKSTEP_WIRE_MESSAGE(ModelDescription);
LOCKSTEP_WIRE_MESSAGE(Data);
LOCKSTEP_WIRE_MESSAGE(Prediction);
LOCKSTEP_WIRE_MESSAGE(Health);
LOCKSTEP_WIRE_MESSAGE(Marker);
LOCKSTEP_WIRE_MESSAGE(Heartbeat);
LOCKSTEP_WIRE_MESSAGE(Ack);
LOCKSTEP_WIRE_MESSAGE(HelloRequest);
LOCKSTEP_WIRE_MESSAGE(Command);
LOCKSTEP_WIRE_MESSAGE(StartReply);
LOCKSTEP_WIRE_MESSAGE(StopReply);
LOCKSTEP_WIRE_MESSAGE(Configure);
LOCKSTEP_WIRE_MESSAGE(ConfigureReply);
LOCKSTEP_WIRE_MESSAGE(Ping);
LOCKSTEP_WIRE_MESSAGE(PingReply);
LOCKSTEP_WIRE_MESSAGE(StagesRequest);
LOCKSTEP_WIRE_MESSAGE(StagesReply);
LOCKSTEP_WIRE_MESSAGE(Describe);
LOCKSTEP_WIRE_MESSAGE(HostMarker);
LOCKSTEP_WIRE_MESSAGE(ModelBegin);
LOCKSTEP_WIRE_MESSAGE(ModelBeginReply);
LOCKSTEP_WIRE_MESSAGE(ModelChunk);
LOCKSTEP_WIRE_MESSAGE(ModelChunkReply);
LOCKSTEP_WIRE_MESSAGE(ModelVerdict);
LOCKSTEP_WIRE_MESSAGE(ModelSelect);
LOCKSTEP_WIRE_MESSAGE(ModelList);
LOCKSTEP_WIRE_MESSAGE(ModelChange);

size_t encode(const StreamDescription& m, Span<const ChannelDescription> page, MutableBytes out) {
    if (page.size() < m.page_channels) return 0;
    Writer writer(out);
    writer(m);
    for (size_t i = 0; i < m.page_channels; ++i)
        writer(page[i]);
    return writer.done();
}

bool decode(Bytes payload, StreamDescription* m, Span<ChannelDescription> page) {
    Reader reader(payload);
    reader(*m);
    if (!reader.done() || m->page_channels > page.size()) return false;
    for (size_t i = 0; i < m->page_channels; ++i)
        reader(page[i]);
    return reader.done();
}

}  // namespace lockstep::wire
