// A recording in parts holds every event once.
#include <algorithm>
#include <thread>

#include "fixture.h"
#include "storage/rotation.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;

class Rotation : public Storage {
  protected:
    // Samples of all parts by stream and segment; counters must go on without a hole or a repetition.
    void expect_whole(const std::vector<Event>& fed, int parts) {
        std::map<std::pair<int, int>, uint64_t> next;
        std::vector<Event> got;
        for (int part = 1; part <= parts; ++part) {
            const std::string path = part_path(at("a.h5"), part);
            expect_in_order(path);
            for (const Event& event : replayed(path)) {
                if (const auto* shared = std::get_if<std::shared_ptr<const Block>>(&event)) {
                    uint64_t& expected = next[{(*shared)->stream, (*shared)->segment}];
                    ASSERT_EQ((*shared)->first, expected);
                    expected += (*shared)->count;
                }
                const auto* started = std::get_if<SegmentStarted>(&event);
                const auto* ended = std::get_if<SegmentEnded>(&event);
                if ((started != nullptr && started->reason == "rotated") ||
                    (ended != nullptr && ended->reason == "rotated"))
                    continue;
                const auto* note = std::get_if<LinkEvent>(&event);
                if (note != nullptr && note->text.find("of an earlier part") != std::string::npos) continue;
                if (!std::holds_alternative<LabelEdit>(event)) got.push_back(event);
            }
        }
        std::vector<Event> want;
        std::copy_if(fed.begin(), fed.end(), std::back_inserter(want),
                     [](const Event& e) { return !std::holds_alternative<LabelEdit>(e); });
        expect_same(want, got);
        EXPECT_FALSE(fs::exists(part_path(at("a.h5"), parts + 1)));
        for (const auto& entry : fs::directory_iterator(folder_))
            EXPECT_EQ(entry.path().extension(), ".h5") << entry.path();
    }
    int parts() const {
        int n = 1;
        while (fs::exists(part_path(folder_ + "/a.h5", n + 1)))
            ++n;
        return n;
    }
    void feed(SessionWriter* writer, const std::vector<Event>& events) {
        for (size_t i = 0; i < events.size(); ++i) {
            writer->append(events[i]);
            if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the helper's turn
        }
    }
    static CreateWriter creator() {
        return [](const WriterOptions& o) { return create_session(o); };
    }
};

TEST_F(Rotation, NoSampleIsLostOrRepeatedAtASeam) {
    // Without drops, so that the counters of every stream must go on exactly; a reboot lies between.
    const auto events = synthetic::events(20, 1, 0);
    auto writer = create_rotating(synthetic::options(at("a.h5")), {4, 0}, creator());
    ASSERT_TRUE(writer);
    feed(writer->get(), events);
    auto finished = (*writer)->finish();
    ASSERT_TRUE(finished) << finished.error().message();
    EXPECT_EQ(*finished, at("a.h5"));
    EXPECT_FALSE((*writer)->take_error());
    ASSERT_GE(parts(), 3);
    expect_whole(events, parts());

    // Every part is a session of its own, with the labels that were made in its time.
    auto second = open_session(part_path(at("a.h5"), 2));
    ASSERT_TRUE(second);
    EXPECT_EQ((*second)->header().settings.at("part"), "2");
    EXPECT_EQ((*second)->header().settings.at("part_of"), synthetic::options("").header.identifier);
    EXPECT_GT((*second)->header().start_utc_ns, synthetic::options("").header.start_utc_ns);
    auto history = (*second)->label_history();
    ASSERT_TRUE(history);
    ASSERT_FALSE(history->empty());
    for (const LabelEdit& edit : *history) {
        if (edit.operation == LabelOperation::remove) continue;
        EXPECT_GT(edit.after.start, -2);
        EXPECT_LT(edit.after.start, (*second)->duration());
    }
    EXPECT_EQ((*second)->streams()[0].runs.front().segment, 0);
    EXPECT_NEAR((*second)->streams()[0].runs.front().time, 0.3, 1.5);
}

TEST_F(Rotation, BySize) {
    const auto events = synthetic::events(20, 2, 0);
    auto writer = create_rotating(synthetic::options(at("a.h5")), {0, 60000}, creator());
    ASSERT_TRUE(writer);
    feed(writer->get(), events);
    ASSERT_TRUE((*writer)->finish());
    ASSERT_GE(parts(), 2);
    expect_whole(events, parts());
}

TEST_F(Rotation, ANameThatIsTakenEndsRotationButNotTheRecording) {
    put(part_path(at("a.h5"), 2), "somebody's");
    const auto events = synthetic::events(12, 3, 0);
    auto writer = create_rotating(synthetic::options(at("a.h5")), {3, 0}, creator());
    ASSERT_TRUE(writer);
    feed(writer->get(), events);
    const auto error = (*writer)->take_error();
    ASSERT_TRUE(error);
    EXPECT_NE(error->message().find("goes on"), std::string::npos);
    ASSERT_TRUE((*writer)->finish());
    EXPECT_EQ(content(part_path(at("a.h5"), 2)), "somebody's");
    expect_same(events, replayed(at("a.h5")));
}

}  // namespace
}  // namespace lockstep::storage
