// Model transfer: 90 to 9f of docs/protocol.md.
#include "devices/wire/codec.h"
#include "devices/wire/messages.h"

namespace lockstep::wire {
size_t encode(const ModelBegin& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.bytes(Bytes(m.plan_id));
    w.u32(m.size);
    w.u8(m.has_signature);
    if (m.has_signature) w.bytes(Bytes(m.signature));
    return done(w);
}

bool decode(Bytes payload, ModelBegin* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    get_bytes(r, m->plan_id);
    m->size = r.u32();
    m->has_signature = r.u8() != 0;
    if (m->has_signature) get_bytes(r, m->signature);
    return r.ok();
}

size_t encode(const ModelBeginReply& m, MutableBytes out) {
    ByteWriter w(out);
    w.u32(m.next);
    w.u16(m.chunk);
    return done(w);
}

bool decode(Bytes payload, ModelBeginReply* m) {
    ByteReader r(payload);
    m->next = r.u32();
    m->chunk = r.u16();
    return r.ok() && m->chunk != 0;
}

size_t encode(const ModelChunk& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.u32(m.offset);
    w.u16(uint16_t(m.bytes.size()));
    w.bytes(m.bytes);
    return m.bytes.size() <= kModelChunk ? done(w) : 0;
}

bool decode(Bytes payload, ModelChunk* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    m->offset = r.u32();
    m->bytes = r.bytes(r.u16());
    return r.ok() && m->bytes.size() <= kModelChunk;
}

size_t encode(const ModelChunkReply& m, MutableBytes out) {
    ByteWriter w(out);
    w.u32(m.next);
    return done(w);
}

bool decode(Bytes payload, ModelChunkReply* m) {
    ByteReader r(payload);
    m->next = r.u32();
    return r.ok();
}

size_t encode(const ModelVerdict& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(uint8_t(m.reason));
    w.u32(m.bytes);
    return done(w);
}

// Reasons of a newer device stay numbers.
bool decode(Bytes payload, ModelVerdict* m) {
    ByteReader r(payload);
    m->reason = ModelRefusal(r.u8());
    m->bytes = r.u32();
    return r.ok();
}

size_t encode(const ModelSelect& m, MutableBytes out) {
    ByteWriter w(out);
    w.u16(m.tag);
    w.bytes(Bytes(m.plan_id));
    return done(w);
}

bool decode(Bytes payload, ModelSelect* m) {
    ByteReader r(payload);
    m->tag = r.u16();
    get_bytes(r, m->plan_id);
    return r.ok();
}

size_t encode(const ModelList& m, MutableBytes out) {
    ByteWriter w(out);
    w.u32(m.largest);
    w.u8(m.signed_only);
    w.u8(m.count);
    for (size_t i = 0; i < m.count && i < kMaxStoredModels; ++i) {
        const StoredModel& model = m.model[i];
        w.bytes(Bytes(model.plan_id));
        w.text(model.name);
        w.u32(model.size);
        w.u8(uint8_t((model.built_in ? 1 : 0) | (model.previous ? 2 : 0)));
        w.u8(model.place);
    }
    return m.count <= kMaxStoredModels ? done(w) : 0;
}

bool decode(Bytes payload, ModelList* m) {
    ByteReader r(payload);
    m->largest = r.u32();
    m->signed_only = r.u8() != 0;
    m->count = r.u8();
    if (!r.ok() || m->count > kMaxStoredModels) return false;
    for (size_t i = 0; i < m->count; ++i) {
        StoredModel& model = m->model[i];
        get_bytes(r, model.plan_id);
        r.text(model.name, sizeof model.name);
        model.size = r.u32();
        const uint8_t flags = r.u8();
        model.built_in = (flags & 1) != 0;
        model.previous = (flags & 2) != 0;
        model.place = r.u8();
    }
    return r.ok();
}

size_t encode(const ModelChange& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.epoch);
    w.u8(m.running);
    w.u64(m.device_us);
    w.u8(m.models);
    if (!w.ok()) return 0;
    const size_t head = w.size();
    const size_t size = encode(m.changed, MutableBytes(out.data() + head, out.size() - head));
    return size == 0 ? 0 : head + size;
}

bool decode(Bytes payload, ModelChange* m) {
    ByteReader r(payload);
    m->epoch = r.u8();
    m->running = r.u8() != 0;
    m->device_us = r.u64();
    m->models = r.u8();
    return r.ok() && m->models <= kMaxModels && decode(r.rest(), &m->changed);
}

}  // namespace lockstep::wire
