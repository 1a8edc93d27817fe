// The runner against the reference of reference_runner.h: random gaps, joins and cuts into blocks.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "models/core/ops/windows.h"
#include "tests/models_core/reference_runner.h"

namespace lockstep {
namespace {

using namespace model;

using Rng = std::mt19937;

int pick(Rng& rng, int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(rng);
}

// A stretch of a stream that arrived without a gap.
struct Run {
    uint64_t first = 0;
    uint64_t end = 0;
    bool discontinuity = false;
};

struct Stream {
    Arrival arrival;
    std::vector<Run> runs;
};

Stream random_stream(Rng& rng, const TestInput& spec, double seconds, bool may_join_late) {
    Stream s;
    s.arrival.rate = spec.rate;
    s.arrival.channels = uint16_t(spec.channels + 1);
    const uint64_t end = uint64_t(seconds * spec.rate);
    uint64_t at = may_join_late && pick(rng, 0, 2) == 0 ? uint64_t(pick(rng, 1, int(end / 2))) : 0;
    bool first = true;
    while (at < end) {
        Run run;
        run.first = at;
        run.end = std::min<uint64_t>(end, at + uint64_t(pick(rng, 1, int(end))));
        run.discontinuity = pick(rng, 0, 1) == 0 && (!first || at != 0);
        if (run.discontinuity) s.arrival.trusted.push_back(at);
        for (uint64_t i = run.first; i < run.end; ++i)
            for (int c = 0; c < s.arrival.channels; ++c)
                s.arrival.sample[i].push_back(pick(rng, -30000, 30000));
        s.runs.push_back(run);
        at = run.end + uint64_t(pick(rng, 0, 3) == 0 ? 0 : pick(rng, 1, 60));
        first = false;
    }
    // Two runs that touch without a discontinuity are one.
    return s;
}

struct Piece {
    size_t input = 0;
    BlockView view;
    std::vector<int32_t> counts;
};

// Cuts every stream into blocks and mixes them by time, with a lag of up to `jitter_us`.
std::vector<Piece> random_pieces(Rng& rng, const std::vector<Stream>& streams, int longest, int jitter_us) {
    std::vector<std::pair<double, Piece>> timed;
    for (size_t i = 0; i < streams.size(); ++i) {
        const Arrival& a = streams[i].arrival;
        double latest = 0;
        for (const Run& run : streams[i].runs)
            for (uint64_t at = run.first; at < run.end;) {
                Piece p;
                p.input = i;
                p.view.first = at;
                p.view.time_us = a.stamp(at);
                p.view.channels = a.channels;
                p.view.discontinuity = run.discontinuity && at == run.first;
                p.view.count = uint32_t(std::min<uint64_t>(uint64_t(pick(rng, 1, longest)), run.end - at));
                for (uint64_t k = at; k < at + p.view.count; ++k)
                    p.counts.insert(p.counts.end(), a.sample.at(k).begin(), a.sample.at(k).end());
                at += p.view.count;
                latest = std::max(latest, double(a.stamp(at)) + pick(rng, 0, jitter_us));
                timed.emplace_back(latest, std::move(p));
            }
    }
    std::stable_sort(timed.begin(), timed.end(),
                     [](const auto& x, const auto& y) { return x.first < y.first; });
    std::vector<Piece> out;
    for (auto& t : timed) {
        out.push_back(std::move(t.second));
        out.back().view.counts = Span<const int32_t>(out.back().counts.data(), out.back().counts.size());
    }
    return out;
}

std::vector<Decision> run(Runner& runner, const Plan& plan, const std::vector<Piece>& pieces) {
    std::vector<Decision> out;
    WindowResult r;
    for (const Piece& p : pieces) {
        BlockView view = p.view;
        view.counts = Span<const int32_t>(p.counts.data(), p.counts.size());
        feed(runner, p.input, view, &r, [&](WindowState state, const WindowResult& w) {
            Decision d;
            d.window = w.window;
            d.state = state;
            d.first.assign(w.first, w.first + plan.inputs());
            for (size_t s = 0; s < w.stages; ++s)
                if (plan.stage(s).kind == StageKind::samples || plan.stage(s).kind == StageKind::filtered)
                    d.input_hashes.push_back(w.stage_hash[s]);
            d.output_hash = w.output_hash;
            out.push_back(d);
        });
    }
    return out;
}

// Both lists, up to where one ends, and how many of each state.
void expect_same(const std::vector<Decision>& got, const std::vector<Decision>& expected,
                 const std::string& what, int* counts) {
    ASSERT_EQ(got.size(), expected.size()) << what;
    for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].window, expected[i].window) << what;
        ASSERT_EQ(int(got[i].state), int(expected[i].state)) << what << " window " << got[i].window;
        ASSERT_EQ(got[i].first, expected[i].first) << what << " window " << got[i].window;
        ASSERT_EQ(got[i].input_hashes, expected[i].input_hashes) << what << " window " << got[i].window;
        ++counts[int(got[i].state)];
    }
}

TEST(Runner, OneInputEqualsTheReference) {
    int counts[3] = {};
    for (unsigned seed = 0; seed < 150; ++seed) {
        Rng rng(seed);
        TestInput spec;
        spec.window = uint32_t(pick(rng, 1, 30));
        spec.hop = uint32_t(pick(rng, 1, 40));
        if (pick(rng, 0, 3) != 0) {
            spec.period = uint32_t(pick(rng, 1, 50));
            spec.warmup = uint32_t(pick(rng, 0, int(spec.period)));
        }
        const auto blob = chain_plan(spec);
        ASSERT_TRUE(blob) << blob.error().message();
        Plan plan;
        ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
        const std::vector<Stream> streams = {random_stream(rng, spec, 5, true)};
        const auto expected = reference_decisions({streams[0].arrival}, {spec});
        std::vector<uint32_t> outputs;
        for (const int longest : {1, 9, 700}) {
            BoundRunner bound(plan, uint32_t(pick(rng, 0, 50)));
            ASSERT_EQ(bound.code, Code::ok);
            const auto got = run(bound.runner, plan, random_pieces(rng, streams, longest, 0));
            expect_same(got, expected,
                        "seed " + std::to_string(seed) + " blocks up to " + std::to_string(longest), counts);
            std::vector<uint32_t> hashes;
            for (const Decision& d : got)
                hashes.push_back(d.output_hash);
            if (outputs.empty()) outputs = hashes;
            EXPECT_EQ(outputs, hashes) << "seed " << seed;
            if (HasFatalFailure()) return;
        }
    }
    for (const int n : counts)
        EXPECT_GT(n, 500);  // every state was there, often
}

using Rows = std::map<uint32_t, std::vector<float>>;

// Scores of the windows that have a result, and the states of all.
std::vector<WindowState> scores_of(const Plan& plan, const std::vector<Piece>& pieces, Rows* rows,
                                   uint32_t* first) {
    BoundRunner bound(plan, 50);
    EXPECT_EQ(bound.code, Code::ok);
    std::vector<WindowState> states;
    WindowResult r;
    for (const Piece& p : pieces) {
        BlockView view = p.view;
        view.counts = Span<const int32_t>(p.counts.data(), p.counts.size());
        feed(bound.runner, 0, view, &r, [&](WindowState state, const WindowResult& w) {
            if (states.empty()) *first = w.window;
            states.push_back(state);
            EXPECT_EQ(w.scores_count != 0, state == WindowState::result);
            Span<const uint32_t> kept;
            EXPECT_EQ(bound.runner.stages_of(w.window, &kept), state == WindowState::result);
            if (state == WindowState::result) (*rows)[w.window].assign(w.scores, w.scores + w.scores_count);
        });
    }
    return states;
}

// What a stage over windows gives, from the rows before it: as docs/parity.md and windows.h say it.
Rows over_windows(const Rows& rows, const PostStage& stage) {
    Rows out;
    for (const auto& [window, newest] : rows) {
        std::vector<float> y(newest.size());
        float all = 0;
        bool whole = true;
        for (uint32_t i = 0; i < stage.windows && whole; ++i) {
            const auto it = window < i ? rows.end() : rows.find(window - i);
            whole = it != rows.end();
            if (!whole) break;
            float weight = 1;
            if (stage.code == kOpSmooth) memcpy(&weight, stage.params.data() + 16 + 4 * i, 4);
            all += weight;
            const auto& row = it->second;
            for (size_t e = 0; e < y.size(); ++e)
                if (stage.code == kOpSmooth)
                    y[e] += weight * row[e];
                else if (std::max_element(row.begin(), row.end()) - row.begin() == long(e))
                    y[e] += 1;
        }
        for (float& v : y)
            v /= all;
        if (whole) out[window] = y;
    }
    return out;
}

TEST(Runner, StagesOverWindowsLookBackOnWholeHistoriesOnly) {
    const auto stages = [](const char* text) { return post_stages(nlohmann::json::parse(text), ""); };
    const std::vector<std::vector<PostStage>> ways = {
        stages(R"([{"kind": "moving_average", "windows": 4}])"),
        stages(
            R"([{"kind": "exponential", "windows": 3, "share": 0.3}, {"kind": "majority", "windows": 3}])"),
        stages(R"([{"kind": "majority", "windows": 1}])")};
    int counts[3] = {};
    for (unsigned seed = 0; seed < 120; ++seed) {
        Rng rng(seed);
        TestInput spec;
        spec.hop = uint32_t(pick(rng, 1, 12));
        spec.period = uint32_t(pick(rng, 1, 50));
        spec.warmup = uint32_t(pick(rng, 0, int(spec.period)));
        const std::vector<PostStage>& post = ways[seed % ways.size()];
        uint32_t memory = 0;
        for (const PostStage& s : post)
            memory += s.windows - 1;
        const auto plain = chain_plan(spec), blob = chain_plan(spec, post);
        ASSERT_TRUE(plain && blob) << blob.error().message();
        Plan own_plan, plan;
        ASSERT_EQ(Plan::open(bytes_of(*plain), &own_plan), Code::ok);
        ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
        ASSERT_EQ(plan.memory(), memory);
        const auto pieces = random_pieces(rng, {random_stream(rng, spec, 5, true)}, pick(rng, 1, 60), 0);
        Rows own, got;
        uint32_t first = 0, begin = 0;
        const auto before = scores_of(own_plan, pieces, &own, &first);
        const auto after = scores_of(plan, pieces, &got, &begin);
        ASSERT_EQ(before.size(), after.size());
        ASSERT_EQ(first, begin);
        for (size_t i = 0; i < before.size(); ++i) {
            bool missing = false, warming = false;
            for (uint32_t back = 0; back <= memory; ++back) {
                const WindowState s = back <= i    ? before[i - back]
                                      : first == 0 ? WindowState::warming
                                                   : WindowState::missing;
                missing = missing || s == WindowState::missing;
                warming = warming || s == WindowState::warming;
            }
            const WindowState wanted = before[i] == WindowState::missing || missing ? WindowState::missing
                                       : warming                                    ? WindowState::warming
                                                                                    : WindowState::result;
            ASSERT_EQ(int(after[i]), int(wanted)) << "seed " << seed << " window " << first + i;
            ++counts[int(wanted)];
        }
        Rows expected = own;
        for (const PostStage& s : post)
            expected = over_windows(expected, s);
        ASSERT_EQ(got, expected) << "seed " << seed;
    }
    for (const int n : counts)
        EXPECT_GT(n, 200);
}

TEST(Runner, TwoInputsEqualTheReference) {
    int counts[3] = {};
    for (unsigned seed = 0; seed < 150; ++seed) {
        Rng rng(seed);
        TestInput primary;
        TestInput secondary;
        primary.channels = secondary.channels = 1;
        primary.window = uint32_t(pick(rng, 15, 40));
        primary.hop = uint32_t(pick(rng, 1, 30));
        secondary.rate = uint32_t(pick(rng, 0, 1) == 0 ? 32 : 250);
        secondary.window = uint32_t(pick(rng, 1, 30));
        for (TestInput* spec : {&primary, &secondary})
            if (pick(rng, 0, 1) != 0) {
                spec->period = uint32_t(pick(rng, 1, 50));
                spec->warmup = uint32_t(pick(rng, 0, int(spec->period)));
            }
        const auto blob = pair_plan(primary, secondary);
        ASSERT_TRUE(blob) << blob.error().message();
        Plan plan;
        ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
        const std::vector<Stream> streams = {random_stream(rng, primary, 5, true),
                                             random_stream(rng, secondary, 5, true)};
        const auto expected =
            reference_decisions({streams[0].arrival, streams[1].arrival}, {primary, secondary});
        for (const int longest : {1, 9, 40}) {
            BoundRunner bound(plan, 6000);
            ASSERT_EQ(bound.code, Code::ok);
            const auto got = run(bound.runner, plan, random_pieces(rng, streams, longest, longest * 20000));
            expect_same(got, expected,
                        "seed " + std::to_string(seed) + " blocks up to " + std::to_string(longest), counts);
            if (HasFatalFailure()) return;
        }
    }
    for (const int n : counts)
        EXPECT_GT(n, 500);
}

std::vector<Stream> whole_streams(Rng& rng, const std::vector<TestInput>& specs, double seconds) {
    std::vector<Stream> out;
    for (const TestInput& spec : specs) {
        Stream s;
        s.arrival.rate = spec.rate;
        s.arrival.channels = uint16_t(spec.channels + 1);
        const uint64_t end = uint64_t(seconds * spec.rate);
        for (uint64_t i = 0; i < end; ++i)
            for (int c = 0; c < s.arrival.channels; ++c)
                s.arrival.sample[i].push_back(pick(rng, -3000, 3000));
        s.runs.push_back({0, end, false});
        out.push_back(s);
    }
    return out;
}

TEST(Runner, ASecondaryThatNeverComesMakesWindowsMissingOnceTheSlackIsUsed) {
    Rng rng(1);
    TestInput primary;
    TestInput secondary;
    primary.channels = secondary.channels = 1;
    secondary.window = 8;
    const auto blob = pair_plan(primary, secondary);
    ASSERT_TRUE(blob);
    Plan plan;
    ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
    BoundRunner bound(plan, 500);
    ASSERT_EQ(bound.code, Code::ok);
    const auto streams = whole_streams(rng, {primary, secondary}, 3);
    auto pieces = random_pieces(rng, {streams[0]}, 7, 0);
    const auto got = run(bound.runner, plan, pieces);
    // 300 samples came; a window is given up when its first sample is window + slack + 1 samples ago.
    ASSERT_EQ(got.size(), (300u - (20 + 50 + 1) + 4) / 5);
    for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].window, i);
        EXPECT_EQ(got[i].state, WindowState::missing);
    }
}

TEST(Runner, RepeatedAndForeignBlocksChangeNothing) {
    Rng rng(2);
    TestInput spec;
    spec.period = 40;
    spec.warmup = 10;
    const auto blob = chain_plan(spec);
    ASSERT_TRUE(blob);
    Plan plan;
    ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
    const auto streams = whole_streams(rng, {spec}, 3);
    const auto pieces = random_pieces(rng, streams, 20, 0);
    BoundRunner plain(plan, 100);
    const auto expected = run(plain.runner, plan, pieces);
    std::vector<Piece> noisy;
    for (const Piece& p : pieces) {
        noisy.push_back(p);
        noisy.push_back(p);
        Piece foreign = p;
        foreign.view.channels = 1;
        foreign.view.first += p.view.count;
        noisy.push_back(foreign);
        Piece nothing = p;
        nothing.view.first += 1000;
        nothing.view.count = 0;
        noisy.push_back(nothing);
    }
    BoundRunner bound(plan, 100);
    EXPECT_TRUE(run(bound.runner, plan, noisy) == expected);
    EXPECT_GT(expected.size(), 40u);
}

TEST(Runner, ResetBeginsANewEpoch) {
    Rng rng(3);
    TestInput spec;
    spec.period = 40;
    spec.warmup = 10;
    const auto blob = chain_plan(spec);
    ASSERT_TRUE(blob);
    Plan plan;
    ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
    const auto pieces = random_pieces(rng, whole_streams(rng, {spec}, 2), 20, 0);
    BoundRunner bound(plan, 100);
    const auto first = run(bound.runner, plan, pieces);
    bound.runner.reset();
    EXPECT_EQ(bound.runner.next_window(), 0u);
    EXPECT_TRUE(run(bound.runner, plan, pieces) == first);
}

TEST(Runner, KeepsTheStageHashesOfTheLastSixteenResults) {
    Rng rng(4);
    TestInput spec;
    const auto blob = chain_plan(spec);
    ASSERT_TRUE(blob);
    Plan plan;
    ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
    BoundRunner bound(plan, 1000);
    std::map<uint32_t, std::vector<uint32_t>> seen;
    WindowResult r;
    const auto pieces = random_pieces(rng, whole_streams(rng, {spec}, 2), 20, 0);
    for (const Piece& p : pieces)
        feed(bound.runner, 0, p.view, &r, [&](WindowState, const WindowResult& w) {
            seen[w.window].assign(w.stage_hash, w.stage_hash + w.stages);
            EXPECT_EQ(w.stages, plan.stages());
            EXPECT_EQ(w.input_hash, w.stage_hash[2]);
            EXPECT_EQ(w.output_hash, w.stage_hash[3]);
        });
    ASSERT_EQ(seen.size(), 37u);
    for (const auto& [window, hashes] : seen) {
        Span<const uint32_t> kept;
        ASSERT_EQ(bound.runner.stages_of(window, &kept), window >= 21) << window;
        if (window >= 21) {
            EXPECT_EQ(std::vector<uint32_t>(kept.begin(), kept.end()), hashes);
        }
    }
    Span<const uint32_t> kept;
    EXPECT_FALSE(bound.runner.stages_of(37, &kept));
}

TEST(Runner, BindRefusesWhatCannotRun) {
    const auto blob = chain_plan({});
    ASSERT_TRUE(blob);
    Plan plan;
    ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
    BoundRunner good(plan, 100);
    ASSERT_EQ(good.code, Code::ok);
    const Span<const InputBinding> inputs(good.binding.data(), good.binding.size());
    Runner r;
    std::vector<uint8_t> memory(Runner::memory_needed(plan, 100));
    const MutableBytes all(memory.data(), memory.size());
    EXPECT_EQ(r.bind(plan, all_operators(), inputs, all.subspan(0, all.size() - 32), 100), Code::no_space);
    EXPECT_EQ(r.bind(plan, all_operators(), inputs, MutableBytes(), 100), Code::no_space);
    EXPECT_EQ(r.bind(plan, OperatorTable(), inputs, all, 100), Code::unsupported);
    EXPECT_EQ(r.bind(plan, all_operators(), Span<const InputBinding>(), all, 100), Code::invalid);
    good.channel[0][1] = 3;
    EXPECT_EQ(r.bind(plan, all_operators(), inputs, all, 100), Code::out_of_range);
}

TEST(Runner, FloatSamplesTravelAsBits) {
    TestInput spec;
    spec.channels = 1;
    const auto blob = chain_plan(spec);
    ASSERT_TRUE(blob);
    Plan plan;
    ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
    uint32_t features[2];
    for (int as_float = 0; as_float < 2; ++as_float) {
        BoundRunner bound(plan, 100);
        bound.binding[0].float_samples = as_float == 1;
        const Span<const InputBinding> inputs(bound.binding.data(), 1);
        ASSERT_EQ(bound.runner.bind(plan, all_operators(), inputs,
                                    MutableBytes(bound.memory.data(), bound.memory.size()), 100),
                  Code::ok);
        std::vector<int32_t> counts;
        for (int32_t i = 0; i < 20; ++i) {
            const float value = float(i * 3);
            int32_t bits;
            memcpy(&bits, &value, 4);
            counts.push_back(0);
            counts.push_back(as_float == 1 ? bits : i * 3);
        }
        BlockView view;
        view.count = 20;
        view.channels = 2;
        view.counts = Span<const int32_t>(counts.data(), counts.size());
        bound.runner.push(0, view);
        WindowState state;
        WindowResult r;
        ASSERT_TRUE(bound.runner.step(&state, &r));
        ASSERT_EQ(state, WindowState::result);
        features[as_float] = r.stage_hash[1];
    }
    EXPECT_EQ(features[0], features[1]);
}

}  // namespace
}  // namespace lockstep
