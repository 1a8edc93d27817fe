// A live session end to end: fake board, real wire, real driver, real core.
#include "acquisition/session.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/lockstep_driver.h"
#include "tests/devices/fake_board.h"
#include "tests/devices/test_plan.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using test::FakeBoard;
using test::FakeOptions;

class SessionTest : public testing::Test {
  protected:
    void connect() {
        board = std::make_unique<FakeBoard>(options);
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        board->attach(ends[0]);
        LockstepOptions link;
        link.uri = "loop:0";
        link.speed = options.speed;
        link.open_link = [end = ends[1]]() -> Result<std::unique_ptr<ByteLink>> {
            return std::make_unique<test::OpenLink>(end);
        };
        const auto added = session.add_device(std::make_unique<LockstepDriver>(std::move(link)));
        ASSERT_TRUE(added) << added.error().message();
    }
    void run(std::chrono::milliseconds time) {
        session.add_model(plan);
        connect();
        sink = session.hub().attach(100000);
        const Status started = session.start();
        ASSERT_TRUE(started) << started.error().message();
        std::this_thread::sleep_for(time);
        const Status stopped = session.stop();
        EXPECT_TRUE(stopped) << stopped.error().message();
    }
    void expect_balance(const Summary& s) {
        for (size_t i = 0; i < s.streams.size(); ++i) {
            EXPECT_EQ(s.streams[i].sent, s.streams[i].received + s.streams[i].lost) << s.streams[i].name;
            EXPECT_EQ(s.streams[i].sent, board->produced(i)) << s.streams[i].name;
        }
        EXPECT_EQ(s.windows.expected,
                  s.windows.same + s.windows.different + s.windows.lost + s.windows.outside);
    }
    // Every stored value is the one the board sent.
    void expect_true_samples() {
        Event e;
        while (sink->pop(&e, 0ms)) {
            const auto* b = std::get_if<std::shared_ptr<const Block>>(&e);
            for (size_t i = 0; b != nullptr && i < (*b)->counts.size(); ++i)
                ASSERT_EQ((*b)->counts[i],
                          test::fake_sample(size_t((*b)->stream), (*b)->first + i / (*b)->channels,
                                            i % (*b)->channels));
        }
    }

    PlanPtr plan = test::make_plan();
    FakeOptions options = [this] {
        FakeOptions o;
        o.plans = {plan};
        return o;
    }();
    std::unique_ptr<FakeBoard> board;
    Session session;
    std::shared_ptr<Subscription> sink;
};

TEST_F(SessionTest, a_clean_run_is_whole_and_every_window_the_same) {
    options.streams.push_back({"eeg", "eeg", SampleType::int24, 250, 9, {"a", "b", "c"}, "uV"});
    run(1500ms);
    const Summary s = session.summary();
    expect_balance(s);
    EXPECT_TRUE(s.whole) << s.why_not;
    EXPECT_GT(s.windows.same, 50u);
    EXPECT_EQ(s.windows.different + s.windows.lost, 0u);
    EXPECT_TRUE(session.misfits().empty());
    expect_true_samples();
}

TEST_F(SessionTest, loss_and_damage_balance_and_are_never_called_different) {
    options.lose = [](uint64_t frame) { return frame % 37 == 11; };
    options.damage = [](uint64_t frame, std::vector<uint8_t>* bytes) {
        if (frame % 53 == 5) (*bytes)[bytes->size() / 2] ^= 0x10;
        if (frame % 71 == 9) bytes->erase(bytes->begin() + 3);
    };
    run(1500ms);
    const Summary s = session.summary();
    expect_balance(s);
    EXPECT_FALSE(s.whole);
    EXPECT_GT(s.streams[0].gaps, 0u);
    EXPECT_GT(s.damaged_frames, 0u);
    EXPECT_GT(s.windows.lost, 0u);
    EXPECT_EQ(s.windows.different, 0u);
    expect_true_samples();
}

TEST_F(SessionTest, a_sample_the_device_saw_otherwise_is_located_by_asking_it) {
    options.misread = [](size_t, uint64_t i, size_t c, int32_t v) {
        return i == 1000 && c == 0 ? v + 500 : v;
    };
    run(1500ms);
    EXPECT_GT(board->stage_queries(), 0);
    bool found = false;
    Event e;
    while (sink->pop(&e, 0ms))
        if (const auto* v = std::get_if<WindowVerdict>(&e))
            if (v->verdict == Verdict::different && v->window * 15 <= 1000 && v->window * 15 + 30 > 1000) {
                found = true;
                EXPECT_EQ(v->difference, Difference::samples) << v->reason;
                EXPECT_EQ(v->stage, 0);
            }
    EXPECT_TRUE(found);
}

TEST_F(SessionTest, a_sink_frozen_for_five_seconds_loses_nothing) {
    options.speed = 1;
    options.streams = {
        {"eeg", "eeg", SampleType::int24, 250, 10, {"a", "b", "c", "d", "e", "f", "g", "h"}, "uV"}};
    options.plans = {};
    run(5s);  // `sink` is not read meanwhile
    EXPECT_EQ(sink->dropped(), 0u);
    EXPECT_GT(session.summary().clock.observations, 3);
    EXPECT_TRUE(session.summary().streams[0].lost == 0) << session.summary().why_not;
    expect_true_samples();
    ASSERT_FALSE(session.misfits().empty());
    EXPECT_NE(session.misfits()[0].find("imu"), std::string::npos) << session.misfits()[0];
}

TEST_F(SessionTest, a_second_start_is_a_second_segment) {
    run(300ms);
    ASSERT_TRUE(session.start());
    std::this_thread::sleep_for(300ms);
    ASSERT_TRUE(session.stop());
    const Summary s = session.summary();
    EXPECT_EQ(s.streams[0].sent, s.streams[0].received);
    int segments = 0;
    Event e;
    while (sink->pop(&e, 0ms))
        segments += std::holds_alternative<SegmentEnded>(e);
    EXPECT_EQ(segments, 2);
}

}  // namespace
}  // namespace lockstep
