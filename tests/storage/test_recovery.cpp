#include "fixture.h"
#include "storage/journal.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;

TEST(EventCodec, EveryKindComesBackAndNoCutOneDoes) {
    std::vector<bool> seen(std::variant_size_v<Event>);
    for (const Event& event : synthetic::events(6, 1)) {
        const auto bytes = bytes_of(event);
        Event back;
        ASSERT_TRUE(decode(Bytes(bytes.data(), bytes.size()), &back));
        EXPECT_EQ(bytes, bytes_of(back));
        if (seen[event.index()]) continue;
        seen[event.index()] = true;
        for (size_t n = 0; n < bytes.size(); ++n)
            EXPECT_FALSE(decode(Bytes(bytes.data(), n), &back))
                << "kind " << event.index() << " cut at " << n;
    }
    for (size_t i = 0; i < seen.size(); ++i)
        EXPECT_TRUE(seen[i]) << "no event of kind " << i;
}

TEST(EventCodec, ExtremeCountsAreExact) {
    Block block;
    block.count = 3;
    block.channels = 2;
    for (const std::vector<int32_t>& counts : {std::vector<int32_t>{INT16_MIN, INT16_MAX, 0, 1, -1, 2},
                                               {-(1 << 23), (1 << 23) - 1, 0, 0, 0, 0},
                                               {INT32_MIN, INT32_MAX, 1 << 23, 0, 0, 0}}) {
        block.counts = counts;
        const auto bytes = bytes_of(std::make_shared<const Block>(block));
        Event back;
        ASSERT_TRUE(decode(Bytes(bytes.data(), bytes.size()), &back));
        EXPECT_EQ(std::get<std::shared_ptr<const Block>>(back)->counts, counts);
    }
}

TEST_F(Storage, AJournalTornAnywhereGivesEverythingBeforeTheTear) {
    const auto events = synthetic::events(1, 4);
    const std::string path = at("a.h5.journal");
    std::vector<uint64_t> ends;
    {
        auto journal = JournalWriter::create(path);
        ASSERT_TRUE(journal);
        for (size_t i = 0; i < 16; ++i) {
            (*journal)->add(events[i]);
            ASSERT_TRUE((*journal)->flush());
            ends.push_back((*journal)->size());
        }
    }
    const std::string all = content(path);
    ASSERT_EQ(all.size(), ends.back());
    for (size_t size = all.size() + 1; size-- > 0;) {
        fs::resize_file(path, size);
        size_t got = 0;
        const auto report = read_journal(path, [&](RecordKind, Bytes payload) {
            EXPECT_EQ(std::vector<uint8_t>(payload.begin(), payload.end()), bytes_of(events[got++]));
            return true;
        });
        if (size < 16) {
            EXPECT_FALSE(report);
            continue;
        }
        ASSERT_TRUE(report) << report.error().message();
        const auto whole = size_t(std::upper_bound(ends.begin(), ends.end(), size) - ends.begin());
        ASSERT_EQ(got, whole) << "cut at " << size;
        ASSERT_EQ(report->torn_bytes, size - (whole == 0 ? 16 : ends[whole - 1]));
    }
}

TEST_F(Storage, DamagedJournalBytesCostOnlyTheirRecord) {
    const auto events = synthetic::events(4, 5, 0);
    {
        auto writer = create_session(synthetic::options(at("a.h5")));
        ASSERT_TRUE(writer);
        for (const Event& event : events)
            (*writer)->append(event);
        // Destroyed without finish(), as a program that dies leaves it.
    }
    ASSERT_TRUE(fs::exists(at("a.h5.journal")));
    auto opened = open_session(at("a.h5"));
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().message().find("lockstep session repair"), std::string::npos);

    const auto size = fs::file_size(at("a.h5.journal"));
    {
        std::fstream file(at("a.h5.journal"), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(std::streamoff(size / 2));
        file << "garbage!";
    }
    auto report = recover(at("a.h5"));
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_GT(report->journal.damaged_bytes, 0u);
    EXPECT_GE(report->journal.lost_records, 1u);
    EXPECT_LE(report->journal.lost_records, 2u);
    EXPECT_FALSE(fs::exists(at("a.h5.journal")));
    auto session = open_session(at("a.h5"));
    ASSERT_TRUE(session);
    EXPECT_EQ((*session)->state(), "recovered");
    EXPECT_GE(replayed(at("a.h5")).size() + 2, events.size());
    // Samples of lost records are marked as gaps, so that the accounts still add up.
    if (report->gaps_added != 0) expect_in_order(at("a.h5"));
}

// A power cut may lose a page in the middle: the labels that are left make a history without it.
TEST_F(Storage, LabelEditsWhosePredecessorsWereLostAreMended) {
    Label walk;
    walk.id = 1;
    walk.label_class = "walk";
    Label sit = walk;
    sit.label_class = "sit";
    const LabelEdit add{LabelOperation::add, {}, walk, "P1", "", 1, 1};
    const LabelEdit change{LabelOperation::change, walk, sit, "P1", "", 2, 2};
    const LabelEdit removal{LabelOperation::remove, sit, {}, "P1", "", 3, 3};
    const LabelEdit again{LabelOperation::add, {}, sit, "P1", "undo", 4, 4};
    for (unsigned lost = 0; lost < 4; ++lost) {
        const std::string path = at("m" + std::to_string(lost) + ".h5");
        std::vector<uint64_t> ends;
        {
            auto journal = JournalWriter::create(journal_path(path));
            ASSERT_TRUE(journal);
            std::vector<uint8_t> bytes;
            encode(synthetic::options(path), &bytes);
            (*journal)->add(RecordKind::options, bytes);
            for (const LabelEdit& edit : {add, change, removal, again}) {
                ASSERT_TRUE((*journal)->flush());
                ends.push_back((*journal)->size());
                (*journal)->add(Event(edit));
            }
            ASSERT_TRUE((*journal)->flush());
        }
        std::string all = content(journal_path(path));
        all[ends[lost] + 30] = char(all[ends[lost] + 30] ^ 0x55);
        put(journal_path(path), all);
        ASSERT_TRUE(recover(path));
        expect_in_order(path);
        auto session = open_session(path);
        ASSERT_TRUE(session);
        auto history = (*session)->label_history();
        ASSERT_TRUE(history);
        EXPECT_EQ(history->back().revision, lost == 3 ? 3u : 4u);
    }
}

TEST_F(Storage, RecoveryCanWriteElsewhereAndLeavesTheJournal) {
    const auto events = synthetic::events(2, 5);
    {
        auto writer = create_session(synthetic::options(at("a.h5")));
        ASSERT_TRUE(writer);
        for (const Event& event : events)
            (*writer)->append(event);
    }
    ASSERT_TRUE(recover(at("a.h5.journal"), at("b.h5")));
    EXPECT_TRUE(fs::exists(at("a.h5.journal")));
    expect_same(events, replayed(at("b.h5")));
    // A crash between the renaming and the removal of the journal.
    fs::copy_file(at("b.h5"), at("a.h5"));
    ASSERT_TRUE(recover(at("a.h5")));
    EXPECT_FALSE(fs::exists(at("a.h5.journal")));
    EXPECT_TRUE(recover(at("a.h5"))) << "nothing to do is no error";
}

TEST_F(Storage, FlippedBytesAreFoundAndTruncationNeverCrashes) {
    const std::string path = record("a.h5", synthetic::events(4, 6));
    const std::string all = content(path);
    size_t found = 0, tried = 0;
    for (size_t offset = 100; offset < all.size(); offset += all.size() / 60) {
        std::string bad = all;
        bad[offset] = char(bad[offset] ^ 0x5A);
        put(at("bad.h5"), bad);
        ++tried;
        const auto problems = verify(at("bad.h5"));
        if (!problems || !problems->empty()) ++found;
    }
    EXPECT_GT(found, tried / 3);  // the rest is unused space, attributes and object headers' slack
    for (size_t size = 0; size < all.size(); size += 997) {
        put(at("cut.h5"), all.substr(0, size));
        const auto problems = verify(at("cut.h5"));
        EXPECT_TRUE(!problems || !problems->empty()) << "cut at " << size;
    }
}

// Fails every write from the n-th on while `broken`.
struct Faults {
    std::atomic<int> writes_until_failure{0};
    std::atomic<bool> broken{true};
};
class FaultyFile : public AppendFile {
  public:
    FaultyFile(std::unique_ptr<AppendFile> inner, std::shared_ptr<Faults> faults)
        : inner_(std::move(inner)), faults_(std::move(faults)) {}
    Status append(const uint8_t* data, size_t size) override {
        if (faults_->broken && faults_->writes_until_failure-- <= 0)
            return tl::make_unexpected(system_error("cannot write", "journal", ENOSPC));
        return inner_->append(data, size);
    }
    Status sync() override { return inner_->sync(); }
    Status reserve(uint64_t bytes) override { return inner_->reserve(bytes); }
    uint64_t size() const override { return inner_->size(); }

  private:
    std::unique_ptr<AppendFile> inner_;
    std::shared_ptr<Faults> faults_;
};
RecorderLimits faulty(const std::shared_ptr<Faults>& faults) {
    RecorderLimits limits;
    limits.open_journal = [faults](const std::string& path) -> Result<std::unique_ptr<AppendFile>> {
        auto file = create_append(path);
        if (!file) return tl::make_unexpected(file.error());
        return std::make_unique<FaultyFile>(std::move(*file), faults);
    };
    return limits;
}

// Feeds events slowly enough for several writes, then waits for the alarm.
std::optional<Error> feed(SessionWriter* writer, const std::vector<Event>& events) {
    for (size_t i = 0; i < events.size(); ++i) {
        writer->append(events[i]);
        if (i % 200 == 0) usleep(100000);  // longer than the recorder waits between writes
    }
    for (int i = 0; i < 100; ++i) {
        if (auto error = writer->take_error()) return error;
        usleep(20000);
    }
    return std::nullopt;
}

TEST_F(Storage, AFullDiskAlarmsAndKeepsEverythingAccepted) {
    const auto events = synthetic::events(6, 7, 0);
    auto faults = std::make_shared<Faults>();
    faults->writes_until_failure = 5;
    auto writer = create_session(synthetic::options(at("a.h5")), faulty(faults));
    ASSERT_TRUE(writer) << writer.error().message();
    const auto alarm = feed(writer->get(), events);
    ASSERT_TRUE(alarm);
    EXPECT_NE(alarm->message().find("free some space"), std::string::npos);
    auto finished = (*writer)->finish();
    ASSERT_FALSE(finished);
    EXPECT_NE(finished.error().message().find("session repair"), std::string::npos);
    writer->reset();

    auto report = recover(at("a.h5"));
    ASSERT_TRUE(report) << report.error().message();
    const auto got = replayed(at("a.h5"));
    ASSERT_GT(got.size(), 0u);
    ASSERT_LT(got.size(), events.size());
    expect_same({events.begin(), events.begin() + ptrdiff_t(got.size())}, got);
}

TEST_F(Storage, SpaceThatComesBackIsUsedAndNothingIsLost) {
    const auto events = synthetic::events(6, 8, 0);
    auto faults = std::make_shared<Faults>();
    faults->writes_until_failure = 5;
    auto writer = create_session(synthetic::options(at("a.h5")), faulty(faults));
    ASSERT_TRUE(writer);
    ASSERT_TRUE(feed(writer->get(), events));
    faults->broken = false;
    auto finished = (*writer)->finish();
    ASSERT_TRUE(finished) << finished.error().message();
    expect_same(events, replayed(at("a.h5")));
}

TEST_F(Storage, AnOverfullQueueIsACountedGap) {
    const auto events = synthetic::events(8, 9, 0);
    RecorderLimits limits;
    limits.queue_bytes = 20000;
    auto writer = create_session(synthetic::options(at("a.h5")), limits);
    ASSERT_TRUE(writer);
    uint64_t fed = 0;
    for (const Event& event : events) {
        if (const auto* b = std::get_if<std::shared_ptr<const Block>>(&event)) fed += (*b)->count;
        (*writer)->append(event);
    }
    ASSERT_TRUE((*writer)->finish());
    EXPECT_GT((*writer)->statistics().dropped_events, 0u);
    auto session = open_session(at("a.h5"));
    ASSERT_TRUE(session);
    uint64_t stored = 0, missing = 0;
    for (const SessionStream& s : (*session)->streams()) {
        stored += s.rows;
        for (const Gap& g : s.gaps) {
            EXPECT_EQ(g.cause, GapCause::host);
            missing += g.missing;
        }
    }
    EXPECT_EQ(stored + missing, fed);
    EXPECT_GT(missing, 0u);
    expect_in_order(at("a.h5"));
}

}  // namespace
}  // namespace lockstep::storage
