#include "acquisition/ledger.h"

#include <algorithm>

namespace lockstep {
namespace {

// A file may say anything: an index past this is no stream of a session.
constexpr int kMaxIndex = 4096;

template <typename... Handlers>
struct Overloaded : Handlers... {
    using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

WindowAccount& WindowAccount::operator+=(const WindowAccount& other) {
    expected += other.expected;
    same += other.same;
    different += other.different;
    lost += other.lost;
    outside += other.outside;
    return *this;
}

Ledger::Stream* Ledger::stream(int index) {
    if (index < 0 || index >= kMaxIndex) return nullptr;
    if (size_t(index) >= streams_.size()) streams_.resize(size_t(index) + 1);
    return &streams_[size_t(index)];
}

void Ledger::cover(int stream_index, int segment, uint64_t first, uint64_t last) {
    auto& ranges = segments_[segment].range;
    const auto [it, fresh] = ranges.try_emplace(stream_index, Range{first, last});
    if (fresh) return;
    it->second.first = std::min(it->second.first, first);
    it->second.last = std::max(it->second.last, last);
}

void Ledger::on_event(const Event& event) {
    std::visit(Overloaded{
                   [this](const SegmentStarted& e) {
                       Segment& segment = segments_[e.segment];
                       segment.device = e.device;
                       segment.streams = e.streams;
                       for (size_t i = 0; i < e.streams.size() && i < e.info.streams.size(); ++i) {
                           Stream* s = stream(e.streams[i]);
                           if (s == nullptr) continue;
                           s->account.name = e.info.streams[i].name;
                           s->account.rate_nominal = e.info.streams[i].rate();
                       }
                       Clock& clock = clocks_[e.device];
                       if (clock.boot_id != e.info.boot_id) {
                           clock.map.restart();
                           clock.boot_id = e.info.boot_id;
                       }
                   },
                   [this](const SegmentEnded& e) {
                       if (!e.counted) return;
                       Segment& segment = segments_[e.segment];
                       for (size_t i = 0; i < e.sent.size() && i < segment.streams.size(); ++i) {
                           const auto it = segment.range.find(segment.streams[i]);
                           // Nothing seen of a stream that says it sent: all of it is missing.
                           const uint64_t last = it == segment.range.end() ? 0 : it->second.last;
                           const auto more = int32_t(e.sent[i].produced - uint32_t(last));
                           if (more > 0) cover(segment.streams[i], e.segment, last, last + uint64_t(more));
                       }
                   },
                   [this](const std::shared_ptr<const Block>& e) {
                       Stream* s = stream(e->stream);
                       if (s == nullptr) return;
                       const uint64_t end = e->first + e->count;
                       s->account.received += e->count;
                       cover(e->stream, e->segment, e->first, end);
                       if (s->segment == e->segment && end > s->end) {
                           s->samples += end - s->end;
                           s->span_ns += e->host_ns - s->last_ns;
                       }
                       s->segment = e->segment;
                       s->end = end;
                       s->last_ns = e->host_ns;
                       if (first_ns_ == 0) first_ns_ = e->host_ns;
                       last_ns_ = std::max(last_ns_, e->host_ns);
                   },
                   [this](const Gap& e) {
                       Stream* s = stream(e.stream);
                       if (s == nullptr || e.missing == 0) return;
                       s->account.lost += e.missing;
                       ++s->account.gaps;
                       cover(e.stream, e.segment, e.first, e.first + e.missing);
                   },
                   [](const Prediction&) {},
                   [this](const ClockObservation& e) { clocks_[e.device].map.observe(e); },
                   [](const HealthReport&) {},
                   [this](const LinkEvent& e) {
                       if (e.kind == LinkEventKind::damaged) damaged_ += e.count;
                       if (e.kind == LinkEventKind::lost) {
                           ++losses_;
                           down_.insert(e.device);
                       } else if (e.kind == LinkEventKind::reconnected) {
                           down_.erase(e.device);
                       }
                   },
                   [](const DeviceMarker&) {},
                   [this](const WindowVerdict& e) {
                       if (e.model < 0 || e.model >= kMaxIndex) return;
                       if (size_t(e.model) >= models_.size()) models_.resize(size_t(e.model) + 1);
                       WindowAccount& account = models_[size_t(e.model)];
                       ++account.expected;
                       switch (e.verdict) {
                           case Verdict::same:
                               ++account.same;
                               break;
                           case Verdict::different:
                               ++account.different;
                               break;
                           case Verdict::lost:
                               ++account.lost;
                               break;
                           case Verdict::outside:
                               ++account.outside;
                               break;
                       }
                   },
                   [this](const LabelEdit& e) {
                       if (e.operation == LabelOperation::remove)
                           labels_.erase(e.before.id);
                       else
                           labels_[e.after.id] = true;
                   },
               },
               event);
}

Summary Ledger::summary() const {
    Summary out;
    out.seconds = double(last_ns_ - first_ns_) / 1e9;
    for (const Stream& s : streams_) {
        out.streams.push_back(s.account);
        if (s.span_ns > 0) out.streams.back().rate = double(s.samples) * 1e9 / double(s.span_ns);
    }
    for (const auto& segment : segments_)
        for (const auto& [index, range] : segment.second.range)
            if (index >= 0 && size_t(index) < out.streams.size())
                out.streams[size_t(index)].sent += range.last - range.first;
    out.models = models_;
    for (const WindowAccount& m : models_)
        out.windows += m;
    out.labels = labels_.size();
    if (!clocks_.empty()) out.clock = clocks_.begin()->second.map.estimate();
    out.damaged_frames = damaged_;
    out.link_losses = losses_;
    out.links_down = down_.size();

    uint64_t received = 0;
    for (const StreamAccount& s : out.streams) {
        received += s.received;
        if (!out.why_not.empty()) continue;
        if (s.gaps != 0)
            out.why_not = s.name + ": " + std::to_string(s.lost) + " samples lost in " +
                          std::to_string(s.gaps) + (s.gaps == 1 ? " gap" : " gaps");
        else if (s.sent != s.received)
            out.why_not = s.name + ": " + std::to_string(s.sent) + " samples sent, " +
                          std::to_string(s.received) + " stored";
    }
    if (received == 0)
        out.why_not = "no sample was received";
    else if (out.why_not.empty() && out.links_down > 0)
        out.why_not = "the link was lost and did not come back; what the device sent since is not known";
    else if (out.why_not.empty() && out.windows.same * 10 < out.windows.expected * 9)
        out.why_not =
            std::to_string(out.windows.same) + " of " + std::to_string(out.windows.expected) +
            " windows are the same on device and host, fewer than 90 %" +
            (out.windows.outside == 0 ? std::string()
                                      : "; " + std::to_string(out.windows.outside) +
                                            " outside, where models warm up after a start or a gap");
    out.whole = out.why_not.empty();
    return out;
}

}  // namespace lockstep
