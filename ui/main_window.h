// The window. Built on the Workbench contract alone; holds no data of its own. GUI thread.
#pragma once

#include <QElapsedTimer>
#include <QMainWindow>
#include <QTimer>

#include "acquisition/workbench.h"
#include "ui/frame_gaps.h"
#include "ui/theme.h"

class QButtonGroup;
class QFrame;
class QLabel;
class QScrollArea;
class QSettings;
class QStackedWidget;
class QToolButton;

namespace lockstep::ui {

class Banner;
class ConnectPage;
class HealthPanel;
class HelpOverlay;
class LabelBar;
class LaneView;
class Overview;
class PredictionStrip;
class RecordBar;
class SignalPanel;

class MainWindow : public QMainWindow {
    Q_OBJECT
  public:
    // REQUIRES: apply_theme() was called; workbench outlives the window.
    explicit MainWindow(Workbench* workbench, QWidget* parent = nullptr);

    LaneView* lanes() { return lanes_; }
    void refresh_now();  // polls the workbench and draws a frame; the timers do this by themselves
    void set_theme(Theme theme);
    const FrameGaps& frame_gaps() const { return gaps_; }
    // Place, theme, folder, view and label classes as they were left; given back when the window closes.
    // Takes what `settings` has; a screenshot or a test remembers nothing.
    void remember(QSettings* settings);
    void set_recording_folder(const QString& folder) { folder_ = folder; }

  protected:
    void keyPressEvent(QKeyEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;
    void closeEvent(QCloseEvent* event) override;

  private:
    QWidget* make_bar();
    QWidget* make_side();
    void show_signal(bool signal);
    void edit_classes();
    void save() const;
    bool may_leave(const QString& end_and);  // false: a recording runs and shall go on
    void end_recording();
    void open_path(const QString& path);
    void show_keys();
    bool move_key(int key, bool shift, bool alt);
    void poll();
    void frame();
    void toggle_recording();
    void choose_recording();
    void open_session();
    void toggle_zen();
    void sync_tools();
    void restyle();
    bool handle_key(QKeyEvent* event);
    QString next_path() const;
    static QString recording_name(const QString& subject, const QString& task, const QString& time);

    Workbench* workbench_;
    WorkbenchStatus status_;
    std::shared_ptr<const TraceSource> source_;
    uint64_t message_id_ = 0;
    std::string finished_;  // the recording whose end was told
    bool reviewing_ = false;
    bool told_unrecorded_ = false;
    bool narrow_ = false;
    bool zen_ = false;
    QString folder_;
    QString subject_;
    QString task_;
    QString chosen_path_;
    QElapsedTimer clock_;
    QElapsedTimer since_panels_;
    FrameGaps gaps_;
    QColor tone_;
    QTimer frame_timer_;
    QTimer poll_timer_;

    QWidget* bar_ = nullptr;
    QLabel* title_ = nullptr;
    QLabel* subtitle_ = nullptr;
    QLabel* dot_ = nullptr;
    QLabel* logo_ = nullptr;
    QLabel* seconds_ = nullptr;
    QLabel* gain_ = nullptr;
    QWidget* tools_ = nullptr;
    QButtonGroup* spans_ = nullptr;
    QToolButton* pause_ = nullptr;
    QToolButton* scroll_ = nullptr;
    QToolButton* health_tab_ = nullptr;
    QToolButton* signal_tab_ = nullptr;
    QSettings* settings_ = nullptr;
    QToolButton* filter_ = nullptr;
    QToolButton* annotate_ = nullptr;
    QToolButton* minus_ = nullptr;
    QToolButton* plus_ = nullptr;
    QToolButton* theme_ = nullptr;
    QToolButton* help_ = nullptr;
    QToolButton* leave_ = nullptr;
    RecordBar* record_ = nullptr;
    QStackedWidget* pages_ = nullptr;
    ConnectPage* connect_ = nullptr;
    LaneView* lanes_ = nullptr;
    PredictionStrip* predictions_ = nullptr;
    Overview* overview_ = nullptr;
    LabelBar* keys_ = nullptr;
    HealthPanel* health_ = nullptr;
    SignalPanel* signal_ = nullptr;
    QStackedWidget* sides_ = nullptr;
    QWidget* side_ = nullptr;
    Banner* banner_ = nullptr;
    HelpOverlay* overlay_ = nullptr;
};

// Shows the window at `size` (logical pixels), lets the session's data be drawn, and writes a PNG.
// Works on the offscreen platform. False with a reason on standard error when the file cannot be written
// or the picture is blank.
bool screenshot(MainWindow& window, const QString& path, const QSize& size);

}  // namespace lockstep::ui
