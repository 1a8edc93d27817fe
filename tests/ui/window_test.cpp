// The window as a person uses it, offscreen, on the real recordings.
#include <gtest/gtest.h>

#include <QApplication>
#include <QFontInfo>
#include <QTemporaryDir>
#include <QtTest/QTest>
#include <cmath>

#include "tests/ui/fake_workbench.h"
#include "ui/lane_view.h"
#include "ui/main_window.h"
#include "ui/metrics.h"
#include "ui/trace_canvas.h"

namespace lockstep {
namespace {

QApplication& app() {
    static int argc = 1;
    static char name[] = "window_test";
    static char* argv[] = {name, nullptr};
    static QApplication application(argc, argv);
    return application;
}

class Window : public ::testing::Test {
  protected:
    void SetUp() override {
        app();
        ui::apply_theme(app(), ui::Theme::light);
    }
    void open(int width = 1000, int height = 700) {
        window = std::make_unique<ui::MainWindow>(&bench);
        window->resize(width, height);
        window->show();
        settle();
    }
    void settle() {
        for (int i = 0; i < 4; ++i) {
            QApplication::processEvents();
            window->refresh_now();
        }
    }
    // Where a session time is on the lanes.
    QPoint at(double t, int y = 200) {
        ui::LaneView* lanes = window->lanes();
        const auto pieces = lanes->axis().pieces(t, t);
        EXPECT_FALSE(pieces.empty());
        const double x = pieces.empty() ? 0 : pieces.front().x;
        return {lanes->plot_rect().left() + int(std::lround(x / lanes->devicePixelRatioF())), y};
    }
    void drag(const QPoint& from, const QPoint& to) {
        ui::LaneView* lanes = window->lanes();
        auto send = [&](QEvent::Type type, const QPoint& p, Qt::MouseButton button,
                        Qt::MouseButtons buttons) {
            QMouseEvent event(type, p, lanes->mapToGlobal(p), button, buttons, Qt::NoModifier);
            QApplication::sendEvent(lanes, &event);
        };
        send(QEvent::MouseButtonPress, from, Qt::LeftButton, Qt::LeftButton);
        send(QEvent::MouseMove, (from + to) / 2, Qt::NoButton, Qt::LeftButton);
        send(QEvent::MouseMove, to, Qt::NoButton, Qt::LeftButton);
        send(QEvent::MouseButtonRelease, to, Qt::LeftButton, Qt::NoButton);
    }
    const Label& only_label() {
        EXPECT_EQ(bench.track.labels().size(), 1u);
        return bench.track.labels().begin()->second;
    }

    test::FakeWorkbench bench;
    std::unique_ptr<ui::MainWindow> window;
};

TEST_F(Window, SweepLeavesThePixelsOfAFullRedraw) {
    bench.connect_now();
    bench.drop(0, 4.0, 4.5);
    ui::LaneSet set;
    set.build(bench.store->streams(), {});
    ui::TraceCanvas sweeping;
    ui::TraceCanvas whole;
    ui::TimeAxis axis;
    axis.columns = 803;  // no multiple of anything
    axis.span = 5;
    for (ui::TraceCanvas* c : {&sweeping, &whole})
        c->resize(axis.columns, 600, 1);
    set.place(600, 8, 8);
    bench.stream_until(0.5);
    ui::fit_scales(&set, *bench.store, 0, 0.5);
    axis.head = axis.column_of(bench.store->end_time()) - 1;
    sweeping.redraw(set, *bench.store, axis);
    for (double t = 0.6; t < 13; t += 0.137) {
        bench.stream_until(t);
        axis.head = axis.column_of(bench.store->end_time()) - 1;
        sweeping.advance(set, *bench.store, axis);
        if (std::fmod(t, 1.0) > 0.14) continue;
        whole.redraw(set, *bench.store, axis);
        for (const ui::Group& g : set.groups) {
            for (int y = g.top; y < g.top + g.height; ++y) {
                for (int x = 0; x < axis.columns; ++x) {
                    ASSERT_EQ(sweeping.image().pixel(x, y), whole.image().pixel(x, y))
                        << "t " << t << " x " << x << " y " << y << " " << g.title.toStdString();
                }
            }
        }
    }
}

TEST_F(Window, GapsAreMarkedAndNotClosedUp) {
    bench.connect_now();
    bench.drop(0, 3.0, 4.0);
    bench.stream_until(8);
    open();
    const ui::LaneView* lanes = window->lanes();
    const QRgb paper = ui::colors().canvas.rgb();
    auto inked = [&](double t) {
        const auto pieces = lanes->axis().pieces(t, t);
        const int x = int(pieces.front().x);
        int n = 0;
        const ui::Group& g = lanes->lanes().groups.front();
        for (int y = g.top; y < g.top + g.height; ++y)
            n += lanes->image().pixel(x, y) != paper ? 1 : 0;
        return double(n) / g.height;
    };
    EXPECT_GT(inked(3.55), 0.95);  // hatched all over
    EXPECT_LT(inked(5.55), 0.9);
}

TEST_F(Window, OneHertzIsDrawn) {
    auto store = std::make_shared<TraceStore>(0);
    SegmentStarted start;
    start.streams = {0};
    StreamInfo info;
    info.name = info.kind = "temperature";
    info.channels = {{"skin", "C", 0.1f, 0}};
    start.info.streams = {info};
    store->on_event(start);
    for (uint64_t i = 0; i < 30; ++i) {
        auto b = std::make_shared<Block>();
        b->first = i;
        b->device_us = i * 1000000;
        b->host_ns = int64_t(i) * 1000000000;
        b->count = b->channels = 1;
        b->counts = {int32_t(300 + i % 3)};
        store->on_event(std::shared_ptr<const Block>(b));
    }
    bench.connect_now();
    bench.store = store;
    open();
    const ui::LaneView* lanes = window->lanes();
    ASSERT_EQ(lanes->lanes().lanes.size(), 1u);
    // Every finished column between two samples shows the line.
    const ui::Lane& lane = lanes->lanes().lanes[0];
    const QRgb ink = lane.color.rgb();
    for (double t = 21.5; t < 28.5; t += 0.5) {
        const int x = int(lanes->axis().pieces(t, t).front().x);
        int closest = 1000;
        for (int y = lane.top; y < lane.top + lane.height; ++y) {
            const QRgb p = lanes->image().pixel(x, y);
            closest = std::min(closest, std::abs(qRed(p) - qRed(ink)) + std::abs(qGreen(p) - qGreen(ink)) +
                                            std::abs(qBlue(p) - qBlue(ink)));
        }
        EXPECT_LT(closest, 250) << t;
    }
}

TEST_F(Window, DigitKeysBeginAndEndALabelAndUndoTakesItBack) {
    bench.connect_now();
    bench.stream_until(4);
    open();
    QTest::keyClick(window->lanes(), Qt::Key_3);
    EXPECT_TRUE(bench.track.labels().empty());
    bench.stream_until(6);
    settle();
    QTest::keyClick(window->lanes(), Qt::Key_3);
    EXPECT_EQ(only_label().label_class, "jaw_left");
    EXPECT_NEAR(only_label().start, 4, 0.35);
    EXPECT_NEAR(only_label().stop, 6, 0.35);
    QTest::keyClick(window->lanes(), Qt::Key_Z, Qt::ControlModifier);
    EXPECT_TRUE(bench.track.labels().empty());
    QTest::keyClick(window->lanes(), Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);
    EXPECT_EQ(bench.track.labels().size(), 1u);
}

TEST_F(Window, MouseMakesMovesStretchesAndDeletesALabel) {
    bench.connect_now();
    bench.stream_until(20);
    bench.review();
    open();
    window->lanes()->show_range(0, 10);
    drag(at(2), at(4));
    EXPECT_NEAR(only_label().start, 2, 0.05);
    EXPECT_NEAR(only_label().stop, 4, 0.05);
    QTest::keyClick(window->lanes(), Qt::Key_6);  // the new label is selected: a digit names it
    EXPECT_EQ(only_label().label_class, "alpha_eyes_closed");
    drag(at(4), at(5));
    EXPECT_NEAR(only_label().stop, 5, 0.06);
    drag(at(3), at(4));
    EXPECT_NEAR(only_label().start, 3, 0.08);
    EXPECT_NEAR(only_label().stop, 6, 0.12);
    QTest::keyClick(window->lanes(), Qt::Key_Delete);
    EXPECT_TRUE(bench.track.labels().empty());
    QTest::keyClick(window->lanes(), Qt::Key_Z, Qt::ControlModifier);
    EXPECT_EQ(bench.track.labels().size(), 1u);
}

TEST_F(Window, TenThousandLabelsAreDrawnAndJumpedThrough) {
    bench.connect_now();
    bench.stream_until(60);
    for (int i = 0; i < 10000; ++i) {
        LabelEdit edit;
        edit.after.start = i * 0.006;
        edit.after.stop = edit.after.start + 0.003;
        edit.after.label_class = "blink";
        ASSERT_TRUE(bench.edit_label(edit));
    }
    bench.review();
    open();
    window->lanes()->show_range(30, 10);
    const QImage image = window->grab().toImage();
    EXPECT_FALSE(image.isNull());
    const double before = window->lanes()->now();
    QTest::keyClick(window->lanes(), Qt::Key_Right, Qt::ControlModifier);
    EXPECT_GT(window->lanes()->now(), before);
    EXPECT_LT(window->lanes()->now(), before + 0.01);
}

TEST_F(Window, PauseFreezesTheViewAndNothingElse) {
    bench.connect_now();
    bench.stream_until(5);
    open();
    QTest::keyClick(window->lanes(), Qt::Key_P);
    const QImage frozen = window->lanes()->image().copy();
    bench.stream_until(8);
    settle();
    EXPECT_EQ(window->lanes()->image(), frozen);
    EXPECT_NEAR(bench.store->end_time(), 8, 0.4);
    QTest::keyClick(window->lanes(), Qt::Key_P);
    settle();
    EXPECT_NE(window->lanes()->image(), frozen);
    QTest::keyClick(window->lanes(), Qt::Key_Left, Qt::ShiftModifier);  // back in time while it streams
    EXPECT_FALSE(window->lanes()->following());
    QTest::keyClick(window->lanes(), Qt::Key_Escape);
    EXPECT_TRUE(window->lanes()->following());
}

TEST_F(Window, SpaceRecordsAndNeverOverwrites) {
    bench.connect_now();
    bench.stream_until(2);
    open();
    QTemporaryDir folder;
    window->set_recording_folder(folder.path());
    QTest::keyClick(window->lanes(), Qt::Key_Space);
    EXPECT_EQ(bench.now.state, WorkbenchState::recording);
    EXPECT_TRUE(QString::fromStdString(bench.now.path).startsWith(folder.path()));
    EXPECT_TRUE(QString::fromStdString(bench.now.path).endsWith(".h5"));
    QTest::keyClick(window->lanes(), Qt::Key_Space);
    EXPECT_EQ(bench.now.state, WorkbenchState::streaming);
    EXPECT_EQ(bench.calls, (std::vector<std::string>{"record", "stop"}));
}

TEST_F(Window, SpanAndAmplitudeKeysChangeWhatIsShown) {
    bench.connect_now();
    bench.stream_until(20);
    open();
    QTest::keyClick(window->lanes(), Qt::Key_Home);
    EXPECT_DOUBLE_EQ(window->lanes()->axis().span, 5);
    QTest::keyClick(window->lanes(), Qt::Key_End);
    QTest::keyClick(window->lanes(), Qt::Key_End);
    EXPECT_DOUBLE_EQ(window->lanes()->axis().span, 20);
    const double amplitude = window->lanes()->lanes().scales[0].amplitude;
    QTest::keyClick(window->lanes(), Qt::Key_Plus);
    EXPECT_LT(window->lanes()->lanes().scales[0].amplitude, amplitude);
    QTest::keyClick(window->lanes(), Qt::Key_Minus);
    QTest::keyClick(window->lanes(), Qt::Key_Minus);
    EXPECT_GT(window->lanes()->lanes().scales[0].amplitude, amplitude * 0.99);
}

TEST_F(Window, FontsAreThereAndScreenshotsAreNotBlankInBothThemes) {
    EXPECT_FALSE(QFontInfo(QApplication::font()).family().isEmpty());
    QTemporaryDir folder;
    bench.connect_now();
    bench.stream_until(9);
    open();
    QImage shots[2];
    for (ui::Theme theme : {ui::Theme::light, ui::Theme::dark}) {
        window->set_theme(theme);
        const QString path = folder.filePath(theme == ui::Theme::light ? "l.png" : "d.png");
        ASSERT_TRUE(ui::screenshot(*window, path, {1200, 800}));
        shots[int(theme)] = QImage(path);
        ASSERT_EQ(shots[int(theme)].size(), QSize(1200, 800));
        // The traces' own colour is in the picture.
        int inked = 0;
        const QRgb ink = ui::colors().traces[0].rgb();
        for (int y = 60; y < 800; ++y) {
            for (int x = ui::kGutter; x < 900; ++x)
                inked += shots[int(theme)].pixel(x, y) == ink ? 1 : 0;
        }
        EXPECT_GT(inked, 200);
    }
    EXPECT_GT(qGray(shots[0].pixel(600, 795)), 200);
    EXPECT_LT(qGray(shots[1].pixel(600, 795)), 80);
    EXPECT_FALSE(ui::screenshot(*window, folder.filePath("no/such/folder.png"), {800, 600}));
}

TEST_F(Window, EmptyStateInvitesToConnect) {
    open();
    QTest::keyClick(window.get(), Qt::Key_Space);  // harmless
    EXPECT_TRUE(bench.calls.empty());
    bench.connect_device("virtual:mps2-an386");
    bench.stream_until(1);
    settle();
    EXPECT_NE(window->lanes()->source(), nullptr);
    bench.disconnect_device();
    settle();
    EXPECT_EQ(window->lanes()->source(), nullptr);
}

}  // namespace
}  // namespace lockstep
