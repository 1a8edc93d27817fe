#include "devices/virtual_board/injector.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace lockstep {
namespace {

using wire::InjectType;

constexpr size_t kFrameBytes = 1000;  // of samples in one frame
constexpr int64_t kTablePatienceNs = 2'000'000'000;

int64_t now_ns() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

template <size_t N>
void copy_text(const std::string& text, char (&out)[N]) {
    const size_t n = std::min(text.size(), N - 1);
    std::memcpy(out, text.data(), n);
    out[n] = 0;
}

}  // namespace

void Injector::start(std::unique_ptr<InjectionPort> port, std::shared_ptr<SignalSource> source,
                     InjectorOptions options) {
    port_ = std::move(port);
    source_ = std::move(source);
    options_ = options;
    position_.resize(source_->streams().size());
    thread_ = std::thread(&Injector::run, this);
}

void Injector::stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
}

std::string Injector::problem() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return problem_;
}

void Injector::give_up(const std::string& problem) {
    const std::lock_guard<std::mutex> lock(mutex_);
    problem_ = problem;
}

void Injector::run() {
    while (!stop_) {
        receive();
        if (!pending_.empty()) {
            const size_t n = port_->write(pending_.data(), pending_.size());
            pending_.erase(pending_.begin(), pending_.begin() + ptrdiff_t(n));
        }
        bool fed = false;
        // What waits here cannot be taken back when the device starts over: little at a time.
        for (size_t i = 0; have_run_ && pending_.size() < 2 * kFrameBytes && i < position_.size(); ++i)
            fed = feed(i) || fed;
        if (!fed) port_->wait(!pending_.empty());
    }
}

void Injector::receive() {
    uint8_t data[1024];
    const size_t n = port_->read(data, sizeof data);
    if (n != 0) decoder_.push(Bytes(data, n), on_frame, this);
}

void Injector::on_frame(void* self, const wire::FrameView& frame) {
    auto& me = *static_cast<Injector*>(self);
    if (InjectType(frame.type) == InjectType::ready) {
        wire::InjectReady ready;
        if (decode(frame.payload, &ready)) me.on_ready(ready);
    } else if (InjectType(frame.type) == InjectType::credit) {
        wire::InjectCredit credit;
        if (!decode(frame.payload, &credit) || !me.have_run_ || credit.run != me.run_) return;
        for (size_t i = 0; i < credit.streams && i < me.position_.size(); ++i)
            me.position_[i].limit = credit.limit[i];
    }
}

void Injector::on_ready(const wire::InjectReady& ready) {
    if (ready.code == Code::not_ready) {
        // The device repeats this until a table comes; what it said before ours came means nothing.
        if (have_run_ || now_ns() >= table_due_ns_) send_table();
        return;
    }
    if (ready.code != Code::ok) {
        give_up(std::string("the board refused the signals: ") + code_name(ready.code));
        return;
    }
    run_ = ready.run;
    have_run_ = true;
    finished_ = false;
    for (Position& p : position_)
        p = Position();
    accepted_ = true;
}

void Injector::send_table() {
    have_run_ = false;
    table_due_ns_ = now_ns() + kTablePatienceNs;
    const auto& streams = source_->streams();
    wire::InjectBegin begin;
    begin.streams = uint8_t(streams.size());
    begin.speed_permille = uint32_t(options_.speed * 1000 + 0.5);
    send(InjectType::begin, encode(begin, MutableBytes(payload_)));
    for (size_t i = 0; i < streams.size(); ++i) {
        const StreamInfo& info = streams[i];
        wire::InjectStream m;
        m.start_us = source_->start_us(i);
        wire::StreamDescription& d = m.description;
        d.stream = uint8_t(i);
        copy_text(info.name, d.name);
        copy_text(info.kind, d.kind);
        d.type = info.type;
        d.channels = uint16_t(info.channels.size());
        d.rate_num = info.rate_num;
        d.rate_den = info.rate_den;
        d.batch = info.batch;
        for (size_t first = 0; first < info.channels.size(); first += wire::kPageChannels) {
            wire::ChannelDescription page[wire::kPageChannels];
            d.first_channel = uint16_t(first);
            d.page_channels = uint16_t(std::min(wire::kPageChannels, info.channels.size() - first));
            for (size_t c = 0; c < d.page_channels; ++c) {
                const ChannelInfo& channel = info.channels[first + c];
                copy_text(channel.name, page[c].name);
                copy_text(channel.unit, page[c].unit);
                page[c].scale = channel.scale;
                page[c].offset = channel.offset;
            }
            send(InjectType::stream, encode(m, Span<const wire::ChannelDescription>(page, d.page_channels),
                                            MutableBytes(payload_)));
        }
    }
    send(InjectType::commit, 0);
}

bool Injector::feed(size_t stream) {
    Position& p = position_[stream];
    const StreamInfo& info = source_->streams()[stream];
    const uint64_t length = source_->length(stream);
    if (p.ended) return false;
    if (length == 0 || (!options_.loop && p.next >= length)) {
        const wire::InjectEnd end{run_, uint8_t(stream), uint32_t(p.next)};
        send(InjectType::end, encode(end, MutableBytes(payload_)));
        p.ended = true;
        finished_ =
            std::all_of(position_.begin(), position_.end(), [](const Position& q) { return q.ended; });
        return true;
    }
    // The counter has 32 bits on the device: the difference is what counts.
    const auto room = int32_t(p.limit - uint32_t(p.next));
    if (room <= 0) return false;
    const size_t row = info.channels.size() * sample_bytes(info.type);
    const uint32_t most = uint32_t(std::min<size_t>(size_t(room), std::max<size_t>(1, kFrameBytes / row)));
    auto chunk = source_->read(stream, p.next % length, most);
    if (!chunk) {
        give_up(chunk.error().message());
        p.ended = true;
        return false;
    }
    if (chunk->missing != 0) {
        const wire::InjectGap gap{run_, uint8_t(stream), uint32_t(p.next), chunk->missing};
        send(InjectType::gap, encode(gap, MutableBytes(payload_)));
        p.next += chunk->missing;
        return true;
    }
    const size_t count = chunk->counts.size() / info.channels.size();
    if (count == 0) {
        give_up("the recording of '" + info.name + "' ended early");
        p.ended = true;
        return false;
    }
    std::vector<uint8_t> packed(count * row);
    pack_samples(info.type, Span<const int32_t>(chunk->counts.data(), count * info.channels.size()),
                 MutableBytes(packed.data(), packed.size()));
    const wire::InjectSamples samples{run_, uint8_t(stream), uint32_t(p.next), uint16_t(count),
                                      Bytes(packed.data(), packed.size())};
    send(InjectType::samples, encode(samples, MutableBytes(payload_)));
    p.next += count;
    samples_ += count;
    return true;
}

void Injector::send(InjectType type, size_t size) {
    const size_t at = pending_.size();
    pending_.resize(at + wire::encoded_bound(size));
    const size_t n = wire::encode_frame(uint8_t(type), sequence_++, Bytes(payload_, size),
                                        MutableBytes(pending_.data() + at, pending_.size() - at));
    pending_.resize(at + n);
}

}  // namespace lockstep
