// What is drawn is what was measured: extents against brute force, spikes, gaps, slow streams, memory.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>

#include "acquisition/display_filter.h"
#include "acquisition/hub.h"
#include "acquisition/review_source.h"
#include "acquisition/trace_store.h"

namespace lockstep {
namespace {

constexpr int64_t kStart = 5000000000;

SegmentStarted segment(std::vector<StreamInfo> streams) {
    SegmentStarted start;
    start.host_ns = kStart;
    start.info.boot_id = 1;
    for (size_t i = 0; i < streams.size(); ++i)
        start.streams.push_back(int(i));
    start.info.streams = std::move(streams);
    return start;
}

StreamInfo stream(const std::string& name, uint32_t rate, size_t channels) {
    StreamInfo info;
    info.name = name;
    info.kind = "eeg";
    info.type = SampleType::int32;
    info.rate_num = rate;
    info.channels.assign(channels, {"c", "uV", 0.5f, 1.0f});
    return info;
}

std::shared_ptr<const Block> block(int stream_index, uint32_t rate, uint64_t first,
                                   std::vector<int32_t> counts, uint16_t channels = 1) {
    auto b = std::make_shared<Block>();
    b->stream = stream_index;
    b->first = first;
    b->device_us = first * 1000000 / rate;
    b->host_ns = kStart + int64_t(b->device_us) * 1000;
    b->channels = channels;
    b->count = uint32_t(counts.size() / channels);
    b->counts = std::move(counts);
    return b;
}

struct Point {
    double t;
    float v;
};

// Straight from the definition: samples inside, and the line at both edges where no sample is missing.
Extent brute(const std::vector<Point>& points, double dt, double c0, double c1) {
    Extent e;
    auto add = [&](float v) {
        e.min = e.valid ? std::min(e.min, v) : v;
        e.max = e.valid ? std::max(e.max, v) : v;
        e.valid = true;
    };
    for (size_t i = 0; i < points.size(); ++i) {
        if (points[i].t >= c0 && points[i].t < c1) add(points[i].v);
        if (i == 0 || points[i].t - points[i - 1].t > 1.5 * dt) continue;
        for (double edge : {c0, c1}) {
            const Point& a = points[i - 1];
            const Point& b = points[i];
            if (edge > a.t && edge <= b.t)
                add(float(double(a.v) + double(b.v - a.v) * (edge - a.t) / (b.t - a.t)));
        }
    }
    return e;
}

TEST(TraceStore, ExtentsEqualBruteForceForAnyRateGapAndZoom) {
    std::mt19937 random(7);
    for (uint32_t rate : {1u, 32u, 250u, 2000u}) {
        TraceLimits limits;
        limits.raw_seconds = 1e9;
        TraceStore store(kStart, limits);
        store.on_event(segment({stream("s", rate, 1)}));
        std::vector<Point> points;
        uint64_t next = 0;
        for (int b = 0; b < 120; ++b) {
            if (random() % 11 == 0) next += 3 + random() % 40;  // lost samples
            std::vector<int32_t> counts(1 + random() % 100);
            for (size_t i = 0; i < counts.size(); ++i) {
                counts[i] = int32_t(random() % 20001) - 10000;
                points.push_back({double(next + i) / rate, float(counts[i]) * 0.5f + 1});
            }
            const uint64_t first = next;
            next += counts.size();
            store.on_event(block(0, rate, first, std::move(counts)));
        }
        const double end = double(next) / rate;
        ASSERT_NEAR(store.end_time(), points.back().t, 1e-6);
        for (int trial = 0; trial < 60; ++trial) {
            const double t0 = std::uniform_real_distribution<double>(-0.1 * end, end)(random);
            const double t1 = t0 + end * std::pow(10, -3.0 * (random() % 1000) / 1000.0);
            const int columns = 1 + int(random() % 120);
            std::vector<Extent> out(static_cast<size_t>(columns));
            store.extent(0, 0, t0, t1, columns, out.data());
            for (int c = 0; c < columns; ++c) {
                const double w = (t1 - t0) / columns;
                const Extent want = brute(points, 1.0 / rate, t0 + c * w, t0 + (c + 1) * w);
                ASSERT_EQ(out[size_t(c)].valid, want.valid)
                    << "rate " << rate << " column " << c << " of " << columns;
                ASSERT_NEAR(out[size_t(c)].min, want.min, 0.6) << "rate " << rate;
                ASSERT_NEAR(out[size_t(c)].max, want.max, 0.6);
            }
        }
    }
}

TEST(TraceStore, OneSampleSpikeIsVisibleAtEveryZoomEvenAfterItsSampleWasDropped) {
    TraceLimits limits;
    limits.raw_seconds = 5;  // the spike outlives its sample in the levels
    TraceStore store(kStart, limits);
    store.on_event(segment({stream("s", 1000, 1)}));
    for (uint64_t first = 0; first < 60000; first += 100) {
        std::vector<int32_t> counts(100, 0);
        if (first == 12300) counts[45] = 20000;
        store.on_event(block(0, 1000, first, std::move(counts)));
    }
    for (int columns : {1, 3, 50, 400, 1024}) {
        std::vector<Extent> out(static_cast<size_t>(columns));
        store.extent(0, 0, 0, 60, columns, out.data());
        int seen = 0;
        for (const Extent& e : out)
            seen += e.valid && e.max > 9000 ? 1 : 0;
        EXPECT_GE(seen, 1) << columns << " columns";
        EXPECT_LE(seen, 3) << columns << " columns";
    }
}

TEST(TraceStore, AFinishedColumnNeverChanges) {
    TraceStore store(kStart);
    store.on_event(segment({stream("s", 250, 1)}));
    std::mt19937 random(3);
    const double dt = 10.0 / 1100;
    std::vector<Extent> drawn;
    for (uint64_t first = 0; first < 5000; first += 10) {
        std::vector<int32_t> counts(10);
        for (int32_t& v : counts)
            v = int32_t(random() % 2000);
        store.on_event(block(0, 250, first, std::move(counts)));
        const auto finished = size_t(std::max(0.0, std::floor(store.end_time(0) / dt)));
        while (drawn.size() < finished) {
            Extent e;
            const auto k = double(drawn.size());
            store.extent(0, 0, k * dt, (k + 1) * dt, 1, &e);
            drawn.push_back(e);
        }
    }
    std::vector<Extent> again(drawn.size());
    store.extent(0, 0, 0, double(drawn.size()) * dt, int(drawn.size()), again.data());
    for (size_t k = 0; k < drawn.size(); ++k) {
        ASSERT_EQ(again[k].valid, drawn[k].valid) << k;
        ASSERT_NEAR(again[k].min, drawn[k].min, 1e-3) << k;
        ASSERT_NEAR(again[k].max, drawn[k].max, 1e-3) << k;
    }
}

TEST(TraceStore, IngestsOnItsOwnThreadWhileNobodyLooks) {
    Hub hub;
    auto events = hub.attach(100000);
    TraceStore store(kStart);
    store.follow(events);
    hub.publish(segment({stream("s", 1000, 2)}));
    for (uint64_t first = 0; first < 20000; first += 20)
        hub.publish(block(0, 1000, first, std::vector<int32_t>(40, int32_t(first)), 2));
    hub.close();
    for (int i = 0; i < 500 && store.end_time() < 19.9; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_NEAR(store.end_time(), 19.999, 1e-6);
    EXPECT_EQ(events->dropped(), 0u);
    std::vector<double> time(20000);
    std::vector<float> value(20000);
    EXPECT_EQ(store.samples(0, 1, 0, 20, 20000, time.data(), value.data()), 20000u);
}

TEST(TraceStore, RefusesWhatDoesNotFitWithoutHarm) {
    TraceStore store(kStart);
    store.on_event(block(3, 250, 0, {1, 2, 3}));  // before any segment
    store.on_event(segment({stream("s", 250, 2)}));
    store.on_event(block(0, 250, 0, {1, 2, 3}, 1));  // wrong number of channels
    store.on_event(block(-1, 250, 0, {1, 2, 3}, 1));
    Extent out[4];
    store.extent(0, 9, 0, 1, 4, out);
    store.extent(5, 0, 0, 1, 4, out);
    store.extent(0, 0, 1, 0, 4, out);
    for (const Extent& e : out)
        EXPECT_FALSE(e.valid);
    EXPECT_LT(store.end_time(0), store.begin_time(0));
}

TEST(DisplayFilter, RemovesOffsetAndMainsAndKeepsTheSignal) {
    auto store = std::make_shared<TraceStore>(kStart);
    store->on_event(segment({stream("s", 250, 1)}));
    for (uint64_t first = 0; first < 5000; first += 10) {
        std::vector<int32_t> counts(10);
        for (size_t i = 0; i < 10; ++i) {
            const double t = double(first + i) / 250;
            counts[i] =
                int32_t(400000 + 2000 * std::sin(2 * M_PI * 60 * t) + 200 * std::sin(2 * M_PI * 10 * t));
        }
        store->on_event(block(0, 250, first, std::move(counts)));
    }
    FilteredSource filtered(store);
    filtered.set_filter(0, {1, 40, 60});
    std::vector<Extent> out(10);
    filtered.extent(0, 0, 12, 18, 10, out.data());
    for (const Extent& e : out) {  // 100 in physical units, the 10 Hz tone's amplitude
        ASSERT_TRUE(e.valid);
        EXPECT_NEAR(e.max, 100, 15);
        EXPECT_NEAR(e.min, -100, 15);
    }
    // The file and the store stay raw.
    store->extent(0, 0, 12, 18, 1, out.data());
    EXPECT_GT(out[0].min, 190000);
}

// A session in memory with one stream of 250 Hz: 40 s, a gap of 4 s, 40 s.
class MemorySession : public SessionReader {
  public:
    MemorySession() {
        SessionStream s;
        s.info = stream("s", 250, 1);
        s.rows = 20000;
        s.runs = {{0, 10000, 0, 0, 0, 0.0}, {10000, 10000, 0, 11000, 44000000, 44.0}};
        streams_ = {s};
        for (int i = 0; i < 20000; ++i)
            data_.push_back(i == 7777 ? 50000 : i % 100);
    }
    const std::string& path() const override { return path_; }
    const SessionHeader& header() const override { return header_; }
    const std::string& state() const override { return path_; }
    double duration() const override { return 84; }
    const std::vector<SegmentInfo>& segments() const override { return segments_; }
    const std::vector<SessionStream>& streams() const override { return streams_; }
    const std::vector<SessionModel>& models() const override { return models_; }
    const std::vector<LabelClass>& classes() const override { return classes_; }
    const std::vector<ClockFit>& clocks() const override { return clocks_; }
    Status read(int, uint64_t row, uint64_t count, int32_t* out) override {
        std::copy_n(data_.begin() + long(row), count, out);
        rows_read += count;
        return {};
    }
    const std::vector<uint32_t>& overview_levels() const override { return levels_; }
    Status read_overview(int, uint32_t bin, uint64_t first, uint64_t bins, MinMax* out) override {
        for (uint64_t b = first; b < first + bins; ++b) {
            MinMax m{data_[b * bin], data_[b * bin]};
            for (uint64_t i = b * bin; i < std::min<uint64_t>((b + 1) * bin, data_.size()); ++i) {
                m.min = std::min(m.min, data_[i]);
                m.max = std::max(m.max, data_[i]);
            }
            out[b - first] = m;
        }
        return {};
    }
    Result<std::vector<LabelEdit>> label_history() override { return std::vector<LabelEdit>{}; }
    Result<std::vector<Prediction>> predictions() override { return std::vector<Prediction>{}; }
    Result<std::vector<WindowVerdict>> verdicts() override { return std::vector<WindowVerdict>{}; }
    Result<std::vector<LinkEvent>> link_events() override { return std::vector<LinkEvent>{}; }
    Result<std::vector<ClockObservation>> clock_observations() override {
        return std::vector<ClockObservation>{};
    }
    Result<std::vector<HealthReport>> health() override { return std::vector<HealthReport>{}; }
    Status replay(const std::function<bool(const Event&)>&) override { return {}; }
    uint64_t rows_read = 0;

  private:
    std::string path_ = "s.h5";
    SessionHeader header_;
    std::vector<SegmentInfo> segments_;
    std::vector<SessionStream> streams_;
    std::vector<SessionModel> models_;
    std::vector<LabelClass> classes_;
    std::vector<ClockFit> clocks_;
    std::vector<uint32_t> levels_ = {64, 512};
    std::vector<int32_t> data_;
};

// The first pings of a busy machine may be far off: the picture moves, and nothing looks lost.
TEST(DisplayFilter, ACorrectedClockTearsNoHole) {
    auto store = std::make_shared<TraceStore>();
    store->on_event(segment({stream("a", 100, 1)}));
    FilteredSource filtered(store);
    filtered.set_filter(0, FilterSpec{0.5, 0, 0});
    for (uint64_t b = 0; b < 60; ++b) {
        if (b >= 20 && b % 5 == 0) {
            // The answers take long at first, and longer one way than the other.
            const int64_t late = b < 40 ? 400000000 : 1000000;
            ClockObservation ping;
            ping.device_received_us = ping.device_sent_us = b * 100000;
            ping.sent_ns = kStart + int64_t(b) * 100000000;
            ping.received_ns = ping.sent_ns + late;
            store->on_event(ping);
        }
        std::vector<int32_t> counts;
        for (uint64_t i = 0; i < 10; ++i)
            counts.push_back(int32_t(1000 * std::sin(double(b * 10 + i) * 0.1)));
        store->on_event(block(0, 100, b * 10, counts));
    }
    std::vector<Extent> out(500);
    filtered.extent(0, 0, 0.5, 5.5, 500, out.data());
    for (size_t i = 0; i < out.size(); ++i)
        ASSERT_TRUE(out[i].valid) << i;
}

TEST(ReviewSource, SpikeAndGapShowAtEveryZoomAndWholeViewReadsNoSample) {
    auto reader = std::make_shared<MemorySession>();
    ReviewSource source(reader);
    EXPECT_NEAR(source.end_time(), 84 - 0.004, 1e-6);
    for (int columns : {10, 60, 150, 1000, 5000}) {
        std::vector<Extent> out(static_cast<size_t>(columns));
        source.extent(0, 0, 0, 84, columns, out.data());
        int spikes = 0;
        int holes = 0;
        for (const Extent& e : out) {
            spikes += e.valid && e.max > 20000 ? 1 : 0;
            holes += e.valid ? 0 : 1;
        }
        EXPECT_GE(spikes, 1) << columns;
        EXPECT_LE(spikes, 3) << columns;
        if (columns >= 60) {
            EXPECT_NEAR(holes, columns * 4 / 84.0, columns * 0.02 + 2) << columns;
        }
        if (columns == 150) {
            EXPECT_EQ(reader->rows_read, 0u);
        }
    }
}

}  // namespace
}  // namespace lockstep
