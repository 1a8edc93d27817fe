#include <gtest/gtest.h>

#include <cmath>

#include "acquisition/label_track.h"

namespace lockstep {
namespace {

TEST(LabelTrack, UndoAndRedoAreEditsLikeOthers) {
    LabelTrack track;
    LabelEdit add;
    add.author = "P1";
    add.after.start = 1;
    add.after.stop = 3;
    add.after.label_class = "walk";
    const auto added = track.apply(add);
    ASSERT_TRUE(added);
    EXPECT_EQ(added->revision, 1u);
    LabelEdit change = *added;
    change.operation = LabelOperation::change;
    change.before = change.after;
    change.after.stop = 5;
    ASSERT_TRUE(track.apply(change));
    EXPECT_EQ(track.between(4, 6).size(), 1u);
    EXPECT_FALSE(track.undo("P2"));
    ASSERT_TRUE(track.undo("P1"));
    EXPECT_TRUE(track.between(4, 6).empty());
    ASSERT_TRUE(track.undo("P1"));
    EXPECT_TRUE(track.labels().empty());
    ASSERT_TRUE(track.redo("P1"));
    EXPECT_EQ(track.labels().begin()->first, added->after.id);
    ASSERT_TRUE(track.redo("P1"));
    EXPECT_EQ(track.between(4, 6).size(), 1u);
    EXPECT_FALSE(track.redo("P1"));
    EXPECT_EQ(track.history().size(), 6u);

    LabelTrack loaded;
    ASSERT_TRUE(loaded.load(track.history()));
    EXPECT_EQ(loaded.labels().size(), 1u);
    EXPECT_EQ(loaded.revision(), track.revision());
    auto broken = track.history();
    std::swap(broken[0], broken[1]);
    EXPECT_FALSE(LabelTrack().load(broken));
}

TEST(LabelTrack, NonsenseIsRefused) {
    LabelTrack track;
    LabelEdit add;
    add.after.start = 2;
    add.after.stop = 1;
    add.after.label_class = "walk";
    EXPECT_FALSE(track.apply(add));
    add.after.stop = NAN;
    EXPECT_FALSE(track.apply(add));
    add.after.stop = 2;
    add.after.label_class = "";
    EXPECT_FALSE(track.apply(add));
    LabelEdit unknown;
    unknown.operation = LabelOperation::remove;
    unknown.before.id = 99;
    EXPECT_FALSE(track.apply(unknown));
    EXPECT_EQ(track.revision(), 0u);
}

}  // namespace
}  // namespace lockstep
