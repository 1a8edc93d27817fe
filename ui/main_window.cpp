#include "ui/main_window.h"

#include <QButtonGroup>
#include <QDateTime>
#include <QDir>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QMimeData>
#include <QRegularExpression>
#include <QResizeEvent>
#include <QScrollArea>
#include <QStackedWidget>
#include <QStandardPaths>
#include <QStyle>
#include <QToolButton>
#include <QToolTip>
#include <QVBoxLayout>

#include "ui/banner.h"
#include "ui/connect_page.h"
#include "ui/health_panel.h"
#include "ui/icons.h"
#include "ui/label_bar.h"
#include "ui/lane_view.h"
#include "ui/overview.h"
#include "ui/prediction_strip.h"
#include "ui/record_bar.h"
#include "ui/signal_panel.h"

namespace lockstep::ui {

namespace {

constexpr int kFrameMs = 16;
constexpr int kPollMs = 100;
constexpr int kIdlePollMs = 500;
constexpr int kPanelsMs = 240;
constexpr int kNarrow = 1220;         // px across
constexpr double kSilentSeconds = 3;  // after which a board that sends nothing is worth a word
constexpr int kSpans[] = {1, 3, 5, 10, 20, 30};

QToolButton* tool(const QString& text, const QString& tip) {
    auto* b = new QToolButton;
    b->setText(text);
    b->setToolTip(tip);
    b->setFocusPolicy(Qt::NoFocus);
    b->setFont(text_font(9));
    return b;
}

QFrame* line() {
    auto* f = new QFrame;
    f->setObjectName("line");
    f->setFixedSize(1, 22);
    return f;
}

}  // namespace

MainWindow::MainWindow(Workbench* workbench, QWidget* parent) : QMainWindow(parent), workbench_(workbench) {
    setWindowTitle(tr("Lockstep Studio"));
    setAcceptDrops(true);
    setMinimumSize(1080, 620);
    resize(1400, 900);
    folder_ = QStandardPaths::writableLocation(QStandardPaths::DocumentsLocation) + "/Lockstep";

    auto* central = new QWidget;
    auto* outer = new QVBoxLayout(central);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    bar_ = make_bar();
    outer->addWidget(bar_);

    auto* view = new QWidget;
    auto* across = new QHBoxLayout(view);
    across->setContentsMargins(0, 0, 0, 0);
    across->setSpacing(0);
    auto* plots = new QWidget;
    plots->setObjectName("page");
    plots->setAttribute(Qt::WA_StyledBackground);
    auto* down = new QVBoxLayout(plots);
    down->setContentsMargins(0, 6, 0, 6);
    down->setSpacing(4);
    lanes_ = new LaneView(workbench_);
    predictions_ = new PredictionStrip(workbench_, lanes_);
    overview_ = new Overview(workbench_, lanes_);
    down->addWidget(lanes_, 1);
    down->addWidget(predictions_);
    down->addWidget(overview_);
    keys_ = new LabelBar(lanes_);
    down->addWidget(keys_);
    across->addWidget(plots, 1);
    side_ = make_side();
    across->addWidget(side_);

    connect_ = new ConnectPage(workbench_);
    pages_ = new QStackedWidget;
    pages_->addWidget(connect_);
    pages_->addWidget(view);
    outer->addWidget(pages_, 1);
    setCentralWidget(central);
    banner_ = new Banner(central);
    overlay_ = new HelpOverlay(central);

    connect(connect_, &ConnectPage::connect_wanted, this, [this](const QString& uri) {
        if (!uri.isEmpty()) workbench_->connect_device(uri.toStdString());
        poll();
    });
    connect(connect_, &ConnectPage::open_wanted, this, &MainWindow::open_session);
    connect(lanes_, &LaneView::view_changed, this, [this] {
        QToolTip::hideText();  // it tells of what was there
        sync_tools();
        predictions_->reload();
        overview_->update();
    });
    connect(lanes_, &LaneView::labels_changed, overview_, &Overview::reload);
    connect(lanes_, &LaneView::scrolled, predictions_, QOverload<>::of(&QWidget::update));
    connect(lanes_, &LaneView::channel_selected, this,
            [this] { show_signal(lanes_->selected_stream() >= 0); });
    connect(keys_, &LabelBar::edit_wanted, this, &MainWindow::edit_classes);
    lanes_->installEventFilter(this);

    clock_.start();
    frame_timer_.setTimerType(Qt::PreciseTimer);
    connect(&frame_timer_, &QTimer::timeout, this, &MainWindow::frame);
    connect(&poll_timer_, &QTimer::timeout, this, &MainWindow::poll);
    poll_timer_.start(kIdlePollMs);
    poll();
}

QWidget* MainWindow::make_bar() {
    auto* bar = new QWidget;
    bar->setObjectName("bar");
    bar->setAttribute(Qt::WA_StyledBackground);
    bar->setFixedHeight(60);
    auto* h = new QHBoxLayout(bar);
    h->setContentsMargins(16, 0, 16, 0);
    h->setSpacing(6);
    logo_ = new QLabel;
    logo_->setPixmap(ui::logo().pixmap(30, 30));
    logo_->setFixedSize(30, 30);
    h->addWidget(logo_);
    h->addSpacing(8);
    auto* names = new QVBoxLayout;
    names->setSpacing(0);
    names->setContentsMargins(0, 0, 0, 0);
    title_ = new QLabel(tr("Lockstep"));
    title_->setFont(text_font(11, true));
    subtitle_ = new QLabel;
    subtitle_->setFont(text_font(8.5));
    subtitle_->setObjectName("dim");
    dot_ = new QLabel;
    dot_->setFixedSize(8, 8);
    auto* second = new QHBoxLayout;
    second->setSpacing(6);
    second->addWidget(dot_);
    second->addWidget(subtitle_);
    second->addStretch();
    names->addStretch();
    names->addWidget(title_);
    names->addLayout(second);
    names->addStretch();
    h->addLayout(names);
    h->addStretch(1);

    tools_ = new QWidget;
    auto* t = new QHBoxLayout(tools_);
    t->setContentsMargins(0, 0, 0, 0);
    t->setSpacing(2);
    spans_ = new QButtonGroup(this);
    spans_->setExclusive(true);
    for (int s : kSpans) {
        QToolButton* b = tool(QString::number(s), tr("%1 s across ([ and ])").arg(s));
        b->setObjectName("segment");
        b->setCheckable(true);
        spans_->addButton(b, s);
        t->addWidget(b);
        connect(b, &QToolButton::clicked, this, [this, s] { lanes_->set_span(s); });
    }
    seconds_ = new QLabel(tr("s"));
    seconds_->setObjectName("faint");
    t->addWidget(seconds_);
    t->addSpacing(8);
    t->addWidget(line());
    t->addSpacing(6);
    minus_ = tool({}, tr("Smaller traces (−); Alt − for the channel under the mouse"));
    plus_ = tool({}, tr("Larger traces (+); 0 for automatic"));
    connect(minus_, &QToolButton::clicked, this, [this] { lanes_->step_amplitude(1); });
    connect(plus_, &QToolButton::clicked, this, [this] { lanes_->step_amplitude(-1); });
    gain_ = new QLabel(tr("gain"));
    gain_->setObjectName("faint");
    t->addWidget(minus_);
    t->addWidget(gain_);
    t->addWidget(plus_);
    t->addSpacing(6);
    t->addWidget(line());
    t->addSpacing(6);
    scroll_ = tool(tr("Scroll"), tr("The newest data at the right edge, moving; off: a sweep (R)"));
    scroll_->setCheckable(true);
    connect(scroll_, &QToolButton::clicked, this, [this] { lanes_->set_scroll(!lanes_->scrolls()); });
    t->addWidget(scroll_);
    filter_ = tool(tr("Filter"), tr("High-pass, low-pass and mains notch, for the display only (D)"));
    filter_->setCheckable(true);
    connect(filter_, &QToolButton::clicked, this, [this] { lanes_->toggle_dc(); });
    t->addWidget(filter_);
    annotate_ = tool(tr("Label"), tr("Drag makes labels; off: drag pans (A)"));
    annotate_->setCheckable(true);
    connect(annotate_, &QToolButton::clicked, this, [this] { lanes_->toggle_annotate(); });
    t->addWidget(annotate_);
    pause_ = tool({}, tr("Pause the view; recording goes on (P)"));
    pause_->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    pause_->setFixedWidth(82);  // whatever it says, its neighbours stay where they are
    pause_->setCheckable(true);
    connect(pause_, &QToolButton::clicked, this, [this] {
        if (lanes_->following()) {
            lanes_->set_paused(true);
        } else {
            lanes_->go_live();
        }
    });
    t->addWidget(pause_);
    h->addWidget(tools_);
    h->addSpacing(4);
    theme_ = tool({}, tr("Light or dark"));
    connect(theme_, &QToolButton::clicked, this,
            [this] { set_theme(current_theme() == Theme::dark ? Theme::light : Theme::dark); });
    help_ = tool({}, tr("Keys (?)"));
    connect(help_, &QToolButton::clicked, this, &MainWindow::show_keys);
    leave_ = tool({}, tr("Disconnect, or close the recording"));
    connect(leave_, &QToolButton::clicked, this, [this] {
        if (may_leave(tr("Stop and disconnect"))) workbench_->disconnect_device();
        poll();
    });
    h->addWidget(theme_);
    h->addWidget(help_);
    h->addWidget(leave_);
    h->addSpacing(4);
    record_ = new RecordBar;
    connect(record_, &RecordBar::clicked, this, &MainWindow::toggle_recording);
    connect(record_, &RecordBar::details_wanted, this, &MainWindow::choose_recording);
    h->addWidget(record_);
    restyle();
    return bar;
}

QWidget* MainWindow::make_side() {
    auto* side = new QFrame;
    side->setObjectName("side");
    side->setFixedWidth(272);
    auto* v = new QVBoxLayout(side);
    v->setContentsMargins(1, 0, 0, 0);
    v->setSpacing(0);
    auto* tabs = new QHBoxLayout;
    tabs->setContentsMargins(14, 10, 14, 0);
    tabs->setSpacing(2);
    health_tab_ = tool(tr("Health"), tr("Agreement, streams, link, clock, device (F)"));
    signal_tab_ = tool(tr("Signal"), tr("Spectrum of a channel, trends of the link (F)"));
    for (QToolButton* tab : {health_tab_, signal_tab_}) {
        tab->setCheckable(true);
        tabs->addWidget(tab);
    }
    connect(health_tab_, &QToolButton::clicked, this, [this] { show_signal(false); });
    connect(signal_tab_, &QToolButton::clicked, this, [this] { show_signal(true); });
    tabs->addStretch();
    v->addLayout(tabs);
    sides_ = new QStackedWidget;
    health_ = new HealthPanel;
    signal_ = new SignalPanel(lanes_);
    for (QWidget* panel : {static_cast<QWidget*>(health_), static_cast<QWidget*>(signal_)}) {
        auto* area = new QScrollArea;
        panel->setAttribute(Qt::WA_StyledBackground);
        panel->setObjectName("panel");
        area->setWidget(panel);
        area->setWidgetResizable(true);
        area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
        area->setFrameShape(QFrame::NoFrame);
        sides_->addWidget(area);
    }
    v->addWidget(sides_, 1);
    health_tab_->setChecked(true);
    return side;
}

void MainWindow::show_signal(bool signal) {
    health_tab_->setChecked(!signal);
    signal_tab_->setChecked(signal);
    sides_->setCurrentIndex(signal ? 1 : 0);
}

void MainWindow::restyle() {
    const QColor ink = colors().dim;
    minus_->setIcon(icon(Icon::minus, ink));
    plus_->setIcon(icon(Icon::plus, ink));
    theme_->setIcon(icon(current_theme() == Theme::dark ? Icon::sun : Icon::moon, ink));
    help_->setIcon(icon(Icon::help, ink));
    leave_->setIcon(icon(Icon::close, ink));
    if (signal_) signal_->restyle();
    if (lanes_) sync_tools();
}

void MainWindow::set_theme(Theme theme) {
    apply_theme(*qobject_cast<QApplication*>(QApplication::instance()), theme);
    restyle();
    lanes_->refresh();
    predictions_->reload();
    overview_->reload();
    poll();
    update();
}

void MainWindow::sync_tools() {
    for (QAbstractButton* b : spans_->buttons())
        b->setChecked(false);
    spans_->setExclusive(false);
    for (QAbstractButton* b : spans_->buttons())
        b->setChecked(std::abs(spans_->id(b) - lanes_->axis().span) < 1e-6);
    spans_->setExclusive(true);
    const bool raw = lanes_->too_long_to_filter();
    filter_->setChecked(lanes_->dc_removed() && !raw);
    filter_->setText(raw ? tr("Raw") : tr("Filter"));
    filter_->setToolTip(
        raw ? tr("So long a span is shown as it was recorded; zoom in to see it filtered")
            : tr("Filter for the display only (D); files stay raw.\n%1").arg(lanes_->filter_text()));
    scroll_->setChecked(lanes_->scrolls());
    scroll_->setVisible(lanes_->live());
    annotate_->setChecked(lanes_->annotating());
    pause_->setVisible(lanes_->live());
    pause_->setChecked(lanes_->live() && !lanes_->following());
    const bool past = lanes_->live() && !lanes_->following();
    pause_->setIcon(icon(past ? Icon::play : Icon::pause, past ? colors().accent_text : colors().dim));
    const QString look = past ? QStringLiteral("live") : QString();
    if (pause_->objectName() != look) {
        pause_->setObjectName(look);
        pause_->style()->unpolish(pause_);
        pause_->style()->polish(pause_);
    }
    pause_->setText(past ? tr("Live") : tr("Pause"));
    pause_->setToolTip(past ? tr("Back to what comes now (Esc)")
                            : tr("Pause the view; recording goes on (P)"));
}

void MainWindow::poll() {
    const WorkbenchState before = status_.state;
    const bool ending = status_.ends_soon;
    status_ = workbench_->status();
    if (status_.ends_soon && !ending) lanes_->labels().close_all(lanes_->now());
    const bool now = status_.state != before || status_.message_id != message_id_;
    const bool running = status_.state == WorkbenchState::streaming ||
                         status_.state == WorkbenchState::recording ||
                         status_.state == WorkbenchState::finishing;
    const bool review = status_.state == WorkbenchState::reviewing;
    std::shared_ptr<const TraceSource> source = running || review ? workbench_->traces() : nullptr;
    if (source != source_ || review != reviewing_) {
        source_ = source;
        reviewing_ = review;
        told_unrecorded_ = false;
        lanes_->set_source(source_, running);
        predictions_->reload();
        overview_->setVisible(review);
        overview_->reload();
        lanes_->labels().reload_classes();
        keys_->reload();
        signal_->reload();
        if (source_) lanes_->setFocus();
    }
    pages_->setCurrentIndex(source_ ? 1 : 0);
    tools_->setVisible(source_ != nullptr);
    leave_->setVisible(source_ != nullptr);
    record_->setVisible(!review);
    if (!source_) connect_->reload(status_);
    const QString file = QFileInfo(QString::fromStdString(status_.path)).fileName();
    const Colors& c = colors();
    QColor tone = c.faint;
    QString first = tr("Lockstep");
    QString second = tr("not connected");
    if (!status_.device.empty() && !review) first = QString::fromStdString(status_.device);
    switch (status_.state) {
        case WorkbenchState::idle:
            break;
        case WorkbenchState::connecting:
            second = tr("connecting…"), tone = c.warn;
            break;
        case WorkbenchState::streaming:
            second = tr("live, not recorded"), tone = c.good;
            break;
        case WorkbenchState::recording:
            second = file, tone = c.record;
            break;
        case WorkbenchState::finishing:
            second = tr("finishing %1").arg(file), tone = c.warn;
            break;
        case WorkbenchState::reviewing:
            first = file, second = tr("recorded session"), tone = c.accent;
            break;
    }
    const bool live =
        status_.state == WorkbenchState::streaming || status_.state == WorkbenchState::recording;
    QString notice;
    if (live && status_.link_down) {
        tone = c.warn;
        second =
            status_.state == WorkbenchState::recording ? tr("no signal · %1").arg(file) : tr("no signal");
        notice = status_.state == WorkbenchState::recording
                     ? tr("No signal: waiting for the board. The recording goes on.")
                     : tr("No signal: waiting for the board.");
    } else if (live && status_.seconds > kSilentSeconds && source_ && source_->end_time() <= 0) {
        notice = tr("Connected, but no sample has come yet.");
    }
    lanes_->set_notice(notice);
    const int room = narrow_ ? 160 : 260;
    title_->setText(QFontMetrics(title_->font()).elidedText(first, Qt::ElideMiddle, room));
    title_->setToolTip(first);
    subtitle_->setText(QFontMetrics(subtitle_->font()).elidedText(second, Qt::ElideMiddle, room - 20));
    subtitle_->setToolTip(QString::fromStdString(status_.path));
    if (tone != tone_) {
        tone_ = tone;
        dot_->setStyleSheet(QStringLiteral("background: %1; border-radius: 4px;").arg(tone.name()));
    }
    // Numbers that change faster than a person reads are not shown faster.
    if (now || !since_panels_.isValid() || since_panels_.elapsed() >= kPanelsMs) {
        since_panels_.start();
        record_->set_status(status_);
        health_->set_status(status_, double(clock_.elapsed()) / 1000);
        signal_->set_status(status_, double(clock_.elapsed()) / 1000);
        if (source_) predictions_->reload();
        keys_->update();
    }
    if (status_.message_id != message_id_) {
        message_id_ = status_.message_id;
        QString action;
        if (status_.finished != finished_) {
            finished_ = status_.finished;
            action = tr("Open it");
        }
        banner_->show_message(QString::fromStdString(status_.message), status_.message_is_error, action,
                              [this] { open_path(QString::fromStdString(finished_)); });
    }
    if (status_.state == WorkbenchState::streaming && !told_unrecorded_ &&
        (!lanes_->labels().open().empty() || !workbench_->labels(-1e12, 1e12).empty())) {
        told_unrecorded_ = true;
        banner_->show_message(tr("Nothing is recorded: these labels are not kept. Space records."), false);
    }
    poll_timer_.setInterval(running ? kPollMs : kIdlePollMs);
    if (source_ != nullptr && !frame_timer_.isActive()) frame_timer_.start(running ? kFrameMs : 100);
    if (source_ == nullptr) frame_timer_.stop();
    if (frame_timer_.isActive()) frame_timer_.setInterval(running && lanes_->following() ? kFrameMs : 100);
}

void MainWindow::frame() {
    gaps_.frame(lanes_->following() ? clock_.elapsed() : -1);
    lanes_->tick();
}

void MainWindow::refresh_now() {
    since_panels_.invalidate();
    poll();
    lanes_->tick();
}

QString MainWindow::next_path() const {
    if (!chosen_path_.isEmpty() && !QFileInfo::exists(chosen_path_)) return chosen_path_;
    return folder_ + "/" +
           recording_name(subject_, task_, QDateTime::currentDateTime().toString("yyyy-MM-dd_HH-mm-ss"));
}

QString MainWindow::recording_name(const QString& subject, const QString& task, const QString& time) {
    // What a person types may hold what a file's name may not.
    static const QRegularExpression odd(QStringLiteral("[^\\w.+-]+"),
                                        QRegularExpression::UseUnicodePropertiesOption);
    QString name = time + ".h5";
    if (!task.isEmpty()) name = QStringLiteral("task-%1_").arg(QString(task).replace(odd, "-")) + name;
    if (!subject.isEmpty()) name = QStringLiteral("sub-%1_").arg(QString(subject).replace(odd, "-")) + name;
    return name;
}

void MainWindow::toggle_recording() {
    if (status_.state == WorkbenchState::recording) {
        end_recording();
    } else if (status_.state == WorkbenchState::streaming) {
        QDir().mkpath(folder_);
        workbench_->start_recording(next_path().toStdString(), subject_.toStdString(), task_.toStdString());
    }
    poll();
}

void MainWindow::open_session() {
    const QString path = QFileDialog::getOpenFileName(this, tr("Open a recording"), folder_,
                                                      tr("Sessions (*.h5);;All files (*)"));
    open_path(path);
}

void MainWindow::toggle_zen() {
    zen_ = !zen_;
    bar_->setVisible(!zen_);
    side_->setVisible(!zen_);
    predictions_->setVisible(!zen_);
    overview_->setVisible(!zen_ && reviewing_);
    keys_->setVisible(!zen_);
}

void MainWindow::resizeEvent(QResizeEvent*) {
    // In a narrow window words give way to the buttons, which could else be read no more.
    if (narrow_ != (width() < kNarrow)) {
        narrow_ = !narrow_;
        seconds_->setVisible(!narrow_);
        gain_->setVisible(!narrow_);
        logo_->setVisible(!narrow_);
        record_->setFixedWidth(narrow_ ? 160 : 214);
        poll();
    }
    banner_->place();
    overlay_->setGeometry(centralWidget()->rect());
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
    if (event->mimeData()->hasUrls()) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
    const QList<QUrl> urls = event->mimeData()->urls();
    if (urls.isEmpty() || !urls.front().isLocalFile()) return;
    // After the drop: what asks here would keep the program waiting that the file comes from.
    QTimer::singleShot(0, this, [this, path = urls.front().toLocalFile()] { open_path(path); });
}

}  // namespace lockstep::ui
