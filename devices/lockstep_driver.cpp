#include "devices/lockstep_driver.h"

#include <algorithm>
#include <chrono>

namespace lockstep {
namespace {

constexpr int64_t kMs = 1000000;
constexpr int64_t kSecond = 1000 * kMs;
constexpr int kPollMs = 20;
// Waiting for a little more costs 2 ms of delay and saves most wake-ups: 1 % of a core instead of 34 %.
constexpr auto kGather = std::chrono::milliseconds(2);
constexpr int kAnswerMs = 500;
constexpr int kAttempts = 3;
constexpr int kStopMs = 1000;
constexpr int kStopAttempts = 5;  // the answer comes behind all that the board has queued
constexpr int64_t kDrainNs = kSecond;
constexpr int64_t kQuietNs = 200 * kMs;
constexpr int64_t kSilenceNs = 3 * kSecond;
constexpr int64_t kGiveUpNs = 10 * kSecond;
constexpr int64_t kFastPingNs = 100 * kMs;
constexpr int64_t kPingNs = 2 * kSecond;
constexpr size_t kReadSize = 64 * 1024;
constexpr uint64_t kFloodFactor = 4;
constexpr uint64_t kFloodFloor = 100000;  // bytes per second that nobody calls a flood

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace

LockstepDriver::LockstepDriver(LockstepOptions options) : options_(std::move(options)), buffer_(kReadSize) {}

LockstepDriver::~LockstepDriver() {
    LockstepDriver::close();
}

std::shared_ptr<ByteLink> LockstepDriver::link() const {
    const std::lock_guard<std::mutex> lock(link_mutex_);
    return link_;
}

void LockstepDriver::set_link(std::shared_ptr<ByteLink> link) {
    const std::lock_guard<std::mutex> lock(link_mutex_);
    link_ = std::move(link);
}

// ---- control calls -------------------------------------------------------------------------------

Result<DeviceInfo> LockstepDriver::open(DriverEvents* events) {
    events_ = events;
    auto opened = options_.open_link();
    if (!opened) return tl::make_unexpected(opened.error());
    set_link(std::move(*opened));
    std::promise<Result<DeviceInfo>> promise;
    auto future = promise.get_future();
    {
        // run() begins with this lock, so that thread_ is set before it asks for its own id.
        const std::lock_guard<std::mutex> lock(mutex_);
        closing_ = false;
        thread_ = std::thread(&LockstepDriver::run, this, std::move(promise));
    }
    Result<DeviceInfo> info = future.get();
    if (!info) close();
    return info;
}

void LockstepDriver::close() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        closing_ = true;
    }
    changed_.notify_all();
    if (const auto open_link = link()) open_link->shut();
    if (thread_.joinable()) thread_.join();
    set_link(nullptr);
}

Status LockstepDriver::start() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        wanted_ = true;
        start_reason_ = "start";
        if (!connected_) return {};  // starts as soon as it is back
    }
    auto answer = command(wire::Type::start, wire::Command{}, "start", kAnswerMs, kAttempts);
    if (answer) return {};
    const std::lock_guard<std::mutex> lock(mutex_);
    wanted_ = false;
    return tl::make_unexpected(answer.error());
}

Status LockstepDriver::stop() {
    bool connected = false;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        wanted_ = false;
        if (!streaming_) return {};
        connected = connected_;
        stopping_ = connected ? Stopping::asked : Stopping::given_up;
    }
    changed_.notify_all();
    Status status;
    if (connected) {
        auto answer = command(wire::Type::stop, wire::Command{}, "stop", kStopMs, kStopAttempts);
        if (!answer) {
            status = tl::make_unexpected(answer.error());
            const std::lock_guard<std::mutex> lock(mutex_);
            if (stopping_ == Stopping::asked) stopping_ = Stopping::given_up;
        }
    }
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(3), [this] { return !streaming_ || closing_; });
    return status;
}

Status LockstepDriver::configure(int device_stream, bool enabled, uint32_t rate_num, uint32_t rate_den,
                                 uint16_t batch) {
    if (device_stream < 0 || device_stream >= int(wire::kMaxStreams) || rate_den == 0)
        return fail(ErrorKind::usage, "no such stream or rate", options_.uri);
    wire::Configure message;
    message.stream = uint8_t(device_stream);
    message.enabled = enabled;
    message.rate_num = rate_num;
    message.rate_den = rate_den;
    message.batch = batch;
    auto answer = command(wire::Type::configure, message, "configure", kAnswerMs, kAttempts);
    if (!answer) return tl::make_unexpected(answer.error());
    const std::lock_guard<std::mutex> lock(mutex_);
    describe_again_ = true;
    return {};
}

Result<std::vector<uint32_t>> LockstepDriver::stages(int device_model, uint32_t window) {
    wire::StagesRequest message;
    message.model = uint8_t(device_model);
    message.window = window;
    auto answer = command(wire::Type::stages, message, "stages", kAnswerMs, 2);
    if (!answer) return tl::make_unexpected(answer.error());
    wire::StagesReply reply;
    if (!wire::decode(Bytes(answer->data(), answer->size()), &reply) || reply.window != window)
        return fail(ErrorKind::device, "the board's stage hashes are malformed", options_.uri);
    return std::vector<uint32_t>(reply.hash, reply.hash + reply.count);
}

Status LockstepDriver::mark(uint32_t code, const std::string& text) {
    wire::HostMarker message;
    message.code = code;
    text.copy(message.text, sizeof message.text - 1);
    auto answer = command(wire::Type::host_marker, message, "mark", kAnswerMs, kAttempts);
    if (!answer) return tl::make_unexpected(answer.error());
    return {};
}

LinkStatistics LockstepDriver::statistics() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return statistics_;
}

// ---- link thread ---------------------------------------------------------------------------------

void LockstepDriver::run(std::promise<Result<DeviceInfo>> opened) {
    { const std::lock_guard<std::mutex> lock(mutex_); }
    Result<DeviceInfo> info = handshake();
    const bool ok = info.has_value();
    if (ok) {
        const std::lock_guard<std::mutex> lock(mutex_);
        info_ = *info;
        connected_ = true;
    }
    if (ok) events_->on_link(LinkEventKind::connected, 0, info->board + " " + info->firmware, now_ns());
    opened.set_value(std::move(info));
    if (!ok) return;
    for (;;) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (closing_) break;
        }
        Status status = pump(kPollMs);
        if (status && silent_ && now_ns() - last_frame_ns_ > kGiveUpNs)
            status = fail(ErrorKind::device, "silent for 10 s", options_.uri);
        if (!status) {
            {
                const std::lock_guard<std::mutex> lock(mutex_);
                if (closing_) break;
            }
            reconnect(status.error().what);
            continue;
        }
        keep_time();
    }
    flush_reports(true);
}

// Reads what is there and hands it on.
Status LockstepDriver::pump(int timeout_ms) {
    const auto open_link = link();
    const auto read = open_link->read(buffer_.data(), buffer_.size(), timeout_ms);
    if (!read) return tl::make_unexpected(read.error());
    if (*read == 0) return {};
    read_ns_ = now_ns();
    bytes_since_frame_ += *read;
    flood_bytes_ += *read;
    decoder_.push(
        Bytes(buffer_.data(), *read),
        [](void* self, const wire::FrameView& frame) { static_cast<LockstepDriver*>(self)->on_frame(frame); },
        this);
    const wire::Decoder::Counters& c = decoder_.counters();
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        statistics_ = {c.bytes, c.frames, c.damaged(), c.lost_frames};
    }
    // Not while a ping is under way: its arrival is being measured.
    if (!ping_open_) std::this_thread::sleep_for(kGather);
    return {};
}

bool LockstepDriver::pump_until(const std::function<bool()>& done, int timeout_ms) {
    const int64_t end = now_ns() + timeout_ms * kMs;
    while (!done()) {
        if (now_ns() > end || !pump(kPollMs)) return done();
        const std::lock_guard<std::mutex> lock(mutex_);
        if (closing_) return false;
    }
    return true;
}

void LockstepDriver::on_frame(const wire::FrameView& frame) {
    last_frame_ns_ = read_ns_;
    bytes_since_frame_ = 0;
    if (silent_) {
        silent_ = false;
        hello_due_ = true;
    }
    bool good = true;
    switch (wire::Type(frame.type)) {
        case wire::Type::hello:
            on_hello(frame.payload);
            break;
        case wire::Type::stream_info: {
            DescribedStream d;
            d.channels.resize(wire::kPageChannels);
            good = wire::decode(frame.payload, &d.stream,
                                Span<wire::ChannelDescription>(d.channels.data(), d.channels.size()));
            d.channels.resize(good ? d.stream.page_channels : 0);
            if (good)
                pages_.push_back(std::move(d));
            else
                refused_description_ =
                    "the description of a stream is malformed (a lying length, a rate of "
                    "zero, a scale that is not finite?)";
            break;
        }
        case wire::Type::model_info: {
            wire::ModelDescription m;
            good = wire::decode(frame.payload, &m);
            if (good)
                described_models_.push_back(m);
            else
                refused_description_ = "the description of a model is malformed";
            break;
        }
        case wire::Type::data:
            on_data_frame(frame);
            break;
        case wire::Type::prediction: {
            wire::Prediction p;
            good = wire::decode(frame.payload, &p);
            last_data_ns_ = read_ns_;
            if (good && !early(p)) events_->on_prediction(p, read_ns_);
            break;
        }
        case wire::Type::health: {
            wire::Health h;
            good = wire::decode(frame.payload, &h);
            if (good) events_->on_health(h, read_ns_);
            break;
        }
        case wire::Type::marker: {
            wire::Marker m;
            good = wire::decode(frame.payload, &m);
            if (good) events_->on_marker(m, read_ns_);
            break;
        }
        case wire::Type::heartbeat: {
            wire::Heartbeat h;
            good = wire::decode(frame.payload, &h);
            const std::lock_guard<std::mutex> lock(mutex_);
            // It believes to be idle while its data is wanted: find out why.
            if (good && !h.running && streaming_ && stopping_ == Stopping::no) hello_due_ = true;
            break;
        }
        case wire::Type::ack: {
            wire::Ack ack;
            good = wire::decode(frame.payload, &ack);
            if (good) on_ack(ack);
            break;
        }
        default:
            break;  // of a newer minor version: skipped
    }
    if (!good && !greeting_) report(LinkEventKind::refused, "malformed messages refused", 1);
}

void LockstepDriver::on_hello(Bytes payload) {
    wire::Hello hello;
    if (!wire::decode(payload, &hello)) {
        malformed_hello_ = true;
        return;
    }
    if (greeting_) {
        // After a reset the first hello comes unasked and without an identity.
        if (hello.major == wire::kProtocolMajor && hello.boot_id == 0) return;
        hello_ = hello;
        have_hello_ = true;
        return;
    }
    hello_due_ = true;  // rebooted, or another stream table
}

void LockstepDriver::on_data_frame(const wire::FrameView& frame) {
    wire::Data data;
    last_data_ns_ = read_ns_;
    if (!wire::decode(frame.payload, &data))
        return report(LinkEventKind::refused, "malformed data refused", 1);
    if (data.stream >= info_.streams.size())
        return report(LinkEventKind::refused, "data of a stream that was never described refused", 1);
    const StreamInfo& stream = info_.streams[data.stream];
    const size_t elements = size_t(data.count) * stream.channels.size();
    if (data.samples.size() != elements * sample_bytes(stream.type))
        return report(LinkEventKind::refused,
                      stream.name + ": frames refused, their length is not what they say", 1);
    if (data.epoch == epoch_) {
        stale_since_ = 0;
    } else if (stale_since_ == 0) {
        stale_since_ = read_ns_;
    } else if (read_ns_ - stale_since_ > kSecond) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (streaming_) hello_due_ = true;  // somebody else restarted it
        stale_since_ = 0;
    }
    std::vector<int32_t> counts(elements);
    unpack_samples(stream.type, data.samples, Span<int32_t>(counts.data(), counts.size()));
    events_->on_data(data.stream, data.epoch, data.first, data.time_us, read_ns_, frame.sequence,
                     (data.flags & wire::kDataDiscontinuity) != 0, std::move(counts));
}

void LockstepDriver::on_ack(const wire::Ack& ack) {
    const auto command = wire::Type(ack.command);
    if (command == wire::Type::hello_request && ack.code == Code::unsupported && greeting_) {
        refused_description_ = "it speaks another version of the protocol";
        return;
    }
    if (command == wire::Type::ping) {
        wire::PingReply reply;
        if (ack.code != Code::ok || !wire::decode(ack.detail, &reply)) return;
        // Answers to earlier pings are as good, but a stamp from the future is nobody's.
        if (int64_t(reply.host_ns) > read_ns_ || read_ns_ - int64_t(reply.host_ns) > kPingNs) return;
        ping_open_ = false;
        const ClockObservation seen{
            0, 0, int64_t(reply.host_ns), reply.received_us, reply.transmitted_us, read_ns_};
        clock_.observe(seen);
        events_->on_clock(seen);
        return;
    }
    bool began = false;
    std::string reason;
    DeviceInfo info;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto it = answers_.find(ack.tag);
        if (it == answers_.end()) return;  // a repeated answer
        if (!it->second.done) {
            it->second = {true, ack.code, {ack.detail.begin(), ack.detail.end()}};
            if (command == wire::Type::model_activate || command == wire::Type::model_rollback) {
                began = take_model_change(ack);
                reason = "model changed";
                info = info_;
            } else if (command == wire::Type::start && ack.code == Code::ok) {
                wire::StartReply reply;
                if (wire::decode(ack.detail, &reply)) {
                    epoch_ = reply.epoch;
                    stale_since_ = 0;
                    streaming_ = true;
                    stopping_ = Stopping::no;
                    began = true;
                    reason = start_reason_;
                    info = info_;
                } else {
                    it->second.code = Code::invalid;
                }
            } else if (command == wire::Type::stop && ack.code == Code::ok && stopping_ == Stopping::asked) {
                wire::StopReply reply;
                sent_.clear();
                if (wire::decode(ack.detail, &reply) && reply.epoch == epoch_)
                    sent_.assign(reply.stream, reply.stream + reply.streams);
                stopping_ = Stopping::acknowledged;
                stop_deadline_ns_ = read_ns_ + kDrainNs;
                last_data_ns_ = read_ns_;
            }
        }
    }
    // Before the next frame of the same read: data of the new epoch may follow at once.
    if (began) events_->on_started(info, epoch_, reason);
    changed_.notify_all();
}

void LockstepDriver::keep_time() {
    const int64_t now = now_ns();
    finish_stop();
    if (now >= ping_due_ns_) {
        ping_open_ = true;
        ping_sent_ns_ = now;
        ping_due_ns_ = now + int64_t(clock_.ping_interval_s() * 1e9);
        uint16_t tag = 0;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            tag = next_tag_++;
        }
        // A failed write shows up in the next read.
        (void)send(wire::Type::ping, wire::Ping{tag, uint64_t(now_ns())});
    }
    if (ping_open_ && now - ping_sent_ns_ > kFastPingNs) ping_open_ = false;
    if (now >= heartbeat_due_ns_) {
        heartbeat_due_ns_ = now + kSecond;
        uint16_t tag = 0;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            tag = next_tag_++;
        }
        (void)send(wire::Type::host_heartbeat, wire::Command{tag});
    }
    watch_silence(now);
    watch_flood(now);
    flush_reports(false);
    bool again = hello_due_ && !silent_ && now >= resume_due_ns_;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        again = again || describe_again_;
        if (stopping_ != Stopping::no) again = false;
        if (again) describe_again_ = false;
    }
    if (again) {
        hello_due_ = false;
        if (!resume("restarted")) resume_due_ns_ = now_ns() + kSecond;
    }
}

void LockstepDriver::watch_silence(int64_t now) {
    if (silent_ || now - last_frame_ns_ < kSilenceNs) return;
    silent_ = true;
    lost_ = true;
    events_->on_link(LinkEventKind::lost, 0,
                     bytes_since_frame_ != 0
                         ? std::to_string(bytes_since_frame_) +
                               " bytes without one valid frame for 3 s: another protocol or baud rate"
                         : "the board is silent for 3 s",
                     now);
}

// Queues are bounded, so a flood cannot take the memory; but the person should know.
void LockstepDriver::watch_flood(int64_t now) {
    if (now - flood_from_ns_ < 2 * kSecond) return;
    double described = 0;
    for (const StreamInfo& s : info_.streams)
        if (s.enabled)
            described += s.rate() * double(s.channels.size() * sample_bytes(s.type)) + s.rate() * 28;
    const double limit =
        std::max(described * std::max(options_.speed, 1.0) * double(kFloodFactor), double(kFloodFloor));
    const double rate = double(flood_bytes_) * 1e9 / double(now - flood_from_ns_);
    if (flood_from_ns_ != 0 && rate > limit)
        events_->on_link(LinkEventKind::overrun, flood_bytes_,
                         "the board sends " + std::to_string(uint64_t(rate)) + " B/s, its streams explain " +
                             std::to_string(uint64_t(described)),
                         now);
    flood_from_ns_ = now;
    flood_bytes_ = 0;
}

void LockstepDriver::report(LinkEventKind kind, const std::string& text, uint64_t count) {
    for (Tally& t : tallies_)
        if (t.kind == kind && t.text == text) {
            t.count += count;
            return;
        }
    if (tallies_.size() < 16) tallies_.push_back({kind, text, count});
}

void LockstepDriver::flush_reports(bool all) {
    const uint64_t damaged = decoder_.counters().damaged();
    if (damaged != damaged_before_)
        report(LinkEventKind::damaged, "damaged frames", damaged - damaged_before_);
    damaged_before_ = damaged;
    const int64_t now = now_ns();
    if (tallies_.empty() || (!all && now < tally_due_ns_)) return;
    for (const Tally& t : tallies_)
        events_->on_link(t.kind, t.count, t.text + " (" + std::to_string(t.count) + ")", now);
    tallies_.clear();
    tally_due_ns_ = now + kSecond;
}

void LockstepDriver::finish_stop() {
    std::vector<wire::StreamHealth> sent;
    std::string reason = "stop";
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const int64_t now = now_ns();
        if (stopping_ == Stopping::no || stopping_ == Stopping::asked) return;
        // What the board had queued behind its answer may still be on its way.
        if (stopping_ == Stopping::acknowledged && now < stop_deadline_ns_ && now - last_data_ns_ < kQuietNs)
            return;
        if (stopping_ == Stopping::acknowledged)
            sent = sent_;
        else
            reason = connected_ ? "the board did not answer stop" : "link lost";
    }
    end_stop(sent, reason);
}

void LockstepDriver::end_stop(const std::vector<wire::StreamHealth>& sent, const std::string& reason) {
    flush_reports(true);
    events_->on_stopped(sent, reason, now_ns());
    const std::lock_guard<std::mutex> lock(mutex_);
    streaming_ = false;
    stopping_ = Stopping::no;
    changed_.notify_all();
}

}  // namespace lockstep
