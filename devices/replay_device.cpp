#include "devices/replay_device.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace lockstep {
namespace {

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// 16 hex digits to 8 bytes.
void put_plan_id(const std::string& text, uint8_t (&id)[8]) {
    for (size_t i = 0; i < sizeof id && 2 * i + 1 < text.size(); ++i)
        id[i] = uint8_t(std::strtoul(text.substr(2 * i, 2).c_str(), nullptr, 16));
}

}  // namespace

ReplayDevice::ReplayDevice(std::string uri, std::unique_ptr<SessionReader> reader, double speed, int device)
    : uri_(std::move(uri)), reader_(std::move(reader)), speed_(speed), device_(device) {}

ReplayDevice::~ReplayDevice() {
    ReplayDevice::close();
}

Result<DeviceInfo> ReplayDevice::open(DriverEvents* events) {
    events_ = events;
    for (const SegmentInfo& s : reader_->segments()) {
        if (s.started.device != device_) continue;
        info_ = s.started.info;
        info_.uri = uri_;
        return info_;
    }
    return fail(ErrorKind::usage, "the session has no device " + std::to_string(device_), uri_,
                "'lockstep session info' shows its devices");
}

Status ReplayDevice::start() {
    close();
    stopping_ = false;
    finished_ = false;
    thread_ = std::thread(&ReplayDevice::play, this);
    return {};
}

Status ReplayDevice::stop() {
    close();
    return {};
}

void ReplayDevice::close() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

bool ReplayDevice::finished() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return finished_;
}

Status ReplayDevice::configure(int, bool, uint32_t, uint32_t, uint16_t) {
    return fail(ErrorKind::usage, "a recording cannot be configured", uri_);
}

Result<std::vector<uint32_t>> ReplayDevice::stages(int, uint32_t) {
    return fail(ErrorKind::device, "a recording holds no stage hashes of the device", uri_,
                "replay it to a device with 'lockstep replay SESSION --to URI'");
}

Status ReplayDevice::mark(uint32_t, const std::string&) {
    return {};
}

LinkStatistics ReplayDevice::statistics() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return statistics_;
}

int64_t ReplayDevice::moved(int64_t recorded_ns) const {
    const double scale = speed_ > 0 ? 1 / speed_ : 1;
    return now0_ + int64_t(double(recorded_ns - recorded0_) * scale);
}

// False when stopping.
bool ReplayDevice::wait_for(int64_t recorded_ns) {
    if (recorded0_ == 0) {
        recorded0_ = recorded_ns;
        now0_ = now_ns();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    if (speed_ <= 0) return !stopping_;
    const int64_t wait = moved(recorded_ns) - now_ns();
    if (wait > 0) changed_.wait_for(lock, std::chrono::nanoseconds(wait), [this] { return stopping_; });
    return !stopping_;
}

void ReplayDevice::play() {
    recorded0_ = 0;
    playing_ = false;
    const Status status = reader_->replay([this](const Event& event) { return hand_on(event); });
    if (!status) events_->on_link(LinkEventKind::lost, 0, status.error().message(), now_ns());
    if (playing_) events_->on_stopped({}, "stop", now_ns());
    playing_ = false;
    const std::lock_guard<std::mutex> lock(mutex_);
    finished_ = true;
}

bool ReplayDevice::hand_on(const Event& event) {
    if (const auto* e = std::get_if<SegmentStarted>(&event)) {
        if (e->device != device_) return true;
        if (!wait_for(e->host_ns)) return false;
        const uint64_t boot_id = info_.boot_id;
        info_ = e->info;
        info_.uri = uri_;
        if (playing_ && info_.boot_id != boot_id)
            events_->on_link(LinkEventKind::rebooted, 0, "rebooted in the recording", now_ns());
        segment_ = e->segment;
        streams_ = e->streams;
        playing_ = true;
        // Counters begin where they did; a change of the description continues them.
        epoch_ = e->epoch;
        events_->on_started(info_, epoch_, e->reason);
    } else if (const auto* ended = std::get_if<SegmentEnded>(&event)) {
        if (!playing_ || ended->segment != segment_) return true;
        if (!wait_for(ended->host_ns)) return false;
        events_->on_stopped(ended->counted ? ended->sent : std::vector<wire::StreamHealth>{}, ended->reason,
                            now_ns());
        playing_ = false;
    } else if (const auto* shared = std::get_if<std::shared_ptr<const Block>>(&event)) {
        const Block& b = **shared;
        if (!playing_ || b.segment != segment_) return true;
        const auto it = std::find(streams_.begin(), streams_.end(), b.stream);
        if (it == streams_.end()) return true;
        if (!wait_for(b.host_ns)) return false;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            ++statistics_.frames;
            statistics_.bytes += b.counts.size() * 4;
        }
        events_->on_data(int(it - streams_.begin()), epoch_, uint32_t(b.first), b.device_us, now_ns(),
                         b.sequence, b.discontinuity, b.counts);
    } else if (const auto* p = std::get_if<Prediction>(&event)) {
        if (!playing_ || p->segment != segment_ || p->origin != Origin::device) return true;
        // By plan: the recording's model numbers are those of its session.
        size_t model = 0;
        while (model < info_.models.size() && info_.models[model].plan_id.compare(0, 16, p->plan_id) != 0)
            ++model;
        if (model == info_.models.size() || model >= wire::kMaxModels) return true;
        if (!wait_for(p->host_ns)) return false;
        wire::Prediction out;
        out.model = uint8_t(model);
        out.epoch = epoch_;
        put_plan_id(p->plan_id, out.plan_id);
        out.window = p->window;
        out.time_us = p->device_us;
        out.inputs = uint8_t(std::min(p->first.size(), wire::kMaxModelInputs));
        for (size_t i = 0; i < out.inputs; ++i)
            out.first[i] = uint32_t(p->first[i]);
        out.input_hash = p->input_hash;
        out.output_hash = p->output_hash;
        out.cost_kind = p->cost_kind;
        out.cost = p->cost;
        out.scores_count = uint8_t(std::min(p->scores.size(), wire::kMaxScores));
        std::copy_n(p->scores.begin(), out.scores_count, out.scores);
        events_->on_prediction(out, now_ns());
    } else if (const auto* clock = std::get_if<ClockObservation>(&event)) {
        if (clock->device != device_) return true;
        if (!wait_for(clock->received_ns)) return false;
        // At another pace the device's clock would seem to run wrong; the stamps keep their own scale.
        ClockObservation moved_clock = *clock;
        moved_clock.sent_ns += now0_ - recorded0_;
        moved_clock.received_ns += now0_ - recorded0_;
        events_->on_clock(moved_clock);
    } else if (const auto* health = std::get_if<HealthReport>(&event)) {
        if (health->device != device_) return true;
        if (!wait_for(health->host_ns)) return false;
        events_->on_health(health->health, now_ns());
    } else if (const auto* marker = std::get_if<DeviceMarker>(&event)) {
        if (marker->device != device_) return true;
        if (!wait_for(marker->host_ns)) return false;
        wire::Marker out;
        out.time_us = marker->device_us;
        out.code = marker->code;
        marker->text.copy(out.text, sizeof out.text - 1);
        events_->on_marker(out, now_ns());
    }
    return true;
}

}  // namespace lockstep
