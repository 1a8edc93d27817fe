// A made-up session with everything in it: streams of every sample type, gaps, a reboot, predictions
// of both sides, verdicts, labels with undo, clock, health, markers.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "acquisition/label_track.h"
#include "acquisition/session_store.h"

namespace lockstep::synthetic {

inline WriterOptions options(const std::string& path) {
    WriterOptions o;
    o.path = path;
    o.header.identifier = "6c0a6a52-6b0a-4a8e-9f0e-0d2c5d3f2a11";
    o.header.start_utc_ns = 1790000000123456789;
    o.header.start_host_ns = 5'000'000'000;
    o.header.software = "lockstep 0.1.0";
    o.header.git_commit = "0123abc";
    o.header.subject = "S01";
    o.header.task = "rest";
    o.header.composite = true;
    o.header.settings = {{"uri", "virtual:an386"}, {"mains", "50 Hz, \xC2\xB1 1 %"}};
    o.models = {{"movement", std::string(64, 'a'), {1, 2, 3, 4, 5}},
                {"vitals", std::string(64, 'b'), std::vector<uint8_t>(70000, 7)}};
    o.classes = {{"walk", "#00aa00", '1', "Move/Walk"}, {"sit", "#aa0000", '2', ""}};
    return o;
}

inline StreamInfo stream(const std::string& name, SampleType type, int channels, uint32_t rate,
                         uint16_t batch, float offset = 0.5f) {
    StreamInfo s;
    s.name = name;
    s.kind = name;
    s.type = type;
    s.rate_num = rate;
    s.batch = batch;
    for (int c = 0; c < channels; ++c)
        s.channels.push_back({name + std::to_string(c + 1), "uV", 0.0223517f, offset});
    return s;
}

// All events of `seconds` of session, in order; a share `drop` of the blocks is lost and told as gaps.
class Maker {
  public:
    Maker(int seconds, unsigned seed, double drop) : seconds_(seconds), drop_(drop), random_(seed) {}

    std::vector<Event> make() {
        const int64_t t0 = 5'000'000'000;
        put(LinkEvent{0, LinkEventKind::connected, 0, t0, "virtual:an386"});
        begin(t0, "start", 77);
        for (int second = 0; second < seconds_; ++second) {
            const int64_t now = t0 + int64_t(second) * 1'000'000'000;
            if (second == seconds_ / 2 && second > 0) {
                end(now, "reboot");
                put(LinkEvent{0, LinkEventKind::rebooted, 1, now, "watchdog"});
                begin(now, "reboot", 78);
            }
            for (int tick = 0; tick < 25; ++tick) {
                const int64_t host = now + tick * 40'000'000 + 3'000'000;
                for (size_t i = 0; i < infos_.size(); ++i)
                    samples(i, host);
                if (tick % 6 == 5) window(host);
            }
            facts(second, now);
        }
        end(t0 + int64_t(seconds_) * 1'000'000'000, "stop");
        return std::move(out_);
    }

  private:
    void put(Event e) { out_.push_back(std::move(e)); }
    void begin(int64_t host_ns, const char* reason, uint64_t boot) {
        ++segment_;
        boot_ns_ = host_ns;
        next_.assign(infos_.size(), 0);
        window_ = 0;
        SegmentStarted s;
        s.segment = segment_;
        s.epoch = uint8_t(segment_ + 1);
        s.host_ns = host_ns;
        s.reason = reason;
        s.info.uri = "virtual:an386";
        s.info.board = "mps2-an386";
        s.info.firmware = "0.1.0";
        s.info.build_id = "00112233aabbccdd";
        s.info.boot_id = boot;
        s.info.streams = infos_;
        s.info.models = {{"movement", std::string(64, 'a'), {1}, true}};
        s.streams = {0, 1, 2, 3};
        put(s);
    }
    void end(int64_t host_ns, const char* reason) {
        SegmentEnded e;
        e.segment = segment_;
        e.host_ns = host_ns;
        e.reason = reason;
        e.counted = true;
        for (const uint64_t n : next_)
            e.sent.push_back({uint32_t(n), 0});
        put(e);
    }
    void samples(size_t i, int64_t host) {
        const auto& info = infos_[i];
        const auto due = uint64_t(double(host - boot_ns_) * 1e-9 * info.rate());
        for (; next_[i] + info.batch <= due; next_[i] += info.batch) {
            auto block = std::make_shared<Block>();
            block->stream = int(i);
            block->segment = segment_;
            block->first = next_[i];
            block->device_us = next_[i] * 1'000'000 / info.rate_num;
            block->host_ns = host;
            block->sequence = sequence_++;
            block->discontinuity = sequence_ % 97 == 0;
            block->count = info.batch;
            block->channels = uint16_t(info.channels.size());
            for (uint32_t k = 0; k < block->count; ++k)
                for (size_t c = 0; c < info.channels.size(); ++c)
                    block->counts.push_back(value(i, double(next_[i] + k) / info.rate(), c));
            if (std::uniform_real_distribution<>(0, 1)(random_) < drop_ && next_[i] > 40)
                put(Gap{int(i), segment_, block->first, block->count, GapCause::link, host});
            else
                put(std::shared_ptr<const Block>(std::move(block)));
        }
    }
    int32_t value(size_t i, double t, size_t c) {
        const double v = 3000 * std::sin(t * (3 + double(c))) + noise_(random_) + (i == 2 ? 1e7 : 0);
        if (infos_[i].type != SampleType::float32) return int32_t(v);
        const auto f = float(36 + v / 10000);
        int32_t bits;
        memcpy(&bits, &f, 4);
        return bits;
    }
    void window(int64_t host) {
        for (const Origin origin : {Origin::host, Origin::device}) {
            Prediction p;
            p.origin = origin;
            p.segment = segment_;
            p.plan_id = std::string(origin == Origin::host ? 64 : 16, 'a');
            p.window = window_;
            p.first = {window_ * 50ull};
            p.input_hash = 0x11 * window_;
            p.output_hash = 0x13 * window_;
            p.scores = {0.25f, 0.5f, float(window_)};
            p.cost_kind = wire::CostKind::instructions;
            p.cost = 1000 + window_;
            p.device_us = uint64_t(host - boot_ns_) / 1000;
            p.host_ns = host;
            if (origin == Origin::host) p.stages = {1, 2, window_};
            put(p);
        }
        WindowVerdict v;
        v.segment = segment_;
        v.window = window_++;
        v.reason = v.window % 3 == 0 ? "warming up" : "";
        v.verdict = v.window % 3 == 0 ? Verdict::outside : Verdict::same;
        put(v);
    }
    void facts(int second, int64_t now) {
        ClockObservation o;
        o.segment = segment_;
        o.sent_ns = now;
        o.device_received_us = uint64_t(now - boot_ns_) / 1000 + 500;
        o.device_sent_us = o.device_received_us + 40;
        o.received_ns = now + 1'040'000;
        put(o);
        HealthReport h;
        h.host_ns = now;
        h.health.uptime_us = uint64_t(second) * 1'000'000;
        h.health.streams = 4;
        for (size_t i = 0; i < 4; ++i)
            h.health.stream[i] = {uint32_t(next_[i]), 0};
        put(h);
        if (second % 2 == 0) {
            LabelEdit edit;
            edit.author = "P1";
            edit.after.start = second;
            edit.after.stop = second + 1.5;
            edit.after.stream = second % 4 == 0 ? -1 : 0;
            edit.after.label_class = second % 4 == 0 ? "walk" : "sit";
            edit.after.note = "n\xC3\xB6te " + std::to_string(second);
            put(*labels_.apply(edit));
        } else if (second % 5 == 1) {
            if (auto undone = labels_.undo("P1")) put(*undone);
        }
        put(DeviceMarker{0, uint64_t(second) * 1'000'000, now, uint32_t(second), "tick"});
    }

    int seconds_;
    double drop_;
    std::mt19937 random_;
    std::normal_distribution<double> noise_{0, 400};
    std::vector<StreamInfo> infos_ = {
        stream("eeg", SampleType::int24, 8, 250, 10), stream("imu", SampleType::int16, 6, 100, 4),
        stream("ppg", SampleType::int32, 3, 100, 4), stream("temperature", SampleType::float32, 1, 32, 2)};
    std::vector<Event> out_;
    LabelTrack labels_;
    int segment_ = -1;
    std::vector<uint64_t> next_;
    uint32_t window_ = 0;
    uint16_t sequence_ = 0;
    int64_t boot_ns_ = 0;
};

inline std::vector<Event> events(int seconds, unsigned seed, double drop = 0.02) {
    return Maker(seconds, seed, drop).make();
}

}  // namespace lockstep::synthetic
