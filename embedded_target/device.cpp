#include "embedded_target/device.h"

#include <string.h>

namespace lockstep::firmware {

using wire::Type;

namespace {
constexpr uint64_t kReportPeriodUs = 1000000;
}

const Device::Step Device::kSteps[] = {
    {&Device::step_commands}, {&Device::step_sensor}, {&Device::step_injection}, {&Device::step_report},
    {&Device::step_models},   {&Device::step_stop},   {&Device::step_plans},
};

void Device::init(MutableBytes sample_memory, MutableBytes model_memory, MutableBytes plan_memory) {
    port_ = &board::link();
    transmitter_.init(port_);
    mapped_.init(board::mapped_memory());
    board::Port* const ports[] = {&board::injection(), &mapped_};
    injected_.init(Span<board::Port* const>(ports), sample_memory);
    synthetic_.init();
    sensor_ = &synthetic_;
    plans_.init(plan_memory);
    models_.init(model_memory, &plans_);
    models_.bind(*sensor_);
    streamer_.init(&transmitter_, &models_);
}

bool Device::run_once() {
    for (const Step& step : kSteps)
        if ((this->*step.run)()) return true;
    return false;
}

bool Device::step_commands() {
    uint8_t bytes[256];
    const size_t n = port_->read(MutableBytes(bytes));
    if (n == 0) return false;
    decoder_.push(Bytes(bytes, n), on_frame, this);
    return true;
}

bool Device::step_sensor() {
    return running_ && sensor_->poll(board::now_us(), streamer_);
}

bool Device::step_injection() {
    const bool more = injected_.receive();
    if (injected_.take_changed()) {
        // The streams are others now: what ran is over.
        running_ = false;
        stopping_ = false;
        sensor_->stop();
        sensor_ = injected_.active() ? static_cast<Sensor*>(&injected_) : &synthetic_;
        models_.bind(*sensor_);
        hello_due_ = true;
    }
    injected_.report(board::now_us(), epoch_);
    return more;
}

bool Device::step_report() {
    if (hello_due_) {
        hello_due_ = false;
        send_hello();
        return true;
    }
    const uint64_t now = board::now_us();
    if (now < report_due_us_) return false;
    report_due_us_ = now + kReportPeriodUs;
    if (!running_) transmitter_.send(Type::heartbeat, wire::Heartbeat{now, epoch_, running_});
    send_health(now);
    return true;
}

bool Device::step_models() {
    return (running_ || stopping_) && models_.step(transmitter_);
}

// Runs when no window is left to decide.
bool Device::step_stop() {
    if (!stopping_) return false;
    if (!streamer_.flush_all()) return false;
    if (!models_.step(transmitter_)) finish_stop();
    return true;
}

void Device::on_frame(void* self, const wire::FrameView& frame) {
    Device& me = *static_cast<Device*>(self);
    const Bytes payload = frame.payload;
    wire::Command plain;
    switch (Type(frame.type)) {
        case Type::hello_request:
            me.hello_request(payload);
            break;
        case Type::start:
            if (decode(payload, &plain)) me.start(plain.tag);
            break;
        case Type::stop:
            if (decode(payload, &plain)) me.stop(plain.tag);
            break;
        case Type::configure:
            me.configure(payload);
            break;
        case Type::ping:
            me.ping(payload);
            break;
        case Type::stages:
            me.stages(payload);
            break;
        case Type::describe_stream:
            me.describe_stream(payload);
            break;
        case Type::describe_model:
            me.describe_model(payload);
            break;
        case Type::host_marker:
            me.host_marker(payload);
            break;
        case Type::host_heartbeat:
            break;
        default:
            if (frame.type >= 0x90 && frame.type <= 0x95) return me.model_command(Type(frame.type), payload);
            // Commands of a newer host: refused, not ignored, so that nobody waits.
            if (frame.type >= 0x80 && frame.type < 0xC0 && decode(payload, &plain))
                me.ack(Type(frame.type), plain.tag, Code::unsupported);
            break;
    }
}

void Device::hello_request(Bytes payload) {
    wire::HelloRequest m;
    if (!decode(payload, &m)) return;
    if (boot_id_ == 0) {
        // A time since boot on top of the nonce, so that a host that repeats its nonce still sees a new boot.
        boot_id_ = (m.nonce ^ board::now_us() * 0x9E3779B97F4A7C15u) | 1;
    }
    if (m.nonce != nonce_) {
        // Another host program counts its tags anew.
        nonce_ = m.nonce;
        for (KeptAck& k : kept_)
            k = KeptAck();
    }
    send_hello();
    ack(Type::hello_request, m.tag, m.major == wire::kProtocolMajor ? Code::ok : Code::unsupported);
}

void Device::send_hello() {
    wire::Hello h;
    h.boot_id = boot_id_;
    memcpy(h.build_id, board::build_id(), sizeof h.build_id);
    strncpy(h.board, board::name, sizeof h.board - 1);
    strncpy(h.firmware, LOCKSTEP_FIRMWARE_VERSION, sizeof h.firmware - 1);
    h.streams = uint8_t(sensor_->streams());
    h.models = uint8_t(models_.count());
    h.max_payload = wire::kMaxPayload;
    h.device_us = board::now_us();
    h.reset_cause = board::reset_cause();
    h.running = running_;
    h.epoch = epoch_;
    h.cost_kind = board::cost_kind();
    transmitter_.send(Type::hello, h);
}

void Device::send_health(uint64_t now) {
    wire::Health h;
    h.uptime_us = now;
    h.tx_queue_high = transmitter_.take_high_percent();
    h.rx_queue_high = port_->rx_high_percent();
    h.stack_size = uint32_t(board::stack_size());
    h.stack_high = uint32_t(board::stack_high_water());
    h.bad_frames = uint32_t(decoder_.counters().damaged());
    h.late_samples = sensor_->late_samples();
    h.windows_skipped = models_.windows_skipped();
    h.streams = uint8_t(streamer_.streams());
    for (size_t i = 0; i < h.streams; ++i)
        h.stream[i] = streamer_.health(i);
    transmitter_.send(Type::health, h);
}

void Device::start(uint16_t tag) {
    if (answered_before(Type::start, tag)) return;
    if (stopping_) return ack(Type::start, tag, Code::busy);
    if (sensor_->streams() == 0) return ack(Type::start, tag, Code::not_ready);
    const uint64_t now = board::now_us();
    if (running_) sensor_->stop();
    ++epoch_;
    streamer_.start(*sensor_, epoch_);
    models_.start(epoch_);
    sensor_->start(now);
    running_ = true;
    uint8_t detail[16];
    keep_ack(Type::start, tag, Code::ok,
             Bytes(detail, encode(wire::StartReply{epoch_, now}, MutableBytes(detail))));
}

void Device::stop(uint16_t tag) {
    if (answered_before(Type::stop, tag)) return;
    // A repeated stop while the last data is under way gets its answer with the others.
    stop_tag_ = tag;
    stopping_ = true;
    if (running_) sensor_->stop();
    running_ = false;
}

void Device::finish_stop() {
    stopping_ = false;
    wire::StopReply r;
    r.epoch = epoch_;
    r.streams = uint8_t(streamer_.streams());
    for (size_t i = 0; i < r.streams; ++i)
        r.stream[i] = streamer_.health(i);
    uint8_t detail[kMaxDetail];
    keep_ack(Type::stop, stop_tag_, Code::ok, Bytes(detail, encode(r, MutableBytes(detail))));
}

void Device::configure(Bytes payload) {
    wire::Configure m;
    if (!decode(payload, &m) || answered_before(Type::configure, m.tag)) return;
    if (running_ || stopping_) return ack(Type::configure, m.tag, Code::busy);
    if (m.stream >= sensor_->streams()) return ack(Type::configure, m.tag, Code::not_found);
    const Code code = sensor_->configure(m);
    models_.bind(*sensor_);
    const wire::StreamDescription& d = sensor_->description(m.stream);
    uint8_t detail[16];
    const wire::ConfigureReply reply{m.stream, d.enabled, d.rate_num, d.rate_den, d.batch};
    keep_ack(Type::configure, m.tag, code, Bytes(detail, encode(reply, MutableBytes(detail))));
}

void Device::ping(Bytes payload) {
    wire::Ping m;
    if (!decode(payload, &m)) return;
    wire::PingReply r;
    r.host_ns = m.host_ns;
    r.received_us = port_->frame_end_us();
    r.transmitted_us = board::now_us();
    uint8_t detail[32];
    ack(Type::ping, m.tag, Code::ok, Bytes(detail, encode(r, MutableBytes(detail))));
}

void Device::stages(Bytes payload) {
    wire::StagesRequest m;
    if (!decode(payload, &m)) return;
    wire::StagesReply r;
    const Code code = models_.stages(m.model, m.window, &r);
    uint8_t detail[8 + 4 * wire::kMaxStages];
    ack(Type::stages, m.tag, code, Bytes(detail, code == Code::ok ? encode(r, MutableBytes(detail)) : 0));
}

void Device::describe_stream(Bytes payload) {
    wire::Describe m;
    if (!decode(payload, &m)) return;
    if (m.index >= sensor_->streams()) return ack(Type::describe_stream, m.tag, Code::not_found);
    wire::StreamDescription d = sensor_->description(m.index);
    const Span<const wire::ChannelDescription> all = sensor_->channels(m.index);
    if (m.first_channel >= all.size()) return ack(Type::describe_stream, m.tag, Code::out_of_range);
    const Span<const wire::ChannelDescription> page = all.subspan(m.first_channel, wire::kPageChannels);
    d.stream = m.index;
    d.first_channel = m.first_channel;
    d.page_channels = uint16_t(page.size());
    transmitter_.send(d, page);
    ack(Type::describe_stream, m.tag, Code::ok);
}

void Device::describe_model(Bytes payload) {
    wire::Describe m;
    if (!decode(payload, &m)) return;
    wire::ModelDescription d;
    const Code code = models_.describe(m.index, &d);
    if (code == Code::ok) transmitter_.send(Type::model_info, d);
    ack(Type::describe_model, m.tag, code);
}

// The marker comes back with the device's time, where the device's samples are.
void Device::host_marker(Bytes payload) {
    wire::HostMarker m;
    if (!decode(payload, &m) || answered_before(Type::host_marker, m.tag)) return;
    wire::Marker marker;
    marker.time_us = board::now_us();
    marker.code = m.code;
    memcpy(marker.text, m.text, sizeof marker.text);
    transmitter_.send(Type::marker, marker);
    keep_ack(Type::host_marker, m.tag, Code::ok);
}

void Device::ack(Type command, uint16_t tag, Code code, Bytes detail) {
    wire::Ack a;
    a.command = uint8_t(command);
    a.tag = tag;
    a.code = code;
    a.detail = detail;
    transmitter_.send(Type::ack, a);
}

void Device::keep_ack(Type command, uint16_t tag, Code code, Bytes detail) {
    KeptAck& k = kept_[kept_next_++ % kKeptAcks];
    k.command = uint8_t(command);
    k.tag = tag;
    k.code = code;
    k.size = uint16_t(detail.size());
    memcpy(k.detail, detail.data(), detail.size());
    ack(command, tag, code, detail);
}

bool Device::answered_before(Type command, uint16_t tag) {
    for (const KeptAck& k : kept_)
        if (k.command == uint8_t(command) && k.tag == tag) {
            ack(command, tag, k.code, Bytes(k.detail, k.size));
            return true;
        }
    return false;
}

}  // namespace lockstep::firmware
