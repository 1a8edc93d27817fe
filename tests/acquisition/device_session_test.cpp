#include "acquisition/device_session.h"

#include <gtest/gtest.h>

#include <random>

#include "acquisition/ledger.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;

constexpr int64_t kSecond = 1000000000;

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

class DeviceSessionTest : public testing::Test {
  protected:
    DeviceSessionTest() {
        StreamInfo eeg;
        eeg.name = eeg.kind = "eeg";
        eeg.rate_num = 250;
        eeg.channels = {{"a", "uV", 1, 0}, {"b", "uV", 1, 0}};
        StreamInfo gsr = eeg;
        gsr.name = gsr.kind = "gsr";
        gsr.rate_num = 32;
        gsr.channels.resize(1);
        info.boot_id = 1;
        info.streams = {eeg, gsr};
    }

    void data(int stream, uint64_t first, uint32_t count, bool discontinuity = false, uint8_t epoch = 1,
              int64_t device_us = -1) {
        const size_t channels = stream == 0 ? 2 : 1;
        if (device_us < 0) device_us = int64_t(1000000 + first * (stream == 0 ? 4000 : 31250));
        session.on_data(stream, epoch, uint32_t(first), uint64_t(device_us), start_ns + device_us * 1000, 0,
                        discontinuity, std::vector<int32_t>(count * channels, 7));
    }

    template <typename T>
    std::vector<T> take() {
        std::vector<T> out;
        Event e;
        while (sink->pop(&e, 0ms)) {
            ledger.on_event(e);
            if (const auto* t = std::get_if<T>(&e)) out.push_back(*t);
        }
        return out;
    }
    using BlockPtr = std::shared_ptr<const Block>;

    Hub hub;
    std::shared_ptr<Subscription> sink = hub.attach(100000);
    SessionTable table;
    DeviceSession session{0, &hub, &table};
    DeviceInfo info;
    Ledger ledger;
    int64_t start_ns = now_ns();
};

TEST_F(DeviceSessionTest, samples_before_a_start_belong_nowhere) {
    data(0, 0, 10);
    EXPECT_TRUE(take<BlockPtr>().empty());
}

TEST_F(DeviceSessionTest, gaps_say_how_many_where_and_whose) {
    session.on_started(info, 1, "start");
    data(0, 10, 10);        // the first ten never came
    data(0, 25, 10);        // five lost
    data(0, 40, 10, true);  // five lost by the device itself
    data(1, 0, 8);
    const auto gaps = take<Gap>();
    ASSERT_EQ(gaps.size(), 3u);
    EXPECT_EQ(gaps[0].first, 0u);
    EXPECT_EQ(gaps[0].missing, 10u);
    EXPECT_EQ(gaps[1].first, 20u);
    EXPECT_EQ(gaps[1].missing, 5u);
    EXPECT_EQ(gaps[1].cause, GapCause::link);
    EXPECT_EQ(gaps[2].cause, GapCause::device);
    session.on_stopped({{60, 5}, {16, 0}}, "stop", now_ns());
    const auto tail = take<Gap>();
    ASSERT_EQ(tail.size(), 2u) << "the device's own count shows the lost end";
    EXPECT_EQ(tail[0].first, 50u);
    EXPECT_EQ(tail[0].missing, 10u);
    EXPECT_EQ(tail[1].stream, 1);
    EXPECT_EQ(tail[1].missing, 8u);
    const Summary s = ledger.summary();
    EXPECT_EQ(s.streams[0].sent, 60u);
    EXPECT_EQ(s.streams[0].received, 30u);
    EXPECT_EQ(s.streams[0].lost, 30u);
    EXPECT_EQ(s.streams[0].gaps, 4u);
    EXPECT_FALSE(s.whole);
}

TEST_F(DeviceSessionTest, a_stream_that_never_came_is_lost_not_forgotten) {
    session.on_started(info, 1, "start");
    data(0, 0, 10);
    session.on_stopped({{10, 0}, {32, 0}}, "stop", now_ns());
    take<Gap>();
    EXPECT_EQ(ledger.summary().streams[1].sent, 32u);
    EXPECT_EQ(ledger.summary().streams[1].lost, 32u);
}

TEST_F(DeviceSessionTest, counters_are_unwrapped_past_32_bits) {
    session.on_started(info, 1, "joined");
    const uint64_t base = 0xFFFFFFF0u;
    for (uint64_t first = base; first < base + 100; first += 10)
        data(0, first, 10);
    uint64_t next = base;
    for (const auto& b : take<BlockPtr>()) {
        EXPECT_EQ(b->first, next);
        next += 10;
    }
    EXPECT_EQ(next, base + 100);
    EXPECT_EQ(ledger.summary().streams[0].gaps, 0u) << "what was sent before it joined is no loss";
}

TEST_F(DeviceSessionTest, repeated_stale_and_foreign_samples_are_refused_and_said_so) {
    session.on_started(info, 1, "start");
    data(0, 0, 10);
    data(0, 0, 10);             // again
    data(0, 5, 10);             // overlaps: its new half counts
    data(0, 15, 10, false, 2);  // another epoch
    data(7, 0, 10);             // no such stream
    session.on_data(0, 1, 15, 1060000, now_ns(), 0, false, std::vector<int32_t>(3));  // half a sample
    session.on_stopped({}, "stop", now_ns());
    uint64_t received = 0;
    std::string refused;
    Event e;
    while (sink->pop(&e, 0ms)) {
        if (const auto* b = std::get_if<BlockPtr>(&e)) received += (*b)->count;
        if (const auto* l = std::get_if<LinkEvent>(&e)) refused += l->text + "\n";
    }
    EXPECT_EQ(received, 15u);
    EXPECT_NE(refused.find("came before"), std::string::npos) << refused;
    EXPECT_NE(refused.find("epoch"), std::string::npos) << refused;
    EXPECT_NE(refused.find("never described"), std::string::npos) << refused;
    EXPECT_NE(refused.find("length"), std::string::npos) << refused;
}

TEST_F(DeviceSessionTest, a_flood_of_refused_frames_is_few_events) {
    session.on_started(info, 1, "start");
    for (int i = 0; i < 100000; ++i)
        data(0, 0, 1, false, 9, 1000000 + i);
    EXPECT_LE(take<LinkEvent>().size(), 3u);
}

TEST_F(DeviceSessionTest, a_reboot_is_a_new_segment_that_merges_nothing) {
    session.on_started(info, 1, "start");
    data(0, 0, 10);
    info.boot_id = 2;
    session.on_started(info, 1, "reboot");
    data(0, 0, 10);
    std::vector<int> segments;
    std::string ended;
    Event e;
    while (sink->pop(&e, 0ms)) {
        if (const auto* b = std::get_if<BlockPtr>(&e)) segments.push_back((*b)->segment);
        if (const auto* s = std::get_if<SegmentEnded>(&e)) ended = s->reason;
    }
    EXPECT_EQ(segments, (std::vector<int>{0, 1}));
    EXPECT_EQ(ended, "reboot");
}

TEST_F(DeviceSessionTest, a_counter_that_jumps_without_reason_ends_the_segment) {
    session.on_started(info, 1, "start");
    data(0, 0, 10);
    data(0, 10, 10, false, 1, 3 * 1000000);
    data(0, 4000000000u - 2147483648u, 10, false, 1, 3 * 1000000 + 4000);
    data(0, 20, 10, false, 1, 6 * 1000000);  // and it jumps back, later
    const auto gaps = take<Gap>();
    EXPECT_TRUE(gaps.empty()) << "billions of lost samples were believed";
    EXPECT_EQ(session.current().reason, "counter jumped");
}

TEST_F(DeviceSessionTest, another_description_is_another_stream_with_a_name_of_its_own) {
    session.on_started(info, 1, "start");
    session.on_started(info, 2, "start");
    DeviceInfo faster = info;
    faster.streams[0].rate_num = 500;
    session.on_started(faster, 3, "start");
    DeviceSession second(1, &hub, &table);
    second.on_started(info, 1, "start");
    const auto starts = take<SegmentStarted>();
    ASSERT_EQ(starts.size(), 4u);
    EXPECT_EQ(starts[1].streams, starts[0].streams);
    EXPECT_NE(starts[2].streams[0], starts[0].streams[0]);
    EXPECT_EQ(starts[2].info.streams[0].name, "eeg_2");
    EXPECT_EQ(starts[2].streams[1], starts[0].streams[1]);
    EXPECT_EQ(starts[3].info.streams[0].name, "eeg_3");
}

TEST_F(DeviceSessionTest, a_changed_description_continues_the_counters) {
    session.on_started(info, 1, "start");
    data(0, 0, 10);
    info.streams[1].enabled = false;
    session.on_started(info, 1, "description changed");
    data(0, 10, 10);
    EXPECT_TRUE(take<Gap>().empty());
    EXPECT_EQ(ledger.summary().streams[0].received, 20u);
}

TEST_F(DeviceSessionTest, pings_before_the_first_segment_are_kept_for_it) {
    session.on_clock({0, 0, 1, 2, 3, 4});
    EXPECT_TRUE(take<ClockObservation>().empty());
    session.on_started(info, 1, "start");
    const auto clocks = take<ClockObservation>();
    ASSERT_EQ(clocks.size(), 1u);
    EXPECT_EQ(clocks[0].segment, 0);
}

TEST_F(DeviceSessionTest, under_random_faults_sent_is_always_received_plus_lost) {
    for (unsigned seed = 1; seed <= 30; ++seed) {
        ledger = Ledger();
        std::mt19937 random(seed);
        session.on_started(info, uint8_t(seed), "start");
        uint64_t next = 0;
        for (int i = 0; i < 300; ++i) {
            const uint32_t count = 1 + random() % 20;
            switch (random() % 12) {
                case 0:
                    break;  // lost
                case 1:
                    data(0, next, count, false, uint8_t(seed + 1));
                    break;  // stale
                case 2:
                    data(0, next > 5 ? next - 5 : 0, count, false, uint8_t(seed));
                    [[fallthrough]];
                case 3:
                    data(0, next, count, true, uint8_t(seed));
                    [[fallthrough]];
                default:
                    data(0, next, count, false, uint8_t(seed));
            }
            next += count;
        }
        session.on_stopped({{uint32_t(next), 0}, {0, 0}}, "stop", start_ns + 10 * kSecond);
        take<Gap>();
        const Summary s = ledger.summary();
        EXPECT_EQ(s.streams[0].sent, next) << "seed " << seed;
        EXPECT_EQ(s.streams[0].received + s.streams[0].lost, next) << "seed " << seed;
    }
}

}  // namespace
}  // namespace lockstep
