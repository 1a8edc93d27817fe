// A board on the other end of a file descriptor, speaking the real wire code, with faults on request.
// It runs real plans with the real runner, so that its predictions are what firmware would send.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "acquisition/model_runner.h"
#include "devices/fd_link.h"
#include "devices/wire/frame.h"
#include "devices/wire/messages.h"

namespace lockstep::test {

// A link over a file descriptor that is open already.
class OpenLink final : public FdLink {
  public:
    explicit OpenLink(int fd) : FdLink("loop") { fd_ = fd; }
    Status open() override { return {}; }
};

struct FakeStream {
    std::string name = "imu";
    std::string kind = "imu";
    SampleType type = SampleType::int16;
    uint32_t rate = 100;
    uint16_t batch = 10;
    std::vector<std::string> channels = {"x", "y"};
    std::string unit = "g";
};

// What the board says in stream `s` at sample `i`, channel `c`.
inline int32_t fake_sample(size_t s, uint64_t i, size_t c) {
    const uint64_t x = (i + 1) * 2654435761u + s * 97 + c * 31;
    return int32_t((x >> 7) % 2001) - 1000;
}

struct FakeOptions {
    std::vector<FakeStream> streams = {{}};
    std::vector<PlanPtr> plans;
    double speed = 20;  // times real time
    uint8_t major = wire::kProtocolMajor;
    std::string board = "fake";
    bool answers = true;
    bool babble = false;  // sends bytes that are no frames
    // Faults; called in the board's thread.
    std::function<bool(uint64_t frame)> lose;  // this data or prediction frame never leaves
    std::function<void(uint64_t frame, std::vector<uint8_t>*)> damage;  // the encoded bytes of a frame
    std::function<void(wire::Prediction*)> twist;                       // before it is encoded
    std::function<bool(uint32_t window)> swallow;                       // this prediction is not sent
    std::function<int32_t(size_t stream, uint64_t i, size_t c, int32_t value)> misread;  // its model's view
    std::function<void(wire::StreamDescription*)> lie;
};

class FakeBoard {
  public:
    explicit FakeBoard(FakeOptions options) : options_(std::move(options)) {}
    ~FakeBoard() { detach(); }

    // Serves this descriptor (owned by the caller) until detach().
    void attach(int fd) {
        detach();
        stop_ = false;
        link_ = std::make_unique<OpenLink>(fd);
        thread_ = std::thread(&FakeBoard::run, this);
    }
    void detach() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
        link_.reset();
    }
    void reboot() { reboot_ = true; }
    void restart_epoch() { restart_ = true; }  // somebody else sends START
    void flood(int frames) { flood_ = frames; }
    uint64_t produced(size_t stream) {
        const std::lock_guard<std::mutex> lock(mutex_);
        return stream < next_.size() ? next_[stream] : 0;
    }
    int starts() const { return starts_; }
    int stage_queries() const { return stage_queries_; }

  private:
    using Clock = std::chrono::steady_clock;

    uint64_t now_us() const {
        return 5000000 +
               uint64_t(double(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - booted_)
                                   .count()) *
                        options_.speed);
    }
    template <typename... Args>
    void send(wire::Type type, Args&&... message) {
        uint8_t payload[wire::kMaxPayload];
        const size_t size = wire::encode(message..., MutableBytes(payload));
        uint8_t frame[wire::kMaxEncoded];
        const size_t length =
            wire::encode_frame(uint8_t(type), sequence_++, Bytes(payload, size), MutableBytes(frame));
        const bool faulty = type == wire::Type::data || type == wire::Type::prediction;
        if (faulty && options_.lose && options_.lose(frames_)) {
            ++frames_;
            return;
        }
        std::vector<uint8_t> bytes(frame, frame + length);
        if (faulty && options_.damage) options_.damage(frames_, &bytes);
        if (faulty) ++frames_;
        if (link_) (void)link_->write(bytes.data(), bytes.size());
    }
    void ack(wire::Type command, uint16_t tag, Code code = Code::ok, Bytes detail = {}) {
        wire::Ack a;
        a.command = uint8_t(command);
        a.tag = tag;
        a.code = code;
        a.detail = detail;
        send(wire::Type::ack, a);
    }
    void hello() {
        wire::Hello h;
        h.major = options_.major;
        h.boot_id = boot_id_;
        options_.board.copy(h.board, sizeof h.board - 1);
        std::string("0.1.0").copy(h.firmware, sizeof h.firmware - 1);
        h.streams = uint8_t(options_.streams.size());
        h.models = uint8_t(options_.plans.size());
        h.max_payload = wire::kMaxPayload;
        h.running = running_;
        h.epoch = epoch_;
        h.device_us = now_us();
        send(wire::Type::hello, h);
    }
    void start() {
        ++epoch_;
        ++starts_;
        running_ = true;
        began_us_ = now_us();
        const std::lock_guard<std::mutex> lock(mutex_);
        next_.assign(options_.streams.size(), 0);
        dropped_.assign(options_.streams.size(), 0);
        models_.clear();
        stages_.clear();
        DeviceInfo info;
        std::vector<int> streams;
        for (const FakeStream& s : options_.streams) {
            StreamInfo out;
            out.name = s.name;
            out.kind = s.kind;
            out.type = s.type;
            out.rate_num = s.rate;
            for (const std::string& c : s.channels)
                out.channels.push_back({c, s.unit, 0.001f, 0});
            info.streams.push_back(out);
            streams.push_back(int(streams.size()));
        }
        for (const PlanPtr& plan : options_.plans) {
            auto runner = ModelRunner::bind(plan, info, streams);
            models_.push_back(runner ? std::move(*runner) : nullptr);
        }
    }
    void reset() {
        boot_id_ = 0;
        epoch_ = 0;
        running_ = false;
        booted_ = Clock::now();
        hello();
    }
    void produce(size_t s) {
        const FakeStream& stream = options_.streams[s];
        Block block;
        block.stream = int(s);
        block.first = next_[s];
        block.count = stream.batch;
        block.channels = uint16_t(stream.channels.size());
        block.device_us = sample_time_us(began_us_, uint32_t(next_[s]), stream.rate, 1);
        block.counts.resize(size_t(block.count) * block.channels);
        std::vector<int32_t> sent(block.counts.size());
        for (size_t i = 0; i < block.count; ++i)
            for (size_t c = 0; c < block.channels; ++c) {
                const int32_t v = fake_sample(s, block.first + i, c);
                sent[i * block.channels + c] = v;
                block.counts[i * block.channels + c] =
                    options_.misread ? options_.misread(s, block.first + i, c, v) : v;
            }
        std::vector<uint8_t> packed(sent.size() * sample_bytes(stream.type));
        pack_samples(stream.type, Span<const int32_t>(sent.data(), sent.size()),
                     MutableBytes(packed.data(), packed.size()));
        wire::Data data;
        data.stream = uint8_t(s);
        data.epoch = epoch_;
        data.count = uint16_t(block.count);
        data.first = uint32_t(block.first);
        data.time_us = block.device_us;
        data.samples = Bytes(packed.data(), packed.size());
        send(wire::Type::data, data);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            next_[s] += block.count;
        }
        for (size_t m = 0; m < models_.size(); ++m)
            if (models_[m])
                models_[m]->push(block, [&](const ModelRunner::Window& w) {
                    if (w.state == model::WindowState::result) predict(m, *w.result);
                });
    }
    void predict(size_t m, const model::WindowResult& r) {
        stages_[r.window].assign(r.stage_hash, r.stage_hash + r.stages);
        wire::Prediction p;
        p.model = uint8_t(m);
        p.epoch = epoch_;
        for (size_t i = 0; i < sizeof p.plan_id; ++i)
            p.plan_id[i] = uint8_t(std::stoul(options_.plans[m]->plan_id.substr(2 * i, 2), nullptr, 16));
        p.window = r.window;
        p.inputs = uint8_t(options_.plans[m]->plan.inputs());
        for (size_t i = 0; i < p.inputs; ++i)
            p.first[i] = uint32_t(r.first[i]);
        p.input_hash = r.input_hash;
        p.output_hash = r.output_hash;
        p.scores_count = r.scores_count;
        std::copy_n(r.scores, r.scores_count, p.scores);
        if (options_.twist) options_.twist(&p);
        if (options_.swallow && options_.swallow(r.window)) return;
        send(wire::Type::prediction, p);
    }
    void on_frame(const wire::FrameView& f) {
        if (!options_.answers) return;
        uint8_t detail[512];
        wire::Command plain;
        switch (wire::Type(f.type)) {
            case wire::Type::hello_request: {
                wire::HelloRequest m;
                if (!wire::decode(f.payload, &m)) return;
                if (boot_id_ == 0) boot_id_ = m.nonce;
                hello();
                return ack(wire::Type::hello_request, m.tag);
            }
            case wire::Type::describe_stream: {
                wire::Describe m;
                if (!wire::decode(f.payload, &m) || m.index >= options_.streams.size()) return;
                const FakeStream& s = options_.streams[m.index];
                wire::StreamDescription d;
                d.stream = m.index;
                s.name.copy(d.name, sizeof d.name - 1);
                s.kind.copy(d.kind, sizeof d.kind - 1);
                d.type = s.type;
                d.channels = uint16_t(s.channels.size());
                d.rate_num = s.rate;
                d.batch = s.batch;
                d.first_channel = m.first_channel;
                wire::ChannelDescription page[wire::kPageChannels];
                for (size_t c = m.first_channel;
                     c < s.channels.size() && d.page_channels < wire::kPageChannels; ++c) {
                    s.channels[c].copy(page[d.page_channels].name, wire::kNameSize - 1);
                    s.unit.copy(page[d.page_channels].unit, wire::kUnitSize - 1);
                    page[d.page_channels++].scale = 0.001f;
                }
                if (options_.lie) options_.lie(&d);
                return send(wire::Type::stream_info, d, Span<const wire::ChannelDescription>(page));
            }
            case wire::Type::describe_model: {
                wire::Describe m;
                if (!wire::decode(f.payload, &m) || m.index >= options_.plans.size()) return;
                const LoadedPlan& plan = *options_.plans[m.index];
                wire::ModelDescription d;
                d.model = m.index;
                for (size_t i = 0; i < sizeof d.plan_id; ++i)
                    d.plan_id[i] = uint8_t(std::stoul(plan.plan_id.substr(2 * i, 2), nullptr, 16));
                std::string(plan.plan.name()).copy(d.name, sizeof d.name - 1);
                d.inputs = uint8_t(plan.plan.inputs());
                for (size_t i = 0; i < d.inputs; ++i)
                    d.input_stream[i] = uint8_t(i);
                d.active = true;
                d.stages = uint8_t(plan.plan.stages());
                return send(wire::Type::model_info, d);
            }
            case wire::Type::start: {
                if (!wire::decode(f.payload, &plain)) return;
                if (plain.tag != start_tag_) start();
                start_tag_ = plain.tag;
                const size_t n = wire::encode(wire::StartReply{epoch_, now_us()}, MutableBytes(detail));
                return ack(wire::Type::start, plain.tag, Code::ok, Bytes(detail, n));
            }
            case wire::Type::stop: {
                if (!wire::decode(f.payload, &plain)) return;
                running_ = false;
                wire::StopReply r;
                r.epoch = epoch_;
                r.streams = uint8_t(next_.size());
                for (size_t i = 0; i < next_.size(); ++i)
                    r.stream[i] = {uint32_t(next_[i]), dropped_[i]};
                const size_t n = wire::encode(r, MutableBytes(detail));
                return ack(wire::Type::stop, plain.tag, Code::ok, Bytes(detail, n));
            }
            case wire::Type::ping: {
                wire::Ping m;
                if (!wire::decode(f.payload, &m)) return;
                const uint64_t now = now_us();
                const size_t n = wire::encode(wire::PingReply{m.host_ns, now, now}, MutableBytes(detail));
                return ack(wire::Type::ping, m.tag, Code::ok, Bytes(detail, n));
            }
            case wire::Type::stages: {
                wire::StagesRequest m;
                if (!wire::decode(f.payload, &m)) return;
                ++stage_queries_;
                wire::StagesReply r;
                r.model = m.model;
                r.window = m.window;
                const auto& hashes = stages_[m.window];
                r.count = uint8_t(hashes.size());
                std::copy(hashes.begin(), hashes.end(), r.hash);
                const size_t n = wire::encode(r, MutableBytes(detail));
                return ack(wire::Type::stages, m.tag, hashes.empty() ? Code::not_found : Code::ok,
                           Bytes(detail, n));
            }
            default:
                return;
        }
    }
    void run() {
        std::vector<uint8_t> buffer(4096);
        auto heartbeat = Clock::now();
        while (!stop_) {
            const auto n = link_->read(buffer.data(), buffer.size(), 2);
            if (!n) return;
            decoder_.push(
                Bytes(buffer.data(), *n),
                [](void* self, const wire::FrameView& f) { static_cast<FakeBoard*>(self)->on_frame(f); },
                this);
            if (reboot_.exchange(false)) reset();
            if (restart_.exchange(false)) start();
            if (options_.babble) (void)link_->write(reinterpret_cast<const uint8_t*>("hello world\r\n"), 13);
            for (int left = flood_.exchange(0); left > 0; --left) {
                wire::Data data;
                data.epoch = uint8_t(epoch_ + 1);
                data.count = 1;
                uint8_t sample[4] = {};
                data.samples = Bytes(sample, 4);
                send(wire::Type::data, data);
            }
            if (Clock::now() - heartbeat > std::chrono::milliseconds(300)) {
                heartbeat = Clock::now();
                if (!running_ && options_.answers)
                    send(wire::Type::heartbeat, wire::Heartbeat{now_us(), epoch_, running_});
            }
            if (!running_) continue;
            const double seconds = double(now_us() - began_us_) / 1e6;
            bool more = true;
            while (more) {
                more = false;
                for (size_t s = 0; s < options_.streams.size(); ++s)
                    if (double(next_[s] + options_.streams[s].batch) < seconds * options_.streams[s].rate) {
                        produce(s);
                        more = true;
                    }
            }
        }
    }

    FakeOptions options_;
    std::unique_ptr<OpenLink> link_;
    std::thread thread_;
    std::atomic<bool> stop_{false};
    std::atomic<bool> reboot_{false};
    std::atomic<bool> restart_{false};
    std::atomic<int> flood_{0};
    std::atomic<int> starts_{0};
    std::atomic<int> stage_queries_{0};
    std::mutex mutex_;
    wire::Decoder decoder_;
    uint16_t sequence_ = 0;
    uint64_t frames_ = 0;
    uint64_t boot_id_ = 0;
    uint8_t epoch_ = 0;
    uint16_t start_tag_ = 0;
    bool running_ = false;
    uint64_t began_us_ = 0;
    Clock::time_point booted_ = Clock::now();
    std::vector<uint64_t> next_;
    std::vector<uint32_t> dropped_;
    std::vector<std::unique_ptr<ModelRunner>> models_;
    std::map<uint32_t, std::vector<uint32_t>> stages_;
};

}  // namespace lockstep::test
