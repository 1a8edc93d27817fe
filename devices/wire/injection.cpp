#include "devices/wire/injection.h"

#include "devices/wire/codec.h"

namespace lockstep::wire {

size_t encode(const InjectBegin& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.streams);
    w.u32(m.speed_permille);
    return done(w);
}

bool decode(Bytes payload, InjectBegin* m) {
    ByteReader r(payload);
    m->streams = r.u8();
    m->speed_permille = r.u32();
    return r.ok() && m->streams != 0 && m->streams <= kMaxStreams && m->speed_permille != 0 &&
           m->speed_permille <= 1000000;
}

size_t encode(const InjectStream& m, Span<const ChannelDescription> page, MutableBytes out) {
    ByteWriter w(out);
    w.u32(m.start_us);
    if (!w.ok()) return 0;
    const size_t n = encode(m.description, page, out.subspan(w.size()));
    return n == 0 ? 0 : w.size() + n;
}

bool decode(Bytes payload, InjectStream* m, Span<ChannelDescription> page) {
    ByteReader r(payload);
    m->start_us = r.u32();
    return r.ok() && decode(r.rest(), &m->description, page);
}

size_t encode(const InjectSamples& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.run);
    w.u8(m.stream);
    w.u32(m.first);
    w.u16(m.count);
    w.bytes(m.samples);
    return done(w);
}

bool decode(Bytes payload, InjectSamples* m) {
    ByteReader r(payload);
    m->run = r.u8();
    m->stream = r.u8();
    m->first = r.u32();
    m->count = r.u16();
    m->samples = r.rest();
    return r.ok() && m->stream < kMaxStreams && m->count != 0;
}

size_t encode(const InjectGap& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.run);
    w.u8(m.stream);
    w.u32(m.first);
    w.u32(m.count);
    return done(w);
}

bool decode(Bytes payload, InjectGap* m) {
    ByteReader r(payload);
    m->run = r.u8();
    m->stream = r.u8();
    m->first = r.u32();
    m->count = r.u32();
    return r.ok() && m->stream < kMaxStreams && m->count != 0;
}

size_t encode(const InjectEnd& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.run);
    w.u8(m.stream);
    w.u32(m.total);
    return done(w);
}

bool decode(Bytes payload, InjectEnd* m) {
    ByteReader r(payload);
    m->run = r.u8();
    m->stream = r.u8();
    m->total = r.u32();
    return r.ok() && m->stream < kMaxStreams;
}

size_t encode(const InjectReady& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(uint8_t(m.code));
    w.u8(m.run);
    w.u8(m.epoch);
    w.u8(m.running);
    return done(w);
}

bool decode(Bytes payload, InjectReady* m) {
    ByteReader r(payload);
    m->code = Code(r.u8());
    m->run = r.u8();
    m->epoch = r.u8();
    m->running = r.u8() != 0;
    return r.ok();
}

size_t encode(const InjectCredit& m, MutableBytes out) {
    ByteWriter w(out);
    w.u8(m.run);
    w.u8(m.streams);
    for (size_t i = 0; i < m.streams && i < kMaxStreams; ++i)
        w.u32(m.limit[i]);
    return done(w);
}

bool decode(Bytes payload, InjectCredit* m) {
    ByteReader r(payload);
    m->run = r.u8();
    m->streams = r.u8();
    if (m->streams > kMaxStreams) return false;
    for (size_t i = 0; i < m->streams; ++i)
        m->limit[i] = r.u32();
    return r.ok();
}

}  // namespace lockstep::wire
