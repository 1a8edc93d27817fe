// Every planted fault must give exactly the right verdict, and the four verdicts must add up.
#include "acquisition/comparison.h"

#include <gmock/gmock.h>

#include "acquisition/ledger.h"
#include "tests/devices/fake_board.h"
#include "tests/devices/test_plan.h"

namespace lockstep {
namespace {

using test::fake_sample;
using test::make_plan;
using testing::HasSubstr;

constexpr int kSamples = 3000;
constexpr int kBatch = 10;
constexpr int kHop = 15;
constexpr int kWindow = 30;
constexpr int kExpected = (kSamples - kWindow) / kHop + 1;

// A device and a host over the same events, with faults between them.
class ComparisonTest : public testing::Test {
  protected:
    SegmentStarted started() const {
        SegmentStarted s;
        s.reason = "start";
        StreamInfo imu;
        imu.name = imu.kind = "imu";
        imu.rate_num = 100;
        imu.channels = {{"x", "g", 0.001f, 0}, {"y", "g", 0.001f, 0}};
        s.info.streams = {imu};
        s.info.models = {{"test", device_plan->plan_id, {0}, true}};
        s.streams = {0};
        return s;
    }

    std::shared_ptr<Block> block(uint64_t first) const {
        auto b = std::make_shared<Block>();
        b->first = first;
        b->count = kBatch;
        b->channels = 2;
        b->device_us = first * 10000;
        b->host_ns = int64_t(first) * 10000000;
        for (uint64_t i = first; i < first + kBatch; ++i)
            for (size_t c = 0; c < 2; ++c)
                b->counts.push_back(fake_sample(0, i, c));
        return b;
    }

    // Host side of `lost` blocks: never came. `device_lost`: neither side had them.
    void run(const std::set<uint64_t>& lost = {}, const std::set<uint64_t>& device_lost = {},
             bool counted = true, uint64_t join = 0) {
        Comparison comparison(
            {host_plan}, [this](const Event& e) { out(e); },
            [this](int, int, uint32_t window) -> Result<std::vector<uint32_t>> {
                ++asked;
                if (stages.count(window) == 0) return fail(ErrorKind::device, "too long ago");
                return stages[window];
            });
        SegmentStarted start = started();
        ledger.on_event(start);
        comparison.on_event(start);
        auto device = ModelRunner::bind(device_plan, start.info, start.streams);
        ASSERT_TRUE(device) << device.error().message();
        std::vector<Prediction> ready;
        bool discontinuity = false;
        bool gap_open = false;
        Gap gap;
        const auto feed = [&](const Event& e) {
            ledger.on_event(e);
            comparison.on_event(e);
        };
        for (uint64_t first = 0; first < kSamples; first += kBatch) {
            if (device_lost.count(first) != 0) {
                discontinuity = true;
                if (!gap_open) gap = {0, 0, first, 0, GapCause::device, 0};
                gap_open = true;
                gap.missing += kBatch;
                continue;
            }
            auto truth = block(first);
            truth->discontinuity = discontinuity;
            auto seen = std::make_shared<Block>(*truth);
            if (misread) misread(seen.get());
            (*device)->push(*seen, [&](const ModelRunner::Window& w) {
                if (w.state != model::WindowState::result) return;
                Prediction p;
                p.origin = Origin::device;
                p.plan_id = device_plan->plan_id.substr(0, 16);
                p.window = w.result->window;
                p.first = {w.result->first[0]};
                p.input_hash = w.result->input_hash;
                p.output_hash = w.result->output_hash;
                p.scores.assign(w.result->scores, w.result->scores + w.result->scores_count);
                stages[p.window].assign(w.result->stage_hash, w.result->stage_hash + w.result->stages);
                if (twist) twist(&p);
                if (!swallow || !swallow(p.window)) ready.push_back(p);
            });
            if (lost.count(first) != 0 || first < join) {
                if (first >= join) {
                    if (!gap_open) gap = {0, 0, first, 0, GapCause::link, 0};
                    gap_open = true;
                    gap.missing += kBatch;
                }
            } else {
                if (gap_open) feed(gap);
                gap_open = false;
                feed(std::shared_ptr<const Block>(truth));
            }
            discontinuity = false;
            // Sometimes the device is ahead of the host, sometimes behind.
            if (first % 70 == 0 || early)
                for (; !ready.empty(); ready.erase(ready.begin()))
                    if (first >= join) comparison.on_event(ready.front());
        }
        for (const Prediction& p : ready)
            comparison.on_event(p);
        if (gap_open && counted) feed(gap);
        SegmentEnded ended;
        ended.counted = counted;
        if (counted) ended.sent = {{kSamples, 0}};
        feed(ended);
        comparison.finish();
    }

    void out(const Event& e) {
        ledger.on_event(e);
        if (const auto* v = std::get_if<WindowVerdict>(&e)) {
            EXPECT_EQ(verdicts.count(v->window), 0u) << "window " << v->window << " was decided twice";
            verdicts[v->window] = *v;
        }
        if (const auto* p = std::get_if<Prediction>(&e)) host.push_back(*p);
    }

    WindowAccount account() const {
        const Summary s = ledger.summary();
        EXPECT_EQ(s.windows.expected,
                  s.windows.same + s.windows.different + s.windows.lost + s.windows.outside);
        EXPECT_EQ(s.windows.expected, verdicts.size());
        return s.windows;
    }

    PlanPtr host_plan = make_plan();
    PlanPtr device_plan = host_plan;
    std::function<void(Block*)> misread;
    std::function<void(Prediction*)> twist;
    std::function<bool(uint32_t)> swallow;
    bool early = false;
    std::map<uint32_t, std::vector<uint32_t>> stages;
    std::map<uint32_t, WindowVerdict> verdicts;
    std::vector<Prediction> host;
    Ledger ledger;
    int asked = 0;
};

TEST_F(ComparisonTest, without_faults_every_expected_window_is_the_same_or_warming) {
    run();
    const WindowAccount a = account();
    EXPECT_EQ(a.expected, uint64_t(kExpected));
    EXPECT_EQ(a.different + a.lost, 0u);
    for (const auto& [k, v] : verdicts)
        EXPECT_EQ(v.verdict, k * kHop < 50 ? Verdict::outside : Verdict::same) << k << " " << v.reason;
    EXPECT_EQ(asked, 0);
    ASSERT_FALSE(host.empty());
    EXPECT_EQ(host.front().stages.size(), host_plan->plan.stages());
    EXPECT_EQ(host.front().plan_id, host_plan->plan_id);
    EXPECT_TRUE(ledger.summary().whole) << ledger.summary().why_not;
}

TEST_F(ComparisonTest, a_device_that_is_ahead_gives_the_same_verdicts) {
    early = true;
    run();
    EXPECT_EQ(account().same + account().outside, uint64_t(kExpected));
}

TEST_F(ComparisonTest, one_changed_sample_is_found_at_the_samples_of_its_windows) {
    misread = [](Block* b) {
        if (b->first == 1000) b->counts[5 * 2] ^= 1;  // sample 1005, channel x
    };
    run();
    account();
    for (const auto& [k, v] : verdicts) {
        const bool inside = k * kHop <= 1005 && 1005 < k * kHop + kWindow;
        if (inside) {
            EXPECT_EQ(v.verdict, Verdict::different) << k;
            EXPECT_EQ(v.difference, Difference::samples) << k << " " << v.reason;
            EXPECT_EQ(v.stage, 0) << k;
        } else if (v.verdict == Verdict::different) {
            // The filter remembers the sample until it restarts.
            EXPECT_EQ(v.difference, Difference::arithmetic) << v.reason;
            EXPECT_GT(k * kHop, 1005u);
            EXPECT_LT(k * kHop, 1500u + 50);
            EXPECT_THAT(v.reason, HasSubstr("filtered"));
        }
    }
}

TEST_F(ComparisonTest, a_wrong_output_hash_is_a_difference_though_the_stages_agree) {
    twist = [](Prediction* p) {
        if (p->window == 40) p->output_hash ^= 1;
    };
    run();
    EXPECT_EQ(account().different, 1u);
    EXPECT_EQ(verdicts[40].verdict, Verdict::different);
    EXPECT_EQ(verdicts[40].difference, Difference::arithmetic);
    EXPECT_EQ(asked, 1);
}

TEST_F(ComparisonTest, scores_that_are_not_those_hashed_are_a_difference) {
    twist = [](Prediction* p) {
        if (p->window == 40) p->scores[3] += 1;
    };
    run();
    EXPECT_EQ(account().different, 1u);
    EXPECT_THAT(verdicts[40].reason, HasSubstr("scores"));
}

TEST_F(ComparisonTest, another_plan_is_named_as_the_cause_for_every_window) {
    device_plan = make_plan("test", 50, 0.02f);
    ASSERT_NE(device_plan->plan_id, host_plan->plan_id);
    run();
    const WindowAccount a = account();
    EXPECT_EQ(a.same + a.lost, 0u);
    EXPECT_EQ(a.different + a.outside, uint64_t(kExpected));
    EXPECT_EQ(verdicts[50].difference, Difference::plan);
    EXPECT_THAT(verdicts[50].reason, HasSubstr(device_plan->plan_id.substr(0, 16)));
}

TEST_F(ComparisonTest, a_wrong_plan_id_in_one_frame_is_found_there) {
    twist = [](Prediction* p) {
        if (p->window == 40) p->plan_id = "0123456789abcdef";
    };
    run();
    EXPECT_EQ(account().different, 1u);
    EXPECT_EQ(verdicts[40].difference, Difference::plan);
}

TEST_F(ComparisonTest, one_dropped_prediction_is_lost_and_no_other) {
    swallow = [](uint32_t k) { return k == 40; };
    run();
    EXPECT_EQ(account().lost, 1u);
    EXPECT_EQ(verdicts[40].verdict, Verdict::lost);
    EXPECT_THAT(verdicts[40].reason, HasSubstr("prediction never came"));
}

TEST_F(ComparisonTest, the_last_prediction_may_be_the_dropped_one) {
    swallow = [](uint32_t k) { return k == kExpected - 1; };
    run();
    EXPECT_EQ(account().lost, 1u);
    EXPECT_EQ(verdicts[kExpected - 1].verdict, Verdict::lost);
}

TEST_F(ComparisonTest, samples_lost_on_the_link_are_named_and_never_called_different) {
    run({1200});
    const WindowAccount a = account();
    EXPECT_EQ(a.expected, uint64_t(kExpected));
    EXPECT_EQ(a.different, 0u);
    EXPECT_GT(a.lost, 0u);
    EXPECT_EQ(verdicts[80].verdict, Verdict::lost);  // begins at 1200
    EXPECT_EQ(verdicts[80].reason, "samples 1200-1209 of imu lost on the link");
    EXPECT_THAT(verdicts[83].reason, HasSubstr("which the window depends on"));
    EXPECT_EQ(verdicts[kExpected - 1].verdict, Verdict::same) << "the filters restart every 500 samples";
}

TEST_F(ComparisonTest, samples_lost_on_the_device_reset_both_sides) {
    run({}, {1200, 1210});
    const WindowAccount a = account();
    EXPECT_EQ(a.different, 0u);
    EXPECT_EQ(verdicts[80].reason, "samples 1200-1219 of imu lost on the device");
    EXPECT_EQ(verdicts[100].verdict, Verdict::same) << verdicts[100].reason;
}

TEST_F(ComparisonTest, the_first_and_the_last_samples_lost_are_expected_windows_lost) {
    std::set<uint64_t> lost;
    for (uint64_t first = 0; first < 300; first += kBatch)
        lost.insert(first);
    for (uint64_t first = 2800; first < kSamples; first += kBatch)
        lost.insert(first);
    run(lost);
    const WindowAccount a = account();
    EXPECT_EQ(a.expected, uint64_t(kExpected));
    EXPECT_EQ(a.different, 0u);
    EXPECT_EQ(verdicts[0].reason, "samples 0-299 of imu lost on the link");
    EXPECT_EQ(verdicts[kExpected - 1].reason, "samples 2800-2999 of imu lost on the link");
    const Summary s = ledger.summary();
    EXPECT_EQ(s.streams[0].sent, uint64_t(kSamples));
    EXPECT_EQ(s.streams[0].sent, s.streams[0].received + s.streams[0].lost);
    EXPECT_EQ(s.streams[0].gaps, 2u);
    EXPECT_FALSE(s.whole);
}

TEST_F(ComparisonTest, a_session_that_joins_late_expects_only_what_it_saw) {
    run({}, {}, true, 1000);
    const WindowAccount a = account();
    EXPECT_EQ(a.expected, uint64_t((kSamples - kWindow) / kHop - (1000 + kHop - 1) / kHop + 1));
    EXPECT_EQ(a.different + a.lost, 0u);
    EXPECT_EQ(verdicts.begin()->second.verdict, Verdict::outside);
    EXPECT_EQ(verdicts[kExpected - 1].verdict, Verdict::same);
}

TEST_F(ComparisonTest, a_prediction_for_other_samples_is_a_difference) {
    twist = [](Prediction* p) {
        if (p->window == 40) p->first[0] += 1;
    };
    run();
    EXPECT_EQ(account().different, 1u);
    EXPECT_EQ(verdicts[40].difference, Difference::samples);
}

TEST_F(ComparisonTest, random_loss_always_adds_up) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        verdicts.clear();
        stages.clear();
        ledger = Ledger();
        uint32_t state = seed * 2654435761u;
        const auto random = [&] { return (state = state * 1664525u + 1013904223u) >> 16; };
        std::set<uint64_t> lost;
        std::set<uint64_t> device_lost;
        for (uint64_t first = 0; first < kSamples; first += kBatch) {
            if (random() % 20 == 0) lost.insert(first);
            if (random() % 40 == 0) device_lost.insert(first);
        }
        swallow = [&](uint32_t) { return random() % 30 == 0; };
        run(lost, device_lost);
        const WindowAccount a = account();
        EXPECT_EQ(a.expected, uint64_t(kExpected)) << "seed " << seed;
        EXPECT_EQ(a.different, 0u) << "seed " << seed;
        const Summary s = ledger.summary();
        EXPECT_EQ(s.streams[0].sent, s.streams[0].received + s.streams[0].lost) << "seed " << seed;
    }
}

TEST_F(ComparisonTest, a_device_that_does_not_answer_is_not_asked_for_every_window) {
    twist = [this](Prediction* p) {
        stages.erase(p->window);
        p->output_hash ^= 1;
    };
    run();
    const WindowAccount a = account();
    EXPECT_EQ(a.different + a.outside, uint64_t(kExpected));
    EXPECT_EQ(verdicts[50].difference, Difference::arithmetic);
    EXPECT_THAT(verdicts[4].reason, HasSubstr("too long ago"));
    EXPECT_LE(asked, 2);
}

}  // namespace
}  // namespace lockstep
