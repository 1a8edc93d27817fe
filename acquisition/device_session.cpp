#include "acquisition/device_session.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace lockstep {
namespace {

// A replayed or virtual board may run this much faster than the wall clock.
constexpr double kFastest = 20;
constexpr double kSlackSeconds = 60;
constexpr int64_t kReportNs = 1000000000;
constexpr size_t kEarlyClock = 64;

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

bool same_description(const StreamInfo& a, const StreamInfo& b) {
    return a.kind == b.kind && a.type == b.type && a.rate_num == b.rate_num && a.rate_den == b.rate_den &&
           a.channels.size() == b.channels.size() &&
           std::equal(a.channels.begin(), a.channels.end(), b.channels.begin(),
                      [](const ChannelInfo& x, const ChannelInfo& y) {
                          return x.name == y.name && x.unit == y.unit && x.scale == y.scale &&
                                 x.offset == y.offset;
                      });
}

std::string hex_prefix(const uint8_t (&id)[8]) {
    char text[17];
    for (size_t i = 0; i < sizeof id; ++i)
        std::snprintf(text + 2 * i, 3, "%02x", id[i]);
    return text;
}

// The 64-bit counter nearest to `near` whose low 32 bits are `wire`.
uint64_t unwrap(uint32_t wire, uint64_t near) {
    const auto step = int32_t(wire - uint32_t(near));
    return step < 0 && uint64_t(-int64_t(step)) > near ? wire : near + uint64_t(int64_t(step));
}

// Could a device have produced so many samples in this time? A hostile counter must not turn into
// billions of lost windows.
bool plausible(uint64_t samples, double rate, double device_s, double host_s) {
    const double possible = std::min(device_s * 1.5 + 2, host_s * kFastest + kSlackSeconds);
    return double(samples) <= rate * possible + 1;
}

}  // namespace

int SessionTable::next_segment() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return segments_++;
}

int SessionTable::stream_index(int device, StreamInfo* info) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < streams_.size(); ++i) {
        const Stream& s = streams_[i];
        if (s.device != device || s.device_name != info->name || !same_description(s.info, *info)) continue;
        info->name = s.info.name;
        return int(i);
    }
    Stream added{device, info->name, *info};
    const auto taken = [this](const std::string& name) {
        return std::any_of(streams_.begin(), streams_.end(),
                           [&](const Stream& s) { return s.info.name == name; });
    };
    for (int n = 2; taken(added.info.name); ++n)
        added.info.name = added.device_name + "_" + std::to_string(n);
    info->name = added.info.name;
    streams_.push_back(std::move(added));
    return int(streams_.size()) - 1;
}

void SessionTable::add_model(const std::string& plan_id, const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    models_.push_back({plan_id, name, true});
}

int SessionTable::model_index(const std::string& plan_id, const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < models_.size(); ++i)
        if (models_[i].plan_id == plan_id) return int(i);
    // The same model in another version: compared, so that the difference is said aloud.
    for (size_t i = 0; i < models_.size(); ++i)
        if (models_[i].host && models_[i].name == name) return int(i);
    models_.push_back({plan_id, name, false});
    return int(models_.size()) - 1;
}

void DeviceSession::on_started(const DeviceInfo& info, uint8_t epoch, const std::string& reason) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int64_t host_ns = now_ns();
    // The device counts on through a change of its description, and before a host joins.
    const bool counting =
        reason == "joined" || (segment_ >= 0 && boot_id_ == info.boot_id && epoch_ == epoch);
    if (segment_ >= 0) end({}, reason, host_ns);
    segment_ = table_->next_segment();
    epoch_ = epoch;
    boot_id_ = info.boot_id;
    started_ = {segment_, device_, epoch, host_ns, reason, info, {}};
    streams_.clear();
    models_.clear();
    for (StreamInfo& s : started_.info.streams) {
        Stream state;
        state.index = table_->stream_index(device_, &s);
        state.seen = !counting;
        state.info = s;
        streams_.push_back(state);
        started_.streams.push_back(state.index);
    }
    for (const DeviceModel& m : info.models)
        models_.push_back(table_->model_index(m.plan_id, m.name));
    hub_->publish(started_);
    for (ClockObservation o : early_clock_) {
        o.segment = segment_;
        hub_->publish(o);
    }
    early_clock_.clear();
}

void DeviceSession::refuse(uint64_t samples, const std::string& why, int64_t host_ns) {
    if (why != refused_why_) report_refused(host_ns, true);
    refused_ += samples;
    refused_why_ = why;
    report_refused(host_ns, false);
}

// A flood of bad frames must not become a flood of events: one a second says how many.
void DeviceSession::report_refused(int64_t host_ns, bool now) {
    if (refused_ == 0 || (!now && refused_ns_ != 0 && host_ns - refused_ns_ < kReportNs)) return;
    hub_->publish(LinkEvent{device_, LinkEventKind::refused, refused_, host_ns,
                            std::to_string(refused_) + " samples refused: " + refused_why_});
    refused_ = 0;
    refused_ns_ = host_ns;
}

void DeviceSession::on_data(int device_stream, uint8_t epoch, uint32_t first, uint64_t device_us,
                            int64_t host_ns, uint16_t sequence, bool discontinuity,
                            std::vector<int32_t> counts) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (segment_ < 0) return;
    if (device_stream < 0 || size_t(device_stream) >= streams_.size())
        return refuse(1, "stream " + std::to_string(device_stream) + " was never described", host_ns);
    Stream& s = streams_[size_t(device_stream)];
    const size_t channels = s.info.channels.size();
    if (channels == 0 || counts.empty() || counts.size() % channels != 0)
        return refuse(1, s.info.name + ": a frame whose length does not fit its channels", host_ns);
    uint64_t count = counts.size() / channels;
    if (epoch != epoch_) return refuse(count, s.info.name + ": samples of an epoch that is over", host_ns);

    const double host_s = double(host_ns - started_.host_ns) / 1e9;
    uint64_t index = s.seen ? unwrap(first, s.next) : first;
    if (s.seen) {
        const bool later = device_us > s.device_us;
        const double device_s = s.next == 0 ? 1e9 : later ? double(device_us - s.device_us) / 1e6 : 0;
        const bool jumped = index > s.next && !plausible(index - s.next, s.info.rate(), device_s, host_s);
        // Later than all that came, and yet counted lower: not a frame that comes twice.
        const bool went_back = index + count <= s.next && device_us > s.last_us && s.next - index > count;
        if (jumped || went_back) {
            // The device restarted its counter without saying so: nothing is merged across that.
            if (host_ns - started_.host_ns < kReportNs)
                return refuse(count, s.info.name + ": its sample counter jumps", host_ns);
            hub_->publish(LinkEvent{device_, LinkEventKind::note, 0, host_ns,
                                    s.info.name + ": the sample counter jumped from " +
                                        std::to_string(s.next) + " to " + std::to_string(index) +
                                        "; a new segment begins"});
            end({}, "counter jumped", host_ns);
            segment_ = table_->next_segment();
            started_.segment = segment_;
            started_.host_ns = host_ns;
            started_.reason = "counter jumped";
            for (Stream& other : streams_)
                other.seen = false;
            hub_->publish(started_);
            index = first;
        } else if (index < s.next) {
            const uint64_t known = s.next - index;
            if (known >= count) return refuse(count, s.info.name + ": samples that came before", host_ns);
            counts.erase(counts.begin(), counts.begin() + std::ptrdiff_t(known * channels));
            count -= known;
            index = s.next;
            device_us = sample_time_us(device_us, uint32_t(known), s.info.rate_num, s.info.rate_den);
        }
    }
    if (s.seen && index > s.next) {
        const uint64_t missing = index - s.next;
        const GapCause cause = discontinuity ? GapCause::device : GapCause::link;
        if (discontinuity) s.device_lost += missing;
        hub_->publish(Gap{s.index, segment_, s.next, missing, cause, host_ns});
    }
    s.seen = true;
    s.next = index + count;
    s.device_us = device_us;
    s.last_us = sample_time_us(device_us, uint32_t(count - 1), s.info.rate_num, s.info.rate_den);

    auto block = std::make_shared<Block>();
    block->stream = s.index;
    block->segment = segment_;
    block->first = index;
    block->device_us = device_us;
    block->host_ns = host_ns;
    block->sequence = sequence;
    block->discontinuity = discontinuity;
    block->count = uint32_t(count);
    block->channels = uint16_t(channels);
    block->counts = std::move(counts);
    hub_->publish(std::shared_ptr<const Block>(std::move(block)));
}

void DeviceSession::on_prediction(const wire::Prediction& p, int64_t host_ns) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (segment_ < 0 || p.epoch != epoch_) return;
    if (p.model >= models_.size())
        return refuse(1, "a prediction of model " + std::to_string(p.model) + ", which was never described",
                      host_ns);
    Prediction out;
    out.origin = Origin::device;
    out.segment = segment_;
    out.model = models_[p.model];
    out.plan_id = hex_prefix(p.plan_id);
    out.window = p.window;
    const std::vector<int>& inputs = started_.info.models[p.model].input_streams;
    for (size_t i = 0; i < p.inputs && i < wire::kMaxModelInputs; ++i) {
        const int stream = i < inputs.size() ? inputs[i] : -1;
        const bool known = stream >= 0 && size_t(stream) < streams_.size();
        out.first.push_back(known ? unwrap(p.first[i], streams_[size_t(stream)].next) : p.first[i]);
    }
    out.input_hash = p.input_hash;
    out.output_hash = p.output_hash;
    out.scores.assign(p.scores, p.scores + std::min<size_t>(p.scores_count, wire::kMaxScores));
    out.cost_kind = p.cost_kind;
    out.cost = p.cost;
    out.device_us = p.time_us;
    out.host_ns = host_ns;
    hub_->publish(out);
}

void DeviceSession::on_health(const wire::Health& health, int64_t host_ns) {
    hub_->publish(HealthReport{device_, host_ns, health});
}

void DeviceSession::on_marker(const wire::Marker& marker, int64_t host_ns) {
    hub_->publish(DeviceMarker{device_, marker.time_us, host_ns, marker.code, marker.text});
}

void DeviceSession::on_clock(const ClockObservation& observation) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ClockObservation out = observation;
    out.device = device_;
    out.segment = segment_;
    if (segment_ >= 0)
        hub_->publish(out);
    else if (early_clock_.size() < kEarlyClock)
        early_clock_.push_back(out);
}

void DeviceSession::on_link(LinkEventKind kind, uint64_t count, const std::string& text, int64_t host_ns) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kind == LinkEventKind::rebooted) early_clock_.clear();
    hub_->publish(LinkEvent{device_, kind, count, host_ns, text});
}

void DeviceSession::on_stopped(const std::vector<wire::StreamHealth>& sent, const std::string& reason,
                               int64_t host_ns) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (segment_ >= 0) end(sent, reason, host_ns);
}

SegmentStarted DeviceSession::current() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    SegmentStarted out = started_;
    out.segment = segment_;
    return out;
}

void DeviceSession::finish(const std::string& reason) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (segment_ >= 0) end({}, reason, now_ns());
}

// The device's own count shows what was lost after the last block that came.
void DeviceSession::end(const std::vector<wire::StreamHealth>& sent, const std::string& reason,
                        int64_t host_ns) {
    report_refused(host_ns, true);
    bool counted = sent.size() == streams_.size();
    const double host_s = double(host_ns - started_.host_ns) / 1e9;
    for (size_t i = 0; counted && i < sent.size(); ++i) {
        Stream& s = streams_[i];
        if (!s.seen) continue;
        const uint64_t produced = unwrap(sent[i].produced, s.next);
        if (produced <= s.next) continue;
        if (!plausible(produced - s.next, s.info.rate(), 1e9, host_s)) {
            counted = false;
            break;
        }
        const bool device = sent[i].dropped > uint32_t(s.device_lost);
        hub_->publish(Gap{s.index, segment_, s.next, produced - s.next,
                          device ? GapCause::device : GapCause::link, host_ns});
    }
    SegmentEnded ended{segment_, host_ns, reason, counted, {}};
    if (counted) ended.sent = sent;
    hub_->publish(ended);
    segment_ = -1;
}

}  // namespace lockstep
