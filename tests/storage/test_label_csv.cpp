#include <gtest/gtest.h>

#include "storage/labels/label_csv.h"
#include "synthetic.h"

namespace lockstep::storage {
namespace {

TEST(LabelCsv, ComesBackExactly) {
    const std::vector<StreamInfo> streams = {synthetic::stream("eeg", SampleType::int24, 2, 250, 10)};
    std::vector<Label> labels(3);
    labels[0].start = 0.1 + 0.2;
    labels[0].stop = 1e6 / 3;
    labels[0].label_class = "a \"quoted\", class";
    labels[1].start = labels[1].stop = 2;
    labels[1].label_class = "point";
    labels[1].stream = 0;
    labels[1].channel = 1;
    labels[2].start = 3;
    labels[2].stop = 4;
    labels[2].label_class = "lines";
    labels[2].note = "one\ntwo";
    labels[2].confidence = 0.25;
    const auto lines = parse_label_csv(label_csv(labels, streams), "test");
    ASSERT_TRUE(lines) << lines.error().message();
    ASSERT_EQ(lines->size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
        const auto label = resolve((*lines)[i], streams);
        ASSERT_TRUE(label);
        EXPECT_EQ(label->start, labels[i].start);
        EXPECT_EQ(label->stop, labels[i].stop);
        EXPECT_EQ(label->label_class, labels[i].label_class);
        EXPECT_EQ(label->stream, labels[i].stream);
        EXPECT_EQ(label->channel, labels[i].channel);
        EXPECT_EQ(label->note, labels[i].note);
        EXPECT_EQ(label->confidence, labels[i].confidence);
    }
}

TEST(LabelCsv, WrongLinesAreNamed) {
    const auto message = [](const std::string& body) {
        const auto lines = parse_label_csv("start_s,stop_s,class,stream,channel\n" + body, "s.csv");
        return lines ? std::string() : lines.error().message();
    };
    EXPECT_EQ(message("1,2,walk,,\n\n3,,sit,eeg,1\r\n"), "");
    EXPECT_NE(message("1,2,walk,,\nx,2,walk,,\n").find("s.csv: line 3"), std::string::npos);
    EXPECT_NE(message("2,1,walk,,\n").find("stops before"), std::string::npos);
    EXPECT_NE(message("1,2,,,\n").find("no class"), std::string::npos);
    EXPECT_NE(message("nan,2,walk,,\n").find("not a time"), std::string::npos);
    EXPECT_NE(message("1,2,\"walk\n").find("quote"), std::string::npos);
    EXPECT_FALSE(parse_label_csv("", "s.csv"));
    const auto points = parse_label_csv("onset,label\n1.5,x\n", "s.csv");
    ASSERT_TRUE(points);
    EXPECT_EQ(points->at(0).label.stop, 1.5);
    EXPECT_FALSE(parse_label_csv("a,b,c\n", "s.csv"));
    LabelLine line;
    line.stream = "nosuch";
    EXPECT_FALSE(resolve(line, {}));
}

}  // namespace
}  // namespace lockstep::storage
