#include "embedded_target/sensors/injected.h"

#include <string.h>

namespace lockstep::firmware {
namespace {

using namespace wire;

constexpr uint32_t kFifoSeconds = 8;   // at most; signal time
constexpr uint32_t kMinCapacity = 64;  // samples
// On the line at once: half a second of signal, so that little of an old run is in the way of a new one.
constexpr uint32_t kWindowsPerSecond = 2;
constexpr uint32_t kPrimeMs = 250;  // signals that wait before the first sample is released
constexpr uint64_t kPrimePatienceUs = 2000000;
constexpr uint64_t kCreditPeriodUs = 20000;
constexpr uint64_t kCreditRepeatUs = 500000;  // a credit that was lost costs no more than this
constexpr uint64_t kReadyPeriodUs = 500000;   // how often a missing table is asked for
constexpr uint64_t kMaxAheadUs = 100000;      // of a stream that waits for its samples
constexpr int kPollSamples = 64;

uint32_t ceil_rate(const StreamDescription& d) {
    return (d.rate_num + d.rate_den - 1) / d.rate_den;
}

}  // namespace

void Injected::init(Span<board::Port* const> ports, MutableBytes memory) {
    ports_ = ports.size() < kPorts ? ports.size() : kPorts;
    for (size_t i = 0; i < ports_; ++i)
        port_[i].port = ports[i];
    memory_ = memory;
}

bool Injected::receive() {
    bool more = false;
    uint8_t bytes[256];
    for (from_ = 0; from_ < ports_; ++from_) {
        const size_t n = port_[from_].port->read(MutableBytes(bytes));
        if (n == 0) continue;
        port_[from_].decoder.push(Bytes(bytes, n), on_frame, this);
        more = true;
    }
    return more;
}

void Injected::on_frame(void* self, const FrameView& frame) {
    Injected& me = *static_cast<Injected*>(self);
    switch (InjectType(frame.type)) {
        case InjectType::begin:
            me.on_begin(frame.payload);
            break;
        case InjectType::stream:
            me.on_stream(frame.payload);
            break;
        case InjectType::commit:
            if (!me.receiving_) break;
            me.ready_code_ = me.commit();
            me.ready_due_ = true;
            if (me.ready_code_ != Code::ok) me.drop_table();
            break;
        case InjectType::samples:
            me.on_samples(frame.payload);
            break;
        case InjectType::gap:
            me.on_gap(frame.payload);
            break;
        case InjectType::end:
            me.on_end(frame.payload);
            break;
        case InjectType::reset:
            me.drop_table();
            me.changed_ = true;
            me.ready_code_ = Code::not_ready;
            break;
        default:
            break;
    }
}

void Injected::drop_table() {
    active_ = false;
    receiving_ = false;
    running_ = false;
    table_size_ = 0;
    channels_used_ = 0;
}

void Injected::on_begin(Bytes payload) {
    InjectBegin m;
    if (!decode(payload, &m)) return;
    drop_table();
    receiving_ = true;
    peer_ = from_;
    table_size_ = m.streams;
    speed_permille_ = m.speed_permille;
    for (Stream& s : stream_)
        s = Stream();
}

void Injected::on_stream(Bytes payload) {
    InjectStream m;
    ChannelDescription page[kPageChannels];
    if (!receiving_ || !decode(payload, &m, Span<ChannelDescription>(page)) ||
        m.description.stream >= table_size_)
        return;
    const StreamDescription& d = m.description;
    Stream& s = stream_[d.stream];
    if (d.first_channel == 0) {
        if (s.channels.empty()) {
            if (kChannelPool - channels_used_ < d.channels) return;  // commit() finds the stream undescribed
            s.channels = Span<ChannelDescription>(channel_ + channels_used_, d.channels);
            channels_used_ += d.channels;
        }
        s.described = 0;
        s.description = d;
        s.start_us = m.start_us;
    }
    if (d.first_channel != s.described || s.channels.size() < size_t(d.first_channel) + d.page_channels)
        return;
    for (size_t c = 0; c < d.page_channels; ++c)
        s.channels[d.first_channel + c] = page[c];
    s.described = uint16_t(s.described + d.page_channels);
}

Code Injected::commit() {
    uint64_t bytes_per_second = 0;
    for (size_t i = 0; i < table_size_; ++i) {
        Stream& s = stream_[i];
        StreamDescription& d = s.description;
        if (d.channels == 0 || s.described != d.channels || s.channels.size() != d.channels)
            return Code::invalid;
        for (size_t j = 0; j < i; ++j)
            if (strcmp(d.name, stream_[j].description.name) == 0) return Code::invalid;
        if (row_bytes(d) > kMaxPayload - kDataHeader || d.rate_den > 1000000) return Code::out_of_range;
        d.enabled = true;
        const uint16_t batch = default_batch(d);
        const size_t most = (kMaxPayload - kDataHeader) / row_bytes(d);
        if (d.batch <= 1 || d.batch > most) d.batch = batch;
        bytes_per_second += uint64_t(ceil_rate(d)) * row_bytes(d);
    }
    // Every stream gets room for the same stretch of time.
    const uint64_t want_ms = uint64_t(kFifoSeconds) * (speed_permille_ > 1000 ? speed_permille_ : 1000);
    const uint64_t fit_ms = uint64_t(memory_.size() / 2) * 1000 / bytes_per_second;
    const uint64_t ms = want_ms < fit_ms ? want_ms : fit_ms;
    size_t used = 0;
    for (size_t i = 0; i < table_size_; ++i) {
        Stream& s = stream_[i];
        const uint64_t wanted = ceil_rate(s.description) * ms / 1000;
        s.capacity = uint32_t(wanted < kMinCapacity ? kMinCapacity : wanted);
        const uint64_t window =
            uint64_t(ceil_rate(s.description)) * speed_permille_ / 1000 / kWindowsPerSecond;
        s.window = uint32_t(window < kMinCapacity / 2 ? kMinCapacity / 2 : window);
        const size_t size = s.capacity * row_bytes(s.description);
        if (memory_.size() - used < size) return Code::no_space;
        s.fifo = memory_.subspan(used, size);
        used += size;
    }
    receiving_ = false;
    active_ = true;
    changed_ = true;
    new_run();
    return Code::ok;
}

void Injected::new_run() {
    ++run_;
    for (size_t i = 0; i < table_size_; ++i) {
        Stream& s = stream_[i];
        s.stored = s.oldest = s.next_in = s.next_out = s.limit_told = 0;
        s.gaps = 0;
        s.ended = false;
    }
    fresh_ = true;
    ready_code_ = Code::ok;
    ready_due_ = true;
}

// Everything between what came last and `first` is lost; false when there is no room to note it.
bool Injected::skip_to(Stream* s, uint32_t first) {
    if (first == s->next_in) return true;
    if (s->gaps == kGaps) return false;
    s->gap[s->gaps++] = {s->next_in, first - s->next_in};
    s->next_in = first;
    return true;
}

void Injected::on_samples(Bytes payload) {
    InjectSamples m;
    if (!active_ || !decode(payload, &m) || m.run != run_ || m.stream >= table_size_) return;
    Stream& s = stream_[m.stream];
    const size_t row = row_bytes(s.description);
    if (m.samples.size() != m.count * row || m.first < s.next_in || s.capacity - s.stored < m.count ||
        !skip_to(&s, m.first))
        return;
    for (size_t i = 0; i < m.count; ++i) {
        uint32_t slot = s.oldest + s.stored;
        if (slot >= s.capacity) slot -= s.capacity;
        memcpy(s.fifo.data() + slot * row, m.samples.data() + i * row, row);
        ++s.stored;
    }
    s.next_in += m.count;
}

void Injected::on_gap(Bytes payload) {
    InjectGap m;
    if (!active_ || !decode(payload, &m) || m.run != run_ || m.stream >= table_size_) return;
    Stream& s = stream_[m.stream];
    if (m.first < s.next_in || UINT32_MAX - m.first < m.count) return;
    if (skip_to(&s, m.first)) skip_to(&s, m.first + m.count);
}

void Injected::on_end(Bytes payload) {
    InjectEnd m;
    if (!active_ || !decode(payload, &m) || m.run != run_ || m.stream >= table_size_) return;
    Stream& s = stream_[m.stream];
    if (m.total >= s.next_in && skip_to(&s, m.total)) s.ended = true;
}

bool Injected::take_changed() {
    const bool changed = changed_;
    changed_ = false;
    return changed;
}

Code Injected::configure(const Configure& wish) {
    // A recording has the rate it has; the reply says so.
    return configure_common(wish, &stream_[wish.stream].description);
}

void Injected::start(uint64_t now_us) {
    if (!fresh_) new_run();
    start_us_ = now_us;
    have_origin_ = false;
    running_ = true;
    late_ = 0;
}

void Injected::stop() {
    running_ = false;
    if (active_ && !fresh_) new_run();  // refilled by the time of the next start
}

bool Injected::primed(const Stream& s) const {
    const uint64_t samples =
        uint64_t(ceil_rate(s.description)) * kPrimeMs / 1000 * speed_permille_ / 1000 + 1;
    const uint32_t ready = s.next_in - s.next_out;
    return s.ended || ready >= samples || s.stored >= s.capacity / 2;
}

uint64_t Injected::due(const Stream& s, uint32_t index) const {
    const uint64_t signal = sample_time_us(s.start_us, index, s.description.rate_num, s.description.rate_den);
    return origin_us_ + (speed_permille_ == 1000 ? signal : signal * 1000 / speed_permille_);
}

bool Injected::poll(uint64_t now_us, SampleSink& sink) {
    if (!running_) return false;
    if (!have_origin_) {
        bool all = true;
        for (size_t i = 0; i < table_size_; ++i)
            all = all && primed(stream_[i]);
        if (!all && now_us - start_us_ < kPrimePatienceUs) return false;
        have_origin_ = true;
        fresh_ = false;
        origin_us_ = now_us;
        for (size_t i = 0; i < table_size_; ++i)
            stream_[i].due_us = due(stream_[i], 0);
    }
    // A recording can wait: a host that did not run the emulator for a while would lose what a real line
    // keeps.
    if (sink.behind()) return false;
    // A stream whose samples have not come, or are not handed over yet, holds the others back: they stay
    // together, all of them late.
    uint64_t horizon = now_us;
    for (size_t i = 0; i < table_size_; ++i) {
        const Stream& s = stream_[i];
        if (s.ended && s.next_out == s.next_in) continue;
        const uint64_t until = s.due_us + kMaxAheadUs;
        if (until < horizon) horizon = until;
    }
    int budget = kPollSamples;
    for (size_t i = 0; i < table_size_; ++i) {
        Stream& s = stream_[i];
        const StreamDescription& d = s.description;
        while (budget > 0 && s.due_us <= horizon && s.next_out != s.next_in) {
            const bool gap = s.gaps != 0 && s.gap[0].first == s.next_out;
            if (gap) {
                if (d.enabled) sink.lost(i);
                ++s.gap[0].first;
                if (--s.gap[0].count == 0) memmove(&s.gap[0], &s.gap[1], --s.gaps * sizeof s.gap[0]);
            } else {
                const size_t row = row_bytes(d);
                int32_t counts[kMaxChannels];
                const Span<int32_t> values(counts, d.channels);
                unpack_samples(d.type, Bytes(s.fifo.data() + s.oldest * row, row), values);
                if (++s.oldest == s.capacity) s.oldest = 0;
                --s.stored;
                if (now_us - s.due_us > kLateUs) ++late_;
                const uint64_t stamp =
                    sample_time_us(origin_us_ + s.start_us, s.next_out, d.rate_num, d.rate_den);
                if (d.enabled) sink.sample(i, values, stamp);
            }
            ++s.next_out;
            s.due_us = due(s, s.next_out);
            --budget;
        }
        if (s.ended && s.next_out == s.next_in && d.enabled) sink.finish(i);
    }
    return budget != kPollSamples;
}

uint32_t Injected::limit(const Stream& s) const {
    if (s.gaps >= kGaps - 2) return s.next_in;
    const uint32_t room = s.capacity - s.stored;
    return s.next_in + (room < s.window ? room : s.window);
}

void Injected::report(uint64_t now_us, uint8_t epoch) {
    uint8_t payload[256];
    if (ready_due_ || (!active_ && !receiving_ && now_us >= ready_next_us_)) {
        InjectReady ready;
        ready.code = ready_code_;
        ready.run = run_;
        ready.epoch = epoch;
        ready.running = running_;
        send(InjectType::ready, Bytes(payload, encode(ready, MutableBytes(payload))));
        ready_due_ = false;
        ready_next_us_ = now_us + kReadyPeriodUs;
        ready_code_ = active_ ? Code::ok : Code::not_ready;
    }
    if (!active_ || now_us < credit_next_us_) return;
    credit_next_us_ = now_us + kCreditPeriodUs;
    bool news = now_us >= credit_repeat_us_;
    InjectCredit credit;
    credit.run = run_;
    credit.streams = uint8_t(table_size_);
    for (size_t i = 0; i < table_size_; ++i) {
        const Stream& s = stream_[i];
        credit.limit[i] = limit(s);
        news = news || credit.limit[i] - s.limit_told > s.window / 8;
    }
    if (!news) return;
    credit_repeat_us_ = now_us + kCreditRepeatUs;
    for (size_t i = 0; i < table_size_; ++i)
        stream_[i].limit_told = credit.limit[i];
    send(InjectType::credit, Bytes(payload, encode(credit, MutableBytes(payload))));
}

void Injected::send(InjectType type, Bytes payload) {
    const size_t n = encode_frame(uint8_t(type), sequence_, payload, MutableBytes(encoded_));
    // Without a table nobody is known: every port is told. A full port has no listener.
    for (size_t i = 0; i < ports_; ++i)
        if (!active_ || i == peer_) port_[i].port->write(Bytes(encoded_, n));
    ++sequence_;
}

}  // namespace lockstep::firmware
