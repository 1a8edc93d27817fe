// All streams as lanes in one widget: traces, names, scale bars, time axis, gaps and labels.
// The newest state is drawn on each tick, never a queue of frames. GUI thread.
#pragma once

#include <QElapsedTimer>
#include <QTimer>
#include <QWidget>

#include "ui/label_tool.h"
#include "ui/lanes.h"
#include "ui/prefetch.h"
#include "ui/trace_canvas.h"

namespace lockstep::ui {

class LaneView : public QWidget {
    Q_OBJECT
  public:
    explicit LaneView(Workbench* workbench, QWidget* parent = nullptr);

    // live: the view sweeps with the source's end; else it shows [0, span) or the whole session.
    void set_source(std::shared_ptr<const TraceSource> source, bool live);
    const std::shared_ptr<const TraceSource>& source() const { return source_; }

    const TimeAxis& axis() const { return axis_; }
    const LaneSet& lanes() const { return lanes_; }
    const QImage& image() const { return canvas_.image(); }
    LabelTool& labels() { return tool_; }
    QRect plot_rect() const;  // where the traces are
    double now() const;       // where a label made by a key goes: the newest time, in review the cursor
    bool following() const { return live_ && follow_ && !paused_; }
    bool paused() const { return paused_; }
    bool live() const { return live_; }
    bool waiting() const { return awaited_; }  // for data of a fixed view
    double mains_hz() const { return mains_hz_; }

    void set_span(double seconds);
    void set_paused(bool paused);
    void go_live();
    void show_range(double t0, double span);  // fixed view
    void scroll(double spans);                // of the visible span
    void zoom(double factor, double around);
    void step_span(int direction);
    // Of the scale under the mouse, else of all; or of the one channel under the mouse.
    void step_amplitude(int direction, bool one_channel = false);
    void set_amplitude(int scale, double amplitude);  // 0 = automatic
    void auto_amplitude();  // and no channel on its own; of the stream under the mouse, else of all
    void set_scroll(bool scroll);
    bool scrolls() const { return scroll_; }
    void page(int direction);  // review: a span on; live: into what was
    void go_edge(bool end);    // first or last span of the session
    // The channel that is looked at closer; -1 while there is none.
    int selected_stream() const { return selected_stream_; }
    int selected_channel() const { return selected_channel_; }
    void select_channel(int stream, int channel);
    void toggle_dc();
    bool dc_removed() const { return remove_dc_; }
    QString filter_text() const;      // "EEG 1–40 Hz without 60 Hz; PPG 0.4–12 Hz"
    bool too_long_to_filter() const;  // what is shown is raw, although it should be filtered
    void toggle_scale_bars();
    void toggle_annotate();
    bool annotating() const { return annotate_; }
    void jump_label(int direction);
    void edit_selected();
    void label_key(char hotkey, bool point);  // 1-9: names what is selected, else begins, ends or marks
    StreamChoice& choice(const std::string& stream) { return choices_[stream]; }
    void choices_changed();
    void set_notice(const QString& text);  // over the traces, as long as it is true; "" = none
    void refresh();                        // streams, theme or size changed: everything anew
    void tick();                           // one frame

  signals:
    void view_changed();  // axis, span, pause or follow
    void labels_changed();
    void scrolled();  // a scrolling view moved on
    void channel_selected();

  protected:
    void paintEvent(QPaintEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    bool event(QEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

  private:
    void redraw();
    void draw_fixed();  // a fixed view: now when its data are in memory, else as soon as they are
    void fit();
    void update_filters();
    void update_hints();
    void reset_head();
    double ratio() const { return devicePixelRatioF(); }
    double x_of(double column) const { return plot_rect().left() + column / ratio(); }
    double time_at(const QPointF& pos) const {
        return axis_.time_at((pos.x() - plot_rect().left()) * ratio());
    }
    double drag_time(const QPointF& pos) const;  // of a label being drawn: on the press's side of the head
    const Lane* lane_under_mouse() const;
    const Lane* lane_at(const QPointF& pos) const {
        return lanes_.lane_at(int((pos.y() - plot_rect().top()) * ratio()));
    }
    QRect chip_rect(const Label& label) const;
    bool editable_at(const QPointF& pos) const;
    QString tip_at(const QPointF& pos);  // the label there, and the sample
    void stream_menu(const QPoint& global, int stream, int channel);

    void paint_traces(QPainter* painter, const QRegion& dirty);
    void paint_names(QPainter* painter);
    void paint_scale_bars(QPainter* painter);
    void paint_axis(QPainter* painter);
    void paint_notice(QPainter* painter);
    void paint_labels(QPainter* painter, const QRect& dirty);
    void paint_label(QPainter* painter, const Label& label, bool selected, bool open,
                     std::vector<int>* filled_to);

    Workbench* workbench_;
    std::shared_ptr<const TraceSource> source_;
    std::shared_ptr<FilteredSource> shown_;
    std::vector<StreamInfo> streams_;
    std::map<std::string, StreamChoice> choices_;
    LaneSet lanes_;
    TimeAxis axis_;
    TraceCanvas canvas_;
    LabelTool tool_;
    QString notice_;
    bool live_ = false;
    bool follow_ = true;
    bool paused_ = false;
    bool scroll_ = false;
    double scroll_time_ = 0;  // session time at a scrolling view's right edge
    QElapsedTimer since_frame_;
    int selected_stream_ = -1;
    int selected_channel_ = -1;
    bool remove_dc_ = true;
    bool scale_bars_ = true;
    bool annotate_ = true;
    bool fitted_ = false;
    double mains_hz_ = 50;
    double cursor_ = -1;  // review: where keys put labels
    QPointF pan_from_;
    double press_time_ = 0;
    bool panning_ = false;
    int64_t pan_first_ = 0;
    bool awaited_ = false;  // the fixed view's data are being read
    QElapsedTimer since_fit_;
    QElapsedTimer since_slow_;
    uint64_t seen_revision_ = 0;
    Prefetch prefetch_;  // last: its thread ends before what it uses
};

}  // namespace lockstep::ui
