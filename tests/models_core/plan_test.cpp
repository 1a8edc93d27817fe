// The plan format: what the builder writes, open() gives back; what is damaged is refused or harmless.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <random>

#include "models/core/engine.h"
#include "models/core/ops/windows.h"
#include "models/core/plan_format.h"
#include "tests/models_core/fixture.h"

namespace lockstep {
namespace {

using namespace model;

TEST(Plan, SaysWhatTheBuilderWasTold) {
    const auto blob = shipped_vitals_plan();
    ASSERT_TRUE(blob) << blob.error().message();
    const auto loaded = plan_from_bytes(*blob);
    ASSERT_TRUE(loaded) << loaded.error().message();
    const Plan& plan = (*loaded)->plan;
    EXPECT_STREQ(plan.name(), "vitals");
    ASSERT_EQ(plan.inputs(), 2u);
    const InputSpec ppg = plan.input(0);
    EXPECT_STREQ(ppg.kind, "ppg");
    EXPECT_EQ(ppg.rate_num, 100u);
    EXPECT_EQ(ppg.rate_den, 1u);
    EXPECT_EQ(ppg.channels, 1u);
    EXPECT_EQ(ppg.window, 800u);
    EXPECT_EQ(ppg.hop, 100u);
    EXPECT_EQ(ppg.warmup, 500u);
    EXPECT_EQ(ppg.reset_period, 1000u);
    const InputSpec gsr = plan.input(1);
    EXPECT_STREQ(gsr.kind, "gsr");
    EXPECT_EQ(gsr.window, 256u);
    EXPECT_EQ(gsr.hop, 0u);
    EXPECT_EQ(gsr.reset_period, 0u);
    EXPECT_STREQ(plan.channel_name(0, 0), "infrared");
    EXPECT_STREQ(plan.channel_unit(1, 0), "uS");
    const std::vector<std::pair<std::string, StageKind>> stages = {{"ppg.samples", StageKind::samples},
                                                                   {"ppg.filtered", StageKind::filtered},
                                                                   {"gsr.samples", StageKind::samples},
                                                                   {"vitals", StageKind::output}};
    ASSERT_EQ(plan.stages(), stages.size());
    for (size_t i = 0; i < stages.size(); ++i) {
        EXPECT_EQ(plan.stage(i).name, stages[i].first);
        EXPECT_EQ(plan.stage(i).kind, stages[i].second);
    }
    ASSERT_EQ(plan.scores(), 4u);
    EXPECT_STREQ(plan.score_name(0), "heart_rate");
    EXPECT_STREQ(plan.score_unit(3), "uS/s");
    EXPECT_FALSE(plan.is_classifier());
    EXPECT_EQ((*loaded)->plan_id, plan_id_of(*blob));
    EXPECT_EQ(*shipped_vitals_plan(), *blob);  // the same bytes every time
}

TEST(Plan, KeepsItsProvenance) {
    const auto blob = chain_plan({});
    ASSERT_TRUE(blob);
    Plan plan;
    ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
    const Bytes json = plan.provenance();
    EXPECT_EQ(std::string(json.begin(), json.end()), "{\"test\": true}");
}

TEST(Plan, NamesAreReadableText) {
    const auto named = [](const std::string& name) {
        TestInput t;
        PlanBuilder b(name);
        const uint16_t x = b.add_input(plan_input(t, "imu"));
        const uint16_t q = b.add_tensor(ElementType::int8, {1, 1, 20, 2}, 1, 0);
        const uint16_t y = b.add_tensor(ElementType::float32, {1, 1, 20, 2});
        b.add_operator(kOpQuantise, {x}, q, {}, "q", StageKind::quantised_input);
        b.add_operator(kOpDequantise, {q}, y, {}, "y", StageKind::output);
        b.set_scores(std::vector<std::string>(40, "s"), std::vector<std::string>(40, "\xc2\xb5V"), false);
        return bool(b.finish());
    };
    EXPECT_TRUE(named("plain"));
    EXPECT_TRUE(named("\xf0\x9f\x98\x80 \xe2\x82\xac \xc3\xbc"));
    for (const char* bad : {"\xff", "\xc3", "a\nb", "\x1b[31m", "\xc0\xaf", "\xed\xa0\x80",
                            "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xc3\x28"})
        EXPECT_FALSE(named(bad)) << bad;
}

TEST(Plan, ArenaIsExactAndReused) {
    const auto blob = chain_plan({});
    ASSERT_TRUE(blob);
    Plan plan;
    ASSERT_EQ(Plan::open(bytes_of(*blob), &plan), Code::ok);
    // float 160 -> float 160 -> int8 40 -> float 160 bytes: two floats at a time, and the bytes.
    EXPECT_EQ(plan.arena_bytes(), 160u + 160u + 40u);
}

// Scratch that outlives a window belongs to its operator alone.
TEST(Plan, WhatIsKeptBetweenWindowsIsSharedWithNothing) {
    HistoryParams p = {3, {}};
    PostStage stage = {kOpMajority, "majority", std::vector<uint8_t>(sizeof p), 3};
    memcpy(stage.params.data(), &p, sizeof p);
    const auto blob = chain_plan({}, {stage, stage});
    ASSERT_TRUE(blob) << blob.error().message();
    const auto opens = [&](const std::function<void(OperatorRecord*)>& change, size_t op) {
        std::vector<uint8_t> bytes = *blob;
        const auto h = load_record<PlanHeader>(bytes_of(bytes), 0);
        const size_t at = h.operators.offset + op * sizeof(OperatorRecord);
        auto r = load_record<OperatorRecord>(bytes_of(bytes), at);
        change(&r);
        memcpy(bytes.data() + at, &r, sizeof r);
        seal_plan(bytes);
        Plan plan;
        if (const Code code = Plan::open(bytes_of(bytes), &plan); code != Code::ok) return code;
        std::vector<uint8_t> memory(Engine::memory_needed(plan));
        Engine engine;
        return engine.bind(plan, all_operators(), MutableBytes(memory.data(), memory.size()));
    };
    uint32_t first = 0;
    EXPECT_EQ(opens([&](OperatorRecord* r) { first = r->scratch; }, 3), Code::ok);
    EXPECT_NE(opens([&](OperatorRecord* r) { r->scratch = first; }, 4), Code::ok);  // the other's
    for (uint32_t at = 0; at < 480; at += 160)
        EXPECT_NE(opens([&](OperatorRecord* r) { r->scratch = at; }, 4), Code::ok) << at;  // a tensor's
    EXPECT_NE(opens([](OperatorRecord* r) { r->flags = 0; }, 4), Code::ok);
    EXPECT_NE(opens([](OperatorRecord* r) { r->flags = 2; }, 4), Code::ok);
    EXPECT_NE(opens([](OperatorRecord* r) { r->flags = kOperatorKeeps; }, 1), Code::ok);
    EXPECT_NE(opens([](OperatorRecord* r) { r->params_bytes = 8; }, 4), Code::ok);
    EXPECT_NE(opens([](OperatorRecord* r) { r->scratch_bytes = 16; }, 4), Code::ok);
}

TEST(Plan, BuilderRefusesWhatTheFormatCannotSay) {
    EXPECT_FALSE(PlanBuilder("empty").finish());
    TestInput bad;
    bad.period = 10;
    bad.warmup = 11;  // warm-up past the period
    EXPECT_FALSE(chain_plan(bad));
    bad = {};
    bad.window = 40;  // 80 scores
    EXPECT_FALSE(chain_plan(bad));
    bad = {};
    bad.hop = 0;
    EXPECT_FALSE(chain_plan(bad));
    bad = {};
    bad.rate = 0;
    EXPECT_FALSE(chain_plan(bad));
}

TEST(Plan, OtherVersionsAreRefusedAsSuch) {
    auto blob = *chain_plan({});
    Plan plan;
    blob[offsetof(PlanHeader, major)] = 2;
    seal_plan(blob);
    EXPECT_EQ(Plan::open(bytes_of(blob), &plan), Code::unsupported);
    const auto loaded = plan_from_bytes(blob, "new.lsplan");
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, ErrorKind::usage);
    EXPECT_NE(loaded.error().message().find("new.lsplan"), std::string::npos);
    blob[offsetof(PlanHeader, major)] = 1;
    blob[offsetof(PlanHeader, minor)] = 9;  // only adds
    seal_plan(blob);
    EXPECT_EQ(Plan::open(bytes_of(blob), &plan), Code::ok);
}

TEST(Plan, EveryTruncationIsRefused) {
    const auto blob = *chain_plan({});
    for (size_t n = 0; n < blob.size(); ++n) {
        std::vector<uint8_t> part(blob.begin(), blob.begin() + long(n));
        part.shrink_to_fit();
        Plan plan;
        EXPECT_NE(Plan::open(bytes_of(part), &plan), Code::ok) << n;
    }
}

TEST(Plan, EveryFlippedBitIsRefused) {
    auto blob = *chain_plan({});
    for (size_t bit = 0; bit < blob.size() * 8; ++bit) {
        blob[bit / 8] ^= uint8_t(1u << (bit % 8));
        Plan plan;
        EXPECT_NE(Plan::open(bytes_of(blob), &plan), Code::ok) << bit;
        blob[bit / 8] ^= uint8_t(1u << (bit % 8));
    }
}

// Binds and runs what opens. Under the sanitizers this shows that validation suffices.
bool survives(const std::vector<uint8_t>& blob) {
    Plan plan;
    if (Plan::open(bytes_of(blob), &plan) != Code::ok) return false;
    size_t letters = strlen(plan.name());
    for (size_t i = 0; i < plan.inputs(); ++i)
        for (size_t c = 0; c < plan.input(i).channels; ++c)
            letters += strlen(plan.channel_name(i, c)) + strlen(plan.channel_unit(i, c));
    for (size_t i = 0; i < plan.stages(); ++i)
        letters += strlen(plan.stage(i).name);
    for (size_t i = 0; i < plan.scores(); ++i)
        letters += strlen(plan.score_name(i)) + strlen(plan.score_unit(i));
    EXPECT_GT(letters, 0u);
    if (Runner::memory_needed(plan, 100) > (1u << 22)) return false;
    BoundRunner bound(plan, 100);
    if (bound.code != Code::ok) return false;
    WindowResult r;
    size_t decided = 0;
    for (int k = 0; k < 3; ++k)
        for (size_t i = 0; i < plan.inputs(); ++i) {
            BlockView view;
            view.first = uint64_t(k) * 60;
            view.time_us = view.first * 10000;
            view.count = 50;
            view.discontinuity = k == 2;
            view.channels = bound.binding[i].stream_channels;
            std::vector<int32_t> counts(size_t(view.count) * view.channels);
            for (size_t n = 0; n < counts.size(); ++n)
                counts[n] = int32_t(n * 7919 % 1000);
            view.counts = Span<const int32_t>(counts.data(), counts.size());
            feed(bound.runner, i, view, &r, [&](WindowState, const WindowResult&) { ++decided; });
        }
    return true;
}

// Cut short by someone who also corrected length and checksum.
void truncate_and_run(const std::vector<uint8_t>& blob) {
    for (size_t n = sizeof(PlanHeader); n < blob.size(); ++n) {
        std::vector<uint8_t> part(blob.begin(), blob.begin() + long(n));
        part.shrink_to_fit();
        const auto bytes = uint32_t(n);
        memcpy(part.data() + offsetof(PlanHeader, bytes), &bytes, 4);
        seal_plan(part);
        if (n + kPlanAlign < blob.size()) {
            EXPECT_FALSE(survives(part)) << n;
        } else {
            survives(part);  // the last bytes may be padding
        }
    }
}

void damage_and_run(std::vector<uint8_t> blob, unsigned seed) {
    ASSERT_TRUE(survives(blob));
    truncate_and_run(blob);
    size_t ran = 0;
    for (size_t bit = 0; bit < blob.size() * 8; ++bit) {
        blob[bit / 8] ^= uint8_t(1u << (bit % 8));
        seal_plan(blob);
        ran += survives(blob);
        blob[bit / 8] ^= uint8_t(1u << (bit % 8));
    }
    std::mt19937 rng(seed);
    for (int i = 0; i < 5000; ++i) {
        auto other = blob;
        const int changes = 1 + int(rng() % 4);
        for (int k = 0; k < changes; ++k) {
            const size_t at = rng() % other.size();
            const uint8_t values[] = {0, 0xff, 0x7f, 0x80, uint8_t(rng())};
            other[at] = values[rng() % 5];
        }
        seal_plan(other);
        ran += survives(other);
    }
    EXPECT_GT(ran, 100u);  // weights and names may change; a test that refuses everything tests nothing
}

TEST(PlanFuzz, DamagedChains) {
    TestInput spec;
    spec.period = 40;
    spec.warmup = 10;
    damage_and_run(*chain_plan(spec), 1);
}

TEST(PlanFuzz, DamagedPairs) {
    TestInput primary;
    TestInput secondary;
    secondary.window = 8;
    secondary.rate = 32;
    secondary.period = 16;
    secondary.warmup = 5;
    damage_and_run(*pair_plan(primary, secondary), 2);
}

TEST(PlanFuzz, DamagedRings) {
    damage_and_run(*ring_plan(), 3);
}

TEST(PlanFile, SavesLoadsAndNeverOverwritesUnasked) {
    const auto folder = std::filesystem::temp_directory_path() / "lockstep_plan_file_test";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    const std::string path = folder / "a.lsplan";
    const auto blob = *chain_plan({});
    ASSERT_TRUE(save_plan(path, blob, false));
    const auto loaded = load_plan(path);
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ((*loaded)->bytes, blob);
    EXPECT_EQ((*loaded)->path, path);
    EXPECT_EQ((*loaded)->plan_id.size(), 64u);

    const auto again = save_plan(path, {1, 2, 3}, false);
    ASSERT_FALSE(again);
    EXPECT_NE(again.error().message().find("exists"), std::string::npos);
    EXPECT_TRUE(load_plan(path));
    ASSERT_TRUE(save_plan(path, {1, 2, 3}, true));
    const auto damaged = load_plan(path);
    ASSERT_FALSE(damaged);
    EXPECT_NE(damaged.error().message().find(path), std::string::npos);

    EXPECT_FALSE(load_plan(folder / "none.lsplan"));
    EXPECT_FALSE(load_plan(folder));
    EXPECT_FALSE(save_plan(folder / "no" / "folder.lsplan", blob, false));
    std::filesystem::remove_all(folder);
}

TEST(Sha256, IsTheOneOfTheStandard) {
    EXPECT_EQ(plan_id_of({'a', 'b', 'c'}),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Preprocessing, PointsAtTheWrongField) {
    std::ifstream file(source_path("resources/models/vitals/vitals.json"));
    const std::string good((std::istreambuf_iterator<char>(file)), {});
    ASSERT_TRUE(parse_preprocessing(good, "v.json"));
    const auto changed = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        const size_t at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        text.replace(at, from.size(), to);
        const auto result = parse_preprocessing(text, "v.json");
        return result ? std::string("accepted") : result.error().message();
    };
    EXPECT_EQ(changed("\"version\": 1", "\"version\": 2"),
              "v.json: /version: not a whole number from 1 to 1");
    EXPECT_NE(changed("\"length\": 800", "\"length\": 0").find("/inputs/0/window/length"), std::string::npos);
    EXPECT_NE(changed("\"warm_up\": 500", "\"warm_up\": 1001").find("/inputs/0/filter/warm_up"),
              std::string::npos);
    EXPECT_NE(changed("\"rate_hz\": 32", "\"rate_hz\": -1").find("/inputs/1/stream/rate_hz"),
              std::string::npos);
    EXPECT_NE(changed("\"rate_hz\": 32", "\"rate_hz\": \"x\"").find("/inputs/1/stream/rate_hz"),
              std::string::npos);
    EXPECT_NE(changed("\"df2t\"", "\"df1\"").find("/inputs/0/filter/form"), std::string::npos);
    EXPECT_NE(changed("\"kind\": \"ppg\"", "\"kind\": 3").find("/inputs/0/stream/kind"), std::string::npos);
    EXPECT_NE(changed("\"outputs\"", "\"_outputs\"").find("/outputs: missing"), std::string::npos);
    // A field that nobody reads is told, with those that are read.
    EXPECT_NE(changed("\"outputs\"", "\"results\"")
                  .find("/results: no such field here, which takes schema, version, model, inputs"),
              std::string::npos);
    EXPECT_FALSE(parse_preprocessing("{", "x"));
    EXPECT_FALSE(parse_preprocessing("[]", "x"));
    EXPECT_FALSE(read_preprocessing("/nonexistent.json"));
}

TEST(Preprocessing, KeepsRatesExact) {
    std::ifstream file(source_path("resources/models/vitals/vitals.json"));
    std::string text((std::istreambuf_iterator<char>(file)), {});
    text.replace(text.find("\"rate_hz\": 32"), 13, "\"rate_hz\": 62.5");
    const auto p = parse_preprocessing(text, "v.json");
    ASSERT_TRUE(p);
    EXPECT_EQ(p->inputs[1].stream.rate_num, 125u);
    EXPECT_EQ(p->inputs[1].stream.rate_den, 2u);
}

TEST(OperatorPlan, RefusesAnOperatorItDoesNotKnow) {
    auto m = *read_preprocessing(source_path("resources/models/vitals/vitals.json"));
    m.operator_name = "vitality";
    EXPECT_FALSE(make_operator_plan(m, ""));
    m.operator_name = "vitals";
    m.inputs[0].stream.window = 100;  // shorter than the longest lag
    EXPECT_FALSE(make_operator_plan(m, ""));
    m.inputs.pop_back();
    EXPECT_FALSE(make_operator_plan(m, ""));
}

}  // namespace
}  // namespace lockstep
