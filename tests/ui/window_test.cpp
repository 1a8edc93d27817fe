// The window as a person uses it, offscreen, on the real recordings.
#include <gtest/gtest.h>

#include <QAbstractButton>
#include <QApplication>
#include <QDialog>
#include <QDropEvent>
#include <QFileInfo>
#include <QFontInfo>
#include <QHelpEvent>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QMessageBox>
#include <QMimeData>
#include <QPushButton>
#include <QSettings>
#include <QTemporaryDir>
#include <QThread>
#include <QToolButton>
#include <QToolTip>
#include <QtTest/QTest>
#include <cmath>

#include "tests/ui/fake_workbench.h"
#include "ui/class_editor.h"
#include "ui/label_editor.h"
#include "ui/lane_view.h"
#include "ui/main_window.h"
#include "ui/metrics.h"
#include "ui/plots/spectrum.h"
#include "ui/record_bar.h"
#include "ui/trace_canvas.h"

namespace lockstep {
namespace {

QApplication& app() {
    static int argc = 1;
    static char name[] = "window_test";
    static char* argv[] = {name, nullptr};
    // Never destroyed: Qt's own statics go first when the program ends.
    static auto* application = new QApplication(argc, argv);
    return *application;
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

TEST_F(Window, ADragBeyondTheSweepsHeadEndsAtIt) {
    bench.connect_now();
    bench.stream_until(4);
    open();
    const QRect plot = window->lanes()->plot_rect();
    drag(at(3), {plot.right() - 20, 200});  // into what is not yet measured
    EXPECT_NEAR(only_label().start, 3, 0.05);
    EXPECT_NEAR(only_label().stop, bench.store->end_time(), 0.1);
    drag({plot.right() - 200, 200}, {plot.right() - 20, 200});  // nothing is there
    only_label();
    bench.track = LabelTrack();
    bench.stream_until(14);
    settle();
    drag(at(8), at(12));  // from the last sweep over the head into this one
    EXPECT_NEAR(only_label().stop, 8, 0.05);
    EXPECT_GE(only_label().start, 4);
    EXPECT_LE(only_label().start, 4.5);
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

TEST_F(Window, RecordingKeepsTheSpan) {
    bench.connect_now();
    bench.stream_until(4);
    open();
    QTest::keyClick(window->lanes(), Qt::Key_BracketRight);
    ASSERT_DOUBLE_EQ(window->lanes()->axis().span, 20);
    bench.connect_now();  // another source, as a recording's is
    settle();
    EXPECT_DOUBLE_EQ(window->lanes()->axis().span, 20);
}

TEST_F(Window, SpanAndAmplitudeKeysChangeWhatIsShown) {
    bench.connect_now();
    bench.stream_until(20);
    open();
    QTest::keyClick(window->lanes(), Qt::Key_BracketLeft);
    EXPECT_DOUBLE_EQ(window->lanes()->axis().span, 5);
    QTest::keyClick(window->lanes(), Qt::Key_BracketRight);
    QTest::keyClick(window->lanes(), Qt::Key_BracketRight);
    EXPECT_DOUBLE_EQ(window->lanes()->axis().span, 20);
    const double amplitude = window->lanes()->lanes().scales[0].amplitude;
    QTest::keyClick(window->lanes(), Qt::Key_Plus);
    EXPECT_LT(window->lanes()->lanes().scales[0].amplitude, amplitude);
    QTest::keyClick(window->lanes(), Qt::Key_Minus);
    QTest::keyClick(window->lanes(), Qt::Key_Minus);
    EXPECT_GT(window->lanes()->lanes().scales[0].amplitude, amplitude * 0.99);
    EXPECT_FALSE(window->lanes()->lanes().scales[0].automatic);
    QTest::keyClick(window->lanes(), Qt::Key_0);
    for (const ui::Scale& scale : window->lanes()->lanes().scales)
        EXPECT_TRUE(scale.automatic);
}

TEST_F(Window, TheWheelOverANameIsTheGainOfItsScaleOrOfOneChannel) {
    bench.connect_now();
    bench.stream_until(10);
    open();
    ui::LaneView* lanes = window->lanes();
    const ui::Lane lane = lanes->lanes().lanes[2];
    const QPointF name(60, lanes->plot_rect().top() + lane.top + lane.height / 2.0);
    // What the wheel acts on is what is under the mouse.
    QCursor::setPos(lanes->mapToGlobal(name.toPoint()));
    settle();
    if (!lanes->underMouse()) GTEST_SKIP() << "this platform moves no mouse";
    auto wheel = [&](Qt::KeyboardModifiers modifiers) {
        QWheelEvent event(name, lanes->mapToGlobal(name.toPoint()), {}, {0, 120}, Qt::NoButton, modifiers,
                          Qt::NoScrollPhase, false);
        QApplication::sendEvent(lanes, &event);
    };
    const double amplitude = lanes->lanes().scales[size_t(lane.scale)].amplitude;
    wheel(Qt::NoModifier);
    EXPECT_LT(lanes->lanes().scales[size_t(lane.scale)].amplitude, amplitude);
    EXPECT_TRUE(lanes->lanes().scales.back().automatic);
    wheel(Qt::ShiftModifier);
    EXPECT_DOUBLE_EQ(lanes->lanes().lanes[2].gain, 2);
    EXPECT_DOUBLE_EQ(lanes->lanes().lanes[1].gain, 1);
}

TEST_F(Window, ScrollingShowsWhatASweepKeepsOldestFirst) {
    bench.connect_now();
    ui::LaneSet set;
    set.build(bench.store->streams(), {});
    set.place(600, 8, 8);
    ui::TraceCanvas moving;
    ui::TraceCanvas fixed;
    ui::TimeAxis axis;
    axis.columns = 640;
    axis.span = 5;
    axis.scroll = true;
    for (ui::TraceCanvas* c : {&moving, &fixed})
        c->resize(axis.columns, 600, 1);
    bench.stream_until(1);
    ui::fit_scales(&set, *bench.store, 0, 1);
    axis.head = axis.column_of(bench.store->end_time()) - 1;
    moving.redraw(set, *bench.store, axis);
    for (double t = 1.1; t < 12; t += 0.093) {
        bench.stream_until(t);
        // The view's edge runs ahead of the data now and then, as the clock does.
        axis.head = std::max(axis.head, axis.column_of(bench.store->end_time() + 0.04) - 1);
        moving.advance(set, *bench.store, axis);
    }
    bench.stream_until(13);
    moving.advance(set, *bench.store, axis);
    ui::TimeAxis still = axis;
    still.sweep = still.scroll = false;
    still.first = axis.begin();
    fixed.redraw(set, *bench.store, still);
    for (const ui::Group& g : set.groups)
        for (int y = g.top; y < g.top + g.height; ++y)
            for (int x = 0; x < axis.columns; ++x)
                ASSERT_EQ(moving.image().pixel(axis.slot_of_column(axis.begin() + x), y),
                          fixed.image().pixel(x, y))
                    << x << " " << y << " " << g.title.toStdString();
}

TEST_F(Window, ScrollingGoesOnFromThePauseWhereTheDataAre) {
    bench.connect_now();
    bench.stream_until(15);
    open();
    QTest::keyClick(window->lanes(), Qt::Key_R);
    settle();
    QTest::keyClick(window->lanes(), Qt::Key_P);
    QTest::qWait(900);
    bench.stream_until(16);
    QTest::keyClick(window->lanes(), Qt::Key_P);
    settle();
    EXPECT_LE(window->lanes()->axis().end_time(), bench.store->end_time() + 0.3);
}

TEST_F(Window, PagesAndEdgesOfASession) {
    bench.connect_now();
    bench.stream_until(60);
    bench.review();
    open();
    ui::LaneView* lanes = window->lanes();
    lanes->show_range(0, 10);
    QTest::keyClick(lanes, Qt::Key_PageDown);
    EXPECT_NEAR(lanes->axis().begin_time(), 10, 0.05);
    QTest::keyClick(lanes, Qt::Key_PageDown);
    QTest::keyClick(lanes, Qt::Key_PageUp);
    EXPECT_NEAR(lanes->axis().begin_time(), 10, 0.05);
    QTest::keyClick(lanes, Qt::Key_End);
    EXPECT_NEAR(lanes->axis().end_time(), lanes->source()->end_time(), 0.05);
    QTest::keyClick(lanes, Qt::Key_Home);
    EXPECT_NEAR(lanes->axis().begin_time(), 0, 0.05);
}

// A disk that takes its time.
class SlowSource : public TraceSource {
  public:
    explicit SlowSource(std::shared_ptr<const TraceSource> inner) : inner_(std::move(inner)) {}
    std::vector<StreamInfo> streams() const override { return inner_->streams(); }
    double begin_time() const override { return inner_->begin_time(); }
    double end_time() const override { return inner_->end_time(); }
    double begin_time(int s) const override { return inner_->begin_time(s); }
    double end_time(int s) const override { return inner_->end_time(s); }
    void extent(int s, int c, double t0, double t1, int n, Extent* out) const override {
        pass();
        inner_->extent(s, c, t0, t1, n, out);
    }
    size_t samples(int s, int c, double t0, double t1, size_t n, double* t, float* v) const override {
        pass();
        return inner_->samples(s, c, t0, t1, n, t, v);
    }
    mutable std::mutex gate;
    mutable std::atomic<int> by_gui{0};  // reads that waited on the GUI's thread

  private:
    void pass() const {
        if (QThread::currentThread() == QApplication::instance()->thread()) {
            if (!gate.try_lock()) {
                ++by_gui;
                return;
            }
            gate.unlock();
            return;
        }
        const std::lock_guard<std::mutex> lock(gate);
    }
    std::shared_ptr<const TraceSource> inner_;
};

TEST_F(Window, ReviewDoesNotWaitForTheDisk) {
    bench.connect_now();
    bench.stream_until(60);
    bench.review();
    auto slow = std::make_shared<SlowSource>(bench.store);
    ui::LaneView lanes(&bench);
    lanes.resize(900, 600);
    lanes.set_source(slow, false);
    for (int i = 0; i < 100 && lanes.waiting(); ++i)
        QTest::qWait(10);
    ASSERT_FALSE(lanes.waiting());
    const QImage before = lanes.image().copy();
    slow->by_gui = 0;
    slow->gate.lock();
    lanes.show_range(20, 5);
    EXPECT_TRUE(lanes.waiting());  // and came back at once
    QApplication::processEvents();
    EXPECT_EQ(lanes.image(), before);
    EXPECT_EQ(slow->by_gui, 0);
    slow->gate.unlock();
    for (int i = 0; i < 300 && lanes.waiting(); ++i)
        QTest::qWait(10);
    EXPECT_FALSE(lanes.waiting());
    EXPECT_NE(lanes.image(), before);
}

TEST_F(Window, AnotherKeyAndClassMakeThatLabel) {
    bench.connect_now();
    bench.stream_until(4);
    open();
    ui::ClassEditor editor({{"blink", "#1f5fa8", '1', ""}, {"", "#000000", '2', ""}, {"blink", "", '3', ""}});
    ASSERT_EQ(editor.classes().size(), 1u);  // no name, or a name given before
    bench.set_label_classes({{"yawn", "#123456", '7', ""}});
    window->lanes()->labels().reload_classes();
    QTest::keyClick(window->lanes(), Qt::Key_7);
    bench.stream_until(5);
    QTest::keyClick(window->lanes(), Qt::Key_7);
    EXPECT_EQ(only_label().label_class, "yawn");
    QTest::keyClick(window->lanes(), Qt::Key_1);
    QTest::keyClick(window->lanes(), Qt::Key_1);
    EXPECT_EQ(bench.track.labels().size(), 1u);
}

TEST_F(Window, ClosesAndComesBackAsItWas) {
    QTemporaryDir folder;
    QSettings settings(folder.filePath("studio.ini"), QSettings::IniFormat);
    bench.connect_now();
    open();
    window->remember(&settings);
    window->set_theme(ui::Theme::dark);
    QTest::keyClick(window->lanes(), Qt::Key_R);
    bench.set_label_classes({{"yawn", "#123456", '7', ""}});
    EXPECT_TRUE(window->close());
    test::FakeWorkbench other;
    ui::apply_theme(app(), ui::Theme::light);
    ui::MainWindow again(&other);
    again.remember(&settings);
    EXPECT_EQ(ui::current_theme(), ui::Theme::dark);
    EXPECT_TRUE(again.lanes()->scrolls());
    ASSERT_EQ(other.classes.size(), 1u);
    EXPECT_EQ(other.classes[0].name, "yawn");
    EXPECT_EQ(other.classes[0].hotkey, '7');
}

TEST_F(Window, ClosingWhileRecordingAsksFirst) {
    bench.connect_now();
    bench.stream_until(2);
    open();
    bench.start_recording("/nowhere/a.h5", "", "");
    settle();
    auto answer = [&](int button) {
        QTimer::singleShot(0, window.get(), [button] {
            auto* box = qobject_cast<QMessageBox*>(QApplication::activeModalWidget());
            ASSERT_NE(box, nullptr);
            box->buttons().at(button)->click();
        });
        return window->close();
    };
    EXPECT_FALSE(answer(1));
    EXPECT_EQ(bench.now.state, WorkbenchState::recording);
    EXPECT_TRUE(answer(0));
    EXPECT_EQ(bench.now.state, WorkbenchState::streaming);
}

TEST_F(Window, NothingElseEndsARecordingUnasked) {
    bench.connect_now();
    bench.stream_until(2);
    open();
    bench.start_recording("/nowhere/a.h5", "", "");
    settle();
    QTest::keyClick(window->lanes(), Qt::Key_3);  // a label is still open when it ends
    bench.stream_until(3);
    settle();
    auto answer = [&](const QString& words, auto what) {
        bool asked = false;
        QTimer look;
        QObject::connect(&look, &QTimer::timeout, [&] {
            auto* box = qobject_cast<QMessageBox*>(QApplication::activeModalWidget());
            if (box == nullptr || asked) return;
            asked = true;
            for (QAbstractButton* b : box->buttons())
                if (b->text() == words) b->click();
        });
        look.start(1);
        what();
        QTest::qWait(20);
        return asked;
    };
    auto leave = [&] {
        for (QAbstractButton* b : window->findChildren<QAbstractButton*>())
            if (b->toolTip().startsWith("Disconnect")) b->click();
    };
    QMimeData data;
    data.setUrls({QUrl::fromLocalFile("/nowhere/b.h5")});
    auto drop = [&] {
        QDragEnterEvent enter({10, 10}, Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
        QApplication::sendEvent(window.get(), &enter);
        QDropEvent event(QPointF(10, 10), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
        QApplication::sendEvent(window.get(), &event);
        QTest::qWait(20);
    };
    EXPECT_TRUE(answer("Go on recording", leave));
    EXPECT_TRUE(answer("Go on recording", drop));
    EXPECT_EQ(bench.now.state, WorkbenchState::recording);
    EXPECT_EQ(bench.calls, std::vector<std::string>{"record"});
    EXPECT_TRUE(answer("Stop and open", drop));
    EXPECT_EQ(bench.calls, (std::vector<std::string>{"record", "stop", "open /nowhere/b.h5"}));
    EXPECT_EQ(only_label().label_class, "jaw_left");
    EXPECT_FALSE(answer("", [&] { leave(); }));  // nothing runs: nothing to ask
}

TEST_F(Window, ALostBoardIsSaidUntilItIsBack) {
    bench.connect_now();
    bench.stream_until(4);
    open();
    bench.start_recording("/nowhere/a.h5", "", "");
    settle();
    auto subtitle = [&] {
        for (const QLabel* l : window->findChildren<QLabel*>())
            if (l->isVisible() && l->text().startsWith("no signal")) return true;
        return false;
    };
    auto notice = [&] {  // its ground, over the traces
        const QImage image = window->lanes()->grab().toImage();
        const QRgb ground = ui::mix(ui::colors().canvas, ui::colors().warn, 0.14).rgb();
        int seen = 0;
        for (int x = 0; x < image.width(); ++x)
            seen += image.pixel(x, window->lanes()->plot_rect().center().y() + 10) == ground;
        return seen > 50;
    };
    EXPECT_FALSE(subtitle() || notice());
    bench.now.link_down = true;
    settle();
    EXPECT_TRUE(subtitle() && notice());
    bench.now.link_down = false;
    settle();
    EXPECT_FALSE(subtitle() || notice());
}

TEST_F(Window, LabelsOfOneSessionDoNotReachIntoTheNext) {
    bench.connect_now();
    bench.stream_until(9);
    open();
    drag(at(2), at(4));  // selected, in the stretch that is not recorded
    QTest::keyClick(window->lanes(), Qt::Key_3);
    EXPECT_EQ(only_label().label_class, "jaw_left");
    QTest::keyClick(window->lanes(), Qt::Key_4);  // it has its name: this one begins now
    EXPECT_EQ(window->lanes()->labels().open().size(), 1u);
    EXPECT_EQ(only_label().label_class, "jaw_left");
    drag(at(5), at(6));
    ASSERT_NE(window->lanes()->labels().selected(), 0u);
    bench.track = LabelTrack();
    bench.connect_now();  // a recording begins: time 0 again
    bench.now.state = WorkbenchState::recording;
    bench.stream_until(9.5);
    settle();
    EXPECT_EQ(window->lanes()->labels().selected(), 0u);
    QTest::keyClick(window->lanes(), Qt::Key_4);
    EXPECT_EQ(only_label().label_class, "jaw_right");
    EXPECT_EQ(only_label().start, 0);
    EXPECT_LE(only_label().stop, bench.store->end_time());
}

TEST_F(Window, AKeyNamesNoLabelThatIsOutOfSight) {
    bench.connect_now();
    bench.stream_until(9);
    open();
    drag(at(2), at(4));
    ASSERT_NE(window->lanes()->labels().selected(), 0u);
    const std::string name = only_label().label_class;
    bench.stream_until(30);
    settle();
    QTest::keyClick(window->lanes(), Qt::Key_3);
    EXPECT_EQ(only_label().label_class, name);
    EXPECT_EQ(window->lanes()->labels().open().size(), 1u);
}

TEST_F(Window, ALabelEditedInItsNoteKeepsItsTimes) {
    Label label;
    label.label_class = "blink";
    label.start = 1.23456789;
    label.stop = 2.3456789;
    Label saved;
    auto edit = [&](const QString& from) {
        auto* editor = new ui::LabelEditor(label, bench.classes, {}, nullptr);
        editor->on_save = [&](const Label& after) { saved = after; };
        const QList<QLineEdit*> fields = editor->findChildren<QLineEdit*>();
        for (QLineEdit* field : fields) {
            if (field->placeholderText() == "note") field->setText("left eye");
            if (!from.isEmpty() && field->text() == "1.235") field->setText(from);
        }
        for (QPushButton* b : editor->findChildren<QPushButton*>())
            if (b->text() == "Save") b->click();
    };
    edit({});
    EXPECT_EQ(saved.note, "left eye");
    EXPECT_EQ(saved.start, label.start);
    EXPECT_EQ(saved.stop, label.stop);
    edit("3.5");  // from and to the wrong way round
    EXPECT_EQ(saved.start, label.stop);
    EXPECT_EQ(saved.stop, 3.5);
}

TEST_F(Window, TheMouseReadsSamplesAndLabels) {
    bench.connect_now();
    bench.stream_until(20);
    bench.review();
    LabelEdit edit;
    edit.after.start = 2;
    edit.after.stop = 3.25;
    edit.after.label_class = "jaw_left";
    edit.after.note = "hard";
    bench.edit_label(edit);
    open();
    window->lanes()->show_range(0, 5);
    auto tip = [&](double t) {
        const QPoint p = at(t, 40);
        QHelpEvent event(QEvent::ToolTip, p, window->lanes()->mapToGlobal(p));
        QApplication::sendEvent(window->lanes(), &event);
        return QToolTip::text();
    };
    double time = 0;
    float value = 0;
    ASSERT_EQ(bench.store->samples(0, 0, 2.5 - 0.002, 2.5 + 0.002, 1, &time, &value), 1u);
    const QString text = tip(2.5);
    EXPECT_TRUE(text.contains("jaw left: 00:02.000 to 00:03.250, 1.250 s")) << text.toStdString();
    EXPECT_TRUE(text.contains("hard"));
    const QString raw = ui::value_text(double(value), QStringLiteral("µV"));
    EXPECT_EQ(text.count(raw), 1) << text.toStdString();
    EXPECT_TRUE(text.contains("filtered")) << text.toStdString();
    EXPECT_FALSE(tip(4.5).contains("jaw"));
}

TEST_F(Window, ASpanTooLongToFilterSaysSo) {
    bench.connect_now();
    bench.stream_until(30);
    bench.review();
    open();
    auto button = [&](const QString& text) {
        for (QAbstractButton* b : window->findChildren<QAbstractButton*>())
            if (b->text() == text) return b->isChecked();
        return false;
    };
    EXPECT_TRUE(button("Filter"));
    QTest::qWait(300);  // until it has looked at the signals
    settle();
    EXPECT_TRUE(window->lanes()->filter_text().contains("EEG 1–40 Hz without 60 Hz"))  // the mains it found
        << window->lanes()->filter_text().toStdString();
    window->lanes()->show_range(0, 300);  // 75,000 samples of a channel
    EXPECT_FALSE(button("Filter"));
    window->lanes()->show_range(0, 20);
    EXPECT_TRUE(button("Filter"));
}

TEST_F(Window, TheSmallestWindowCutsNoButton) {
    bench.connect_now();
    bench.stream_until(2);
    open(1080, 620);
    EXPECT_EQ(window->width(), 1080);
    int seen = 0;
    for (const QToolButton* b : window->findChildren<QToolButton*>()) {
        if (!b->isVisible()) continue;
        ++seen;
        EXPECT_GE(b->width(), b->sizeHint().width()) << b->text().toStdString();
    }
    EXPECT_GT(seen, 15);
}

TEST_F(Window, TheFormOfARecordingStartsItWithEnter) {
    bench.connect_now();
    bench.stream_until(2);
    open();
    QTemporaryDir folder;
    window->set_recording_folder(folder.path());
    QTimer::singleShot(0, window.get(), [] {
        auto* form = qobject_cast<QDialog*>(QApplication::activeModalWidget());
        ASSERT_NE(form, nullptr);
        const QList<QLineEdit*> fields = form->findChildren<QLineEdit*>();
        fields.at(0)->setText("S 07/left");
        fields.at(1)->setText("rest");
        QTest::keyClick(fields.at(1), Qt::Key_Return);
    });
    QTest::mouseClick(window->findChild<ui::RecordBar*>(), Qt::LeftButton, Qt::NoModifier, QPoint(20, 20));
    EXPECT_EQ(bench.now.state, WorkbenchState::recording);
    const QFileInfo file(QString::fromStdString(bench.now.path));
    EXPECT_EQ(file.path(), folder.path());
    EXPECT_TRUE(file.fileName().startsWith("sub-S-07-left_task-rest_")) << bench.now.path;
}

TEST_F(Window, ADeviceOfTheListFillsTheForm) {
    bench.found = {{"virtual:mps2-an386", "Virtual board"},
                   {"serial:/dev/ttyACM3?baud=921600", "Lockstep board on /dev/ttyACM3"}};
    open();
    auto* list = window->findChild<QListWidget*>();
    ASSERT_NE(list, nullptr);
    list->setCurrentRow(1);
    QStringList texts;
    for (const QLineEdit* field : window->findChildren<QLineEdit*>())
        texts << field->text();
    EXPECT_TRUE(texts.contains("/dev/ttyACM3")) << texts.join('|').toStdString();
    EXPECT_TRUE(texts.contains("serial:/dev/ttyACM3?baud=921600")) << texts.join('|').toStdString();
    list->setFocus();
    QTest::keyClick(list, Qt::Key_Return);
    EXPECT_EQ(bench.calls, std::vector<std::string>{"connect serial:/dev/ttyACM3?baud=921600"});
}

TEST(Spectrum, AToneStandsWhereItIsWithItsDensity) {
    constexpr double kRate = 250;
    std::vector<float> x;
    for (int i = 0; i < 2000; ++i)
        x.push_back(float(100 + 3 * std::sin(2 * M_PI * 20 * i / kRate)));
    const ui::Spectrum s = ui::spectrum_of(x, kRate);
    EXPECT_NEAR(s.peak_hz, 20, 0.3);
    // The power of a sine of amplitude 3 is 4.5, wherever it falls between the bins.
    double power = 0;
    for (size_t i = 0; i < s.hz.size(); ++i)
        power += s.density[i] * s.density[i] * s.hz[0];
    EXPECT_NEAR(power, 4.5, 0.05);
    EXPECT_TRUE(ui::spectrum_of({1, 2, 3}, kRate).hz.empty());
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
