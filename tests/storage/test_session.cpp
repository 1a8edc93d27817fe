#include "fixture.h"
#include "storage/label_editor.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;

TEST_F(Storage, ReplayGivesWhatWasRecorded) {
    const auto events = synthetic::events(10, 2);
    const std::string path = record("a.h5", events);
    EXPECT_FALSE(fs::exists(at("a.h5.journal")));
    EXPECT_FALSE(fs::exists(at("a.h5.tmp")));
    expect_same(events, replayed(path));
    expect_in_order(path);

    auto session = open_session(path);
    ASSERT_TRUE(session);
    EXPECT_EQ((*session)->state(), "final");
    EXPECT_EQ((*session)->header().subject, "S01");
    EXPECT_TRUE((*session)->header().composite);
    EXPECT_EQ((*session)->header().settings, synthetic::options("").header.settings);
    ASSERT_EQ((*session)->models().size(), 2u);
    EXPECT_EQ((*session)->models()[1].plan, std::vector<uint8_t>(70000, 7));
    ASSERT_EQ((*session)->classes().size(), 2u);
    EXPECT_EQ((*session)->classes()[0].hotkey, '1');
    EXPECT_EQ((*session)->segments().size(), 2u);
    EXPECT_NEAR((*session)->streams()[0].rate_measured, 250, 1);
    EXPECT_NEAR((*session)->duration(), 10, 0.1);
    EXPECT_EQ((*session)->clocks().size(), 2u);
    // Row 0 of the second segment lies where the device began again.
    for (const RowRun& run : (*session)->streams()[0].runs)
        EXPECT_NEAR(run.time, (run.segment == 0 ? 0 : 5) + double(run.first) / 250, 0.002);
}

TEST_F(Storage, AnEmptySessionIsASession) {
    const std::string path = record("a.h5", {});
    EXPECT_TRUE(replayed(path).empty());
    expect_in_order(path);
}

TEST_F(Storage, PyramidAgreesWithTheRows) {
    const std::string path = record("a.h5", synthetic::events(20, 3));
    auto opened = open_session(path);
    ASSERT_TRUE(opened);
    SessionReader& session = **opened;
    ASSERT_EQ(session.streams().size(), 4u);
    for (size_t i = 0; i < session.streams().size(); ++i) {
        const SessionStream& s = session.streams()[i];
        EXPECT_FALSE(s.gaps.empty());
        const size_t channels = s.info.channels.size();
        std::vector<int32_t> rows(s.rows * channels);
        ASSERT_TRUE(session.read(int(i), 0, s.rows, rows.data()));
        EXPECT_FALSE(session.read(int(i), s.rows, 1, rows.data()));
        // Positive floats order as their bits do, so one comparison serves all types here.
        for (const uint32_t bin : session.overview_levels()) {
            const uint64_t bins = (s.rows + bin - 1) / bin;
            std::vector<MinMax> got(bins * channels);
            ASSERT_TRUE(session.read_overview(int(i), bin, 0, bins, got.data()));
            for (uint64_t b = 0; b < bins; ++b)
                for (size_t c = 0; c < channels; ++c) {
                    int32_t low = INT32_MAX, high = INT32_MIN;
                    for (uint64_t r = b * bin; r < std::min<uint64_t>(s.rows, (b + 1) * bin); ++r) {
                        low = std::min(low, rows[r * channels + c]);
                        high = std::max(high, rows[r * channels + c]);
                    }
                    ASSERT_EQ(got[b * channels + c].min, low);
                    ASSERT_EQ(got[b * channels + c].max, high);
                }
        }
    }
}

// Long enough that the coarse levels have whole chunks, which are stored unpacked.
TEST_F(Storage, TheCoarsePyramidOfALongSession) {
    const StreamInfo info = synthetic::stream("slow", SampleType::int16, 2, 250, 4096);
    SegmentStarted started;
    started.reason = "start";
    started.info.streams = {info};
    started.streams = {0};
    std::vector<Event> events = {started};
    const uint64_t bins = 1024 + 50;
    const auto value = [](uint64_t bin, size_t c) { return int32_t(bin * 7 + c) - 4000; };
    for (uint64_t bin = 0; bin < bins; ++bin) {
        auto block = std::make_shared<Block>();
        block->first = bin * 4096;
        block->count = 4096;
        block->channels = 2;
        block->counts.assign(size_t(4096) * 2, 0);
        for (size_t i = 0; i < block->counts.size(); ++i)
            block->counts[i] = value(bin, i % 2) + int32_t(i == 100 || i == 101);
        events.emplace_back(std::shared_ptr<const Block>(std::move(block)));
    }
    const std::string path = record("a.h5", events);
    auto session = open_session(path);
    ASSERT_TRUE(session);
    std::vector<MinMax> got(size_t(bins) * 2);
    ASSERT_TRUE((*session)->read_overview(0, 4096, 0, bins, got.data()));
    for (uint64_t bin = 0; bin < bins; ++bin)
        for (size_t c = 0; c < 2; ++c) {
            ASSERT_EQ(got[bin * 2 + c].min, value(bin, c)) << bin;
            ASSERT_EQ(got[bin * 2 + c].max, value(bin, c) + 1) << bin;
        }
    expect_in_order(path);
}

TEST_F(Storage, SamplesThatDoNotFitTheirStreamBecomeAGap) {
    auto events = synthetic::events(2, 5, 0);
    for (Event& event : events)
        if (auto* block = std::get_if<std::shared_ptr<const Block>>(&event))
            if ((*block)->stream == 1 && (*block)->segment == 0 && (*block)->first == 40) {
                auto odd = std::make_shared<Block>(**block);
                odd->counts[0] = 40000;  // no int16
                event = std::shared_ptr<const Block>(odd);
            }
    const std::string path = record("a.h5", events);
    auto session = open_session(path);
    ASSERT_TRUE(session);
    ASSERT_EQ((*session)->streams()[1].gaps.size(), 1u);
    EXPECT_EQ((*session)->streams()[1].gaps[0].first, 40u);
    EXPECT_EQ((*session)->streams()[1].gaps[0].cause, GapCause::host);
    expect_in_order(path);
}

TEST_F(Storage, NothingIsOverwritten) {
    put(at("a.h5"), "precious");
    auto writer = create_session(synthetic::options(at("a.h5")));
    ASSERT_FALSE(writer);
    EXPECT_NE(writer.error().message().find("exists"), std::string::npos);

    auto first = create_session(synthetic::options(at("b.h5")));
    ASSERT_TRUE(first);
    auto second = create_session(synthetic::options(at("b.h5")));
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message().find("b.h5.journal"), std::string::npos);
    EXPECT_FALSE(recover(at("b.h5"))) << "repair must not touch a running recording";

    // A file that appears while recording stays, and so does the journal.
    (*first)->append(synthetic::events(1, 1)[0]);
    put(at("b.h5"), "precious");
    EXPECT_FALSE((*first)->finish());
    EXPECT_TRUE(fs::exists(at("b.h5.journal")));
    EXPECT_EQ(content(at("b.h5")), "precious");
    EXPECT_EQ(content(at("a.h5")), "precious");
}

TEST_F(Storage, UnusableFoldersAreNamed) {
    auto missing = create_session(synthetic::options(at("no/such/a.h5")));
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().remedy.find("folder"), std::string::npos);
    EXPECT_FALSE(create_session(synthetic::options("/proc/a.h5")));
}

TEST_F(Storage, LabelsOfAClosedSessionAreEditedSafely) {
    const auto events = synthetic::events(6, 10);
    const std::string path = record("a.h5", events);
    LabelTrack track;
    {
        auto session = open_session(path);
        ASSERT_TRUE(track.load(*(*session)->label_history()));
    }
    const size_t before = track.history().size();
    {
        auto editor = open_label_editor(path);
        ASSERT_TRUE(editor) << editor.error().message();
        EXPECT_FALSE(open_label_editor(path)) << "a second editor must be refused";
        LabelEdit edit;
        edit.after.start = 1;
        edit.after.stop = 2;
        edit.after.label_class = "new";
        edit.author = "P2";
        ASSERT_TRUE((*editor)->append(*track.apply(edit)));
        ASSERT_TRUE((*editor)->append_class({"new", "#0000ff", '3', ""}));
        // Before it is merged, any reader sees it; so it would after a crash.
        auto session = open_session(path);
        ASSERT_TRUE(session);
        EXPECT_EQ((*session)->label_history()->size(), before + 1);
        EXPECT_EQ((*session)->classes().size(), 3u);
        fs::copy_file(edits_path(path), at("edits"));
    }
    EXPECT_FALSE(fs::exists(edits_path(path)));
    // A crash after the session was replaced, before the edits were removed: they count once.
    for (const bool left_over : {false, true}) {
        if (left_over) fs::copy_file(at("edits"), edits_path(path));
        auto session = open_session(path);
        ASSERT_TRUE(session);
        const auto history = (*session)->label_history();
        ASSERT_TRUE(history);
        ASSERT_EQ(history->size(), before + 1);
        EXPECT_EQ(history->back().after.label_class, "new");
        EXPECT_EQ((*session)->classes().size(), 3u);
        ASSERT_TRUE(merge_label_edits(path));
        expect_in_order(path);
    }
    auto all = replayed(path);
    all.pop_back();
    expect_same(events, all);
}

TEST_F(Storage, ForeignFilesAreRefusedPolitely) {
    put(at("text.h5"), "not HDF5");
    auto text = open_session(at("text.h5"));
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().kind, ErrorKind::usage);
    EXPECT_FALSE(open_session(at("none.h5")));
}

}  // namespace
}  // namespace lockstep::storage
