#include "devices/wire/injection.h"

#include "devices/wire/codec.h"

namespace lockstep::wire {

constexpr uint32_t kMostSpeed = 1000000;  // permille

template <typename C>
void fields(C& c, typename C::template Of<InjectBegin>& m) {
    c(m.streams, m.speed_permille);
    c.check(m.streams != 0 && m.streams <= kMaxStreams);
    c.check(m.speed_permille != 0 && m.speed_permille <= kMostSpeed);
}

template <typename C>
void fields(C& c, typename C::template Of<InjectSamples>& m) {
    c(m.run, m.stream, m.first, m.count);
    c.rest(m.samples);
    c.check(m.stream < kMaxStreams && m.count != 0);
}

template <typename C>
void fields(C& c, typename C::template Of<InjectGap>& m) {
    c(m.run, m.stream, m.first, m.count);
    c.check(m.stream < kMaxStreams && m.count != 0);
}

template <typename C>
void fields(C& c, typename C::template Of<InjectEnd>& m) {
    c(m.run, m.stream, m.total);
    c.check(m.stream < kMaxStreams);
}

template <typename C>
void fields(C& c, typename C::template Of<InjectReady>& m) {
    c(m.code, m.run, m.epoch, m.running);
}

template <typename C>
void fields(C& c, typename C::template Of<InjectCredit>& m) {
    c(m.run);
    c.list(m.streams, m.limit);
}

LOCKSTEP_WIRE_MESSAGE(InjectBegin);
LOCKSTEP_WIRE_MESSAGE(InjectSamples);
LOCKSTEP_WIRE_MESSAGE(InjectGap);
LOCKSTEP_WIRE_MESSAGE(InjectEnd);
LOCKSTEP_WIRE_MESSAGE(InjectReady);
LOCKSTEP_WIRE_MESSAGE(InjectCredit);

size_t encode(const InjectStream& m, Span<const ChannelDescription> page, MutableBytes out) {
    Writer writer(out);
    writer(m.start_us);
    const size_t head = writer.done();
    if (head == 0) return 0;
    const size_t n = encode(m.description, page, out.subspan(head));
    return n == 0 ? 0 : head + n;
}

bool decode(Bytes payload, InjectStream* m, Span<ChannelDescription> page) {
    Reader reader(payload);
    Bytes description;
    reader(m->start_us);
    reader.rest(description);
    return reader.done() && decode(description, &m->description, page);
}

}  // namespace lockstep::wire
