#include "devices/wire/messages.h"

#include "devices/wire/codec.h"

namespace lockstep::wire {
namespace {

bool finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (bits & 0x7F800000u) != 0x7F800000u;
}

bool decode_cost(uint8_t v, CostKind* out) {
    *out = CostKind(v <= 3 ? v : 0);
    return v <= 3;
}

void put(ByteWriter& w, const StreamHealth& h) {
    w.u32(h.produced);
    w.u32(h.dropped);
}

void get(ByteReader& r, StreamHealth* h) {
    h->produced = r.u32();
    h->dropped = r.u32();
}

}  // namespace

size_t encode(const Hello& m, MutableBytes out) {
    ByteWriter w(out);
    w.u32(kMagic);
    w.u8(m.major);
    w.u8(m.minor);
    w.u64(m.boot_id);
    w.bytes(Bytes(m.build_id));
    w.text(m.board);
    w.text(m.firmware);
    w.u8(m.streams);
    w.u8(m.models);
    w.u16(m.max_payload);
    w.u64(m.device_us);
    w.u8(uint8_t(m.reset_cause));
    w.u8(m.running);
    w.u8(m.epoch);
    w.u8(uint8_t(m.cost_kind));
    return done(w);
}

bool decode(Bytes payload, Hello* m) {
    ByteReader r(payload);
    if (r.u32() != kMagic) return false;
    m->major = r.u8();
    m->minor = r.u8();
    // The rest of another major's hello may mean anything: what is known is enough to refuse it.
    if (r.ok() && m->major != kProtocolMajor) return true;
    m->boot_id = r.u64();
    get_bytes(r, m->build_id);
    r.text(m->board, sizeof m->board);
    r.text(m->firmware, sizeof m->firmware);
    m->streams = r.u8();
    m->models = r.u8();
    m->max_payload = r.u16();
    m->device_us = r.u64();
    const uint8_t cause = r.u8();
    m->reset_cause = cause <= 4 ? ResetCause(cause) : ResetCause::unknown;
    m->running = r.u8() != 0;
    m->epoch = r.u8();
    const bool cost = decode_cost(r.u8(), &m->cost_kind);
    return r.ok() && cost && m->streams <= kMaxStreams && m->models <= kMaxModels;
}

size_t encode(const StreamDescription& m, Span<const ChannelDescription> page, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.stream);
    w.text(m.name);
    w.text(m.kind);
    w.u8(uint8_t(m.type));
    w.u16(m.channels);
    w.u32(m.rate_num);
    w.u32(m.rate_den);
    w.u16(m.batch);
    w.u8(m.enabled);
    w.u16(m.first_channel);
    w.u16(m.page_channels);
    if (page.size() < m.page_channels) return 0;
    for (size_t i = 0; i < m.page_channels; ++i) {
        w.text(page[i].name);
        w.text(page[i].unit);
        w.f32(page[i].scale);
        w.f32(page[i].offset);
    }
    return done(w);
}

bool decode(Bytes payload, StreamDescription* m, Span<ChannelDescription> page) {
    ByteReader r(payload);
    m->stream = r.u8();
    r.text(m->name, sizeof m->name);
    r.text(m->kind, sizeof m->kind);
    const uint8_t type = r.u8();
    m->type = SampleType(type);
    m->channels = r.u16();
    m->rate_num = r.u32();
    m->rate_den = r.u32();
    m->batch = r.u16();
    m->enabled = r.u8() != 0;
    m->first_channel = r.u16();
    m->page_channels = r.u16();
    if (!r.ok() || m->stream >= kMaxStreams || sample_bytes(m->type) == 0 || m->channels == 0 ||
        m->channels > kMaxChannels || m->rate_num == 0 || m->rate_den == 0 || m->batch == 0 ||
        m->page_channels > kPageChannels || m->page_channels > page.size() ||
        size_t(m->first_channel) + m->page_channels > m->channels)
        return false;
    // Faster than 1 MHz is no wearable sensor, and would overflow the stamps of a block.
    if (m->rate_num / m->rate_den > 1000000) return false;
    for (size_t i = 0; i < m->page_channels; ++i) {
        r.text(page[i].name, sizeof page[i].name);
        r.text(page[i].unit, sizeof page[i].unit);
        page[i].scale = r.f32();
        page[i].offset = r.f32();
        if (!finite(page[i].scale) || !finite(page[i].offset) || page[i].scale == 0) return false;
    }
    return r.ok() && m->name[0] != 0;
}

size_t encode(const ModelDescription& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.model);
    w.bytes(Bytes(m.plan_id));
    w.text(m.name);
    w.u8(m.inputs);
    for (size_t i = 0; i < m.inputs && i < kMaxModelInputs; ++i)
        w.u8(m.input_stream[i]);
    w.u8(m.active);
    w.u8(m.stages);
    return done(w);
}

bool decode(Bytes payload, ModelDescription* m) {
    ByteReader r(payload);
    m->model = r.u8();
    get_bytes(r, m->plan_id);
    r.text(m->name, sizeof m->name);
    m->inputs = r.u8();
    if (m->inputs > kMaxModelInputs) return false;
    for (size_t i = 0; i < m->inputs; ++i)
        m->input_stream[i] = r.u8();
    m->active = r.u8() != 0;
    m->stages = r.u8();
    return r.ok() && m->model < kMaxModels && m->stages <= kMaxStages;
}

size_t encode(const Data& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.stream);
    w.u8(m.flags);
    w.u8(m.epoch);
    w.u16(m.count);
    w.u32(m.first);
    w.u64(m.time_us);
    w.bytes(m.samples);
    return done(w);
}

bool decode(Bytes payload, Data* m) {
    ByteReader r(payload);
    m->stream = r.u8();
    m->flags = r.u8();
    m->epoch = r.u8();
    m->count = r.u16();
    m->first = r.u32();
    m->time_us = r.u64();
    m->samples = r.rest();
    return r.ok() && m->stream < kMaxStreams && m->count != 0;
}

size_t encode(const Prediction& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.model);
    w.u8(m.epoch);
    w.bytes(Bytes(m.plan_id));
    w.u32(m.window);
    w.u64(m.time_us);
    w.u8(m.inputs);
    for (size_t i = 0; i < m.inputs && i < kMaxModelInputs; ++i)
        w.u32(m.first[i]);
    w.u32(m.input_hash);
    w.u32(m.output_hash);
    w.u8(uint8_t(m.cost_kind));
    w.u32(m.cost);
    w.u8(m.scores_count);
    for (size_t i = 0; i < m.scores_count && i < kMaxScores; ++i)
        w.f32(m.scores[i]);
    return done(w);
}

bool decode(Bytes payload, Prediction* m) {
    ByteReader r(payload);
    m->model = r.u8();
    m->epoch = r.u8();
    get_bytes(r, m->plan_id);
    m->window = r.u32();
    m->time_us = r.u64();
    m->inputs = r.u8();
    if (m->inputs > kMaxModelInputs) return false;
    for (size_t i = 0; i < m->inputs; ++i)
        m->first[i] = r.u32();
    m->input_hash = r.u32();
    m->output_hash = r.u32();
    const bool cost = decode_cost(r.u8(), &m->cost_kind);
    m->cost = r.u32();
    m->scores_count = r.u8();
    if (m->scores_count > kMaxScores) return false;
    for (size_t i = 0; i < m->scores_count; ++i)
        m->scores[i] = r.f32();
    return r.ok() && cost && m->model < kMaxModels;
}

size_t encode(const Health& m, MutableBytes out) {
    ByteWriter w(out);
    w.u64(m.uptime_us);
    w.u16(m.tx_queue_high);
    w.u16(m.rx_queue_high);
    w.u32(m.stack_size);
    w.u32(m.stack_high);
    w.u32(m.bad_frames);
    w.u32(m.late_samples);
    w.u32(m.windows_skipped);
    w.u8(m.streams);
    for (size_t i = 0; i < m.streams && i < kMaxStreams; ++i)
        put(w, m.stream[i]);
    return done(w);
}

bool decode(Bytes payload, Health* m) {
    ByteReader r(payload);
    m->uptime_us = r.u64();
    m->tx_queue_high = r.u16();
    m->rx_queue_high = r.u16();
    m->stack_size = r.u32();
    m->stack_high = r.u32();
    m->bad_frames = r.u32();
    m->late_samples = r.u32();
    m->windows_skipped = r.u32();
    m->streams = r.u8();
    if (m->streams > kMaxStreams) return false;
    for (size_t i = 0; i < m->streams; ++i)
        get(r, &m->stream[i]);
    return r.ok();
}

size_t encode(const Marker& m, MutableBytes out) {
    ByteWriter w(out);
    w.u64(m.time_us);
    w.u32(m.code);
    w.text(m.text);
    return done(w);
}

bool decode(Bytes payload, Marker* m) {
    ByteReader r(payload);
    m->time_us = r.u64();
    m->code = r.u32();
    r.text(m->text, sizeof m->text);
    return r.ok();
}

size_t encode(const Heartbeat& m, MutableBytes out) {
    ByteWriter w(out);
    w.u64(m.device_us);
    w.u8(m.epoch);
    w.u8(m.running);
    return done(w);
}

bool decode(Bytes payload, Heartbeat* m) {
    ByteReader r(payload);
    m->device_us = r.u64();
    m->epoch = r.u8();
    m->running = r.u8() != 0;
    return r.ok();
}

size_t encode(const Ack& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.command);
    w.u16(m.tag);
    w.u8(uint8_t(m.code));
    w.bytes(m.detail);
    return done(w);
}

bool decode(Bytes payload, Ack* m) {
    ByteReader r(payload);
    m->command = r.u8();
    m->tag = r.u16();
    m->code = Code(r.u8());
    m->detail = r.rest();
    return r.ok();
}

size_t encode(const HelloRequest& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.u32(kMagic);
    w.u8(m.major);
    w.u8(m.minor);
    w.u64(m.nonce);
    return done(w);
}

bool decode(Bytes payload, HelloRequest* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    if (r.u32() != kMagic) return false;
    m->major = r.u8();
    m->minor = r.u8();
    m->nonce = r.u64();
    return r.ok();
}

size_t encode(const Command& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    return done(w);
}

bool decode(Bytes payload, Command* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    return r.ok();
}

size_t encode(const StartReply& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.epoch);
    w.u64(m.device_us);
    return done(w);
}

bool decode(Bytes payload, StartReply* m) {
    ByteReader r(payload);
    m->epoch = r.u8();
    m->device_us = r.u64();
    return r.ok();
}

size_t encode(const StopReply& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.epoch);
    w.u8(m.streams);
    for (size_t i = 0; i < m.streams && i < kMaxStreams; ++i)
        put(w, m.stream[i]);
    return done(w);
}

bool decode(Bytes payload, StopReply* m) {
    ByteReader r(payload);
    m->epoch = r.u8();
    m->streams = r.u8();
    if (m->streams > kMaxStreams) return false;
    for (size_t i = 0; i < m->streams; ++i)
        get(r, &m->stream[i]);
    return r.ok();
}

size_t encode(const Configure& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.u8(m.stream);
    w.u8(m.enabled);
    w.u32(m.rate_num);
    w.u32(m.rate_den);
    w.u16(m.batch);
    return done(w);
}

bool decode(Bytes payload, Configure* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    m->stream = r.u8();
    m->enabled = r.u8() != 0;
    m->rate_num = r.u32();
    m->rate_den = r.u32();
    m->batch = r.u16();
    return r.ok() && m->rate_den != 0;
}

size_t encode(const ConfigureReply& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.stream);
    w.u8(m.enabled);
    w.u32(m.rate_num);
    w.u32(m.rate_den);
    w.u16(m.batch);
    return done(w);
}

bool decode(Bytes payload, ConfigureReply* m) {
    ByteReader r(payload);
    m->stream = r.u8();
    m->enabled = r.u8() != 0;
    m->rate_num = r.u32();
    m->rate_den = r.u32();
    m->batch = r.u16();
    return r.ok() && m->rate_num != 0 && m->rate_den != 0;
}

size_t encode(const Ping& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.u64(m.host_ns);
    return done(w);
}

bool decode(Bytes payload, Ping* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    m->host_ns = r.u64();
    return r.ok();
}

size_t encode(const PingReply& m, MutableBytes out) {
    ByteWriter w(out);
    w.u64(m.host_ns);
    w.u64(m.received_us);
    w.u64(m.transmitted_us);
    return done(w);
}

bool decode(Bytes payload, PingReply* m) {
    ByteReader r(payload);
    m->host_ns = r.u64();
    m->received_us = r.u64();
    m->transmitted_us = r.u64();
    return r.ok();
}

size_t encode(const StagesRequest& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.u8(m.model);
    w.u32(m.window);
    return done(w);
}

bool decode(Bytes payload, StagesRequest* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    m->model = r.u8();
    m->window = r.u32();
    return r.ok();
}

size_t encode(const StagesReply& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.model);
    w.u32(m.window);
    w.u8(m.count);
    for (size_t i = 0; i < m.count && i < kMaxStages; ++i)
        w.u32(m.hash[i]);
    return done(w);
}

bool decode(Bytes payload, StagesReply* m) {
    ByteReader r(payload);
    m->model = r.u8();
    m->window = r.u32();
    m->count = r.u8();
    if (m->count > kMaxStages) return false;
    for (size_t i = 0; i < m->count; ++i)
        m->hash[i] = r.u32();
    return r.ok();
}

size_t encode(const Describe& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.u8(m.index);
    w.u16(m.first_channel);
    return done(w);
}

bool decode(Bytes payload, Describe* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    m->index = r.u8();
    m->first_channel = r.u16();
    return r.ok();
}

size_t encode(const HostMarker& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.u32(m.code);
    w.text(m.text);
    return done(w);
}

bool decode(Bytes payload, HostMarker* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    m->code = r.u32();
    r.text(m->text, sizeof m->text);
    return r.ok();
}

}  // namespace lockstep::wire
