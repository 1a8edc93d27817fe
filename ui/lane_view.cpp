#include "ui/lane_view.h"

#include <QResizeEvent>
#include <algorithm>
#include <cmath>

#include "ui/metrics.h"
#include "ui/theme.h"

namespace lockstep::ui {

namespace {
constexpr double kSpans[] = {1, 3, 5, 10, 20, 30};
constexpr int kFitMs = 700;
constexpr int kSlowMs = 250;  // axis, labels, chips: what need not move at 60 Hz
constexpr double kShortest = 0.05;
}  // namespace

LaneView::LaneView(Workbench* workbench, QWidget* parent)
    : QWidget(parent), workbench_(workbench), tool_(workbench) {
    setAttribute(Qt::WA_OpaquePaintEvent);
    setMouseTracking(true);
    setFocusPolicy(Qt::StrongFocus);
    setMinimumSize(420, 220);
    since_fit_.start();
    since_slow_.start();
}

QRect LaneView::plot_rect() const {
    return QRect(kGutter, kLabelRow, std::max(1, width() - kGutter - kStrip),
                 std::max(1, height() - kLabelRow - kAxisRow));
}

double LaneView::now() const {
    if (!live_ && cursor_ >= 0) return cursor_;
    if (!live_) return axis_.begin_time() + axis_.span / 2;
    return source_ ? source_->end_time() : 0;
}

void LaneView::set_source(std::shared_ptr<const TraceSource> source, bool live) {
    source_ = std::move(source);
    shown_ = source_ ? std::make_shared<FilteredSource>(source_) : nullptr;
    live_ = live;
    follow_ = live;
    paused_ = false;
    fitted_ = false;
    cursor_ = -1;
    axis_.sweep = live;
    axis_.first = 0;
    lanes_ = LaneSet{};
    streams_.clear();
    tool_.cancel();
    if (source_ && !live) {
        // A short session is shown whole; of a long one the first seconds.
        const double end = source_->end_time();
        axis_.span = end > 0 && end <= 120 ? end : 30;
    } else {
        axis_.span = 10;
    }
    refresh();
    emit view_changed();
}

void LaneView::refresh() {
    const QRect plot = plot_rect();
    const int columns = std::max(1, int(std::lround(plot.width() * ratio())));
    const double begin = axis_.begin_time();
    axis_.columns = columns;
    if (!axis_.sweep) axis_.first = int64_t(std::lround(begin / axis_.dt()));
    canvas_.resize(columns, std::max(1, int(std::lround(plot.height() * ratio()))), ratio());
    if (source_) streams_ = source_->streams();
    lanes_.build(streams_, choices_);
    lanes_.place(canvas_.image().height(), int(kGroupHead * ratio()), int(kGroupGap * ratio()));
    update_filters();
    if (axis_.sweep && source_ && !paused_) reset_head();
    fit();
    redraw();
}

void LaneView::choices_changed() {
    fitted_ = false;
    refresh();
}

void LaneView::reset_head() {
    axis_.head = source_ ? axis_.column_of(source_->end_time()) - 1 : -1;
}

void LaneView::update_filters() {
    if (!shown_) return;
    for (size_t s = 0; s < streams_.size(); ++s) {
        const bool on = remove_dc_ && choices_[streams_[s].name].remove_dc;
        shown_->set_filter(int(s), on ? display_filter(streams_[s].kind, mains_hz_) : FilterSpec{});
    }
}

void LaneView::fit() {
    since_fit_.restart();
    if (!shown_) return;
    if (fit_scales(&lanes_, *shown_, axis_.begin_time(), axis_.end_time())) fitted_ = false;
}

void LaneView::redraw() {
    if (shown_) canvas_.redraw(lanes_, *shown_, axis_);
    fitted_ = true;
    update();
}

void LaneView::tick() {
    if (!source_) return;
    // A joining device or a model change brings new streams.
    if (since_slow_.elapsed() >= kSlowMs) {
        since_slow_.restart();
        const std::vector<StreamInfo> streams = source_->streams();
        bool same = streams.size() == streams_.size();
        for (size_t i = 0; same && i < streams.size(); ++i) {
            same = streams[i].name == streams_[i].name && streams[i].rate() == streams_[i].rate() &&
                   streams[i].enabled == streams_[i].enabled &&
                   streams[i].channels.size() == streams_[i].channels.size();
        }
        if (!same) refresh();
        if (!paused_) update_hints();
        const QRect plot = plot_rect();
        if (following()) {
            update(0, 0, width(), kLabelRow);
            update(0, plot.bottom() + 1, width(), kAxisRow);
            if (!tool_.open().empty()) update(plot);
        }
        if (workbench_->label_revision() != seen_revision_) {
            seen_revision_ = workbench_->label_revision();
            update();
            emit labels_changed();
        }
    }
    if (!following()) return;
    reset_head();
    if (since_fit_.elapsed() >= kFitMs) {
        fit();
        if (!fitted_) {
            redraw();
            return;
        }
    }
    const TraceCanvas::Touched touched = canvas_.advance(lanes_, *shown_, axis_);
    if (!touched.any()) return;
    const QRect plot = plot_rect();
    const int64_t columns = std::min<int64_t>(touched.last - touched.first + 4, axis_.columns);
    const int x = axis_.x_of_column(touched.first - 2);
    const int left = int(std::floor(x / ratio())) - 1;
    const int width_px = int(std::ceil(double(columns) / ratio())) + 3;
    update(plot.left() + left, plot.top(), width_px, plot.height());
    const int over = left + width_px - plot.width();
    if (over > 0) update(plot.left(), plot.top(), over + 2, plot.height());
}

void LaneView::update_hints() {
    if (!source_) return;
    bool changed = false;
    double mains = mains_hz_;
    for (Lane& lane : lanes_.lanes) {
        const double t = live_ ? source_->end_time(lane.stream)
                               : std::min(axis_.end_time(), source_->end_time(lane.stream));
        const QString hint = quality_hint(*source_, streams_[size_t(lane.stream)], lane, t, &mains);
        if (hint == lane.hint) continue;
        lane.hint = hint;
        changed = true;
    }
    if (mains != mains_hz_) {
        mains_hz_ = mains;
        update_filters();
        fitted_ = false;
        fit();
        redraw();
    }
    if (changed) update(0, 0, kGutter, height());
}

void LaneView::resizeEvent(QResizeEvent*) {
    refresh();
}

void LaneView::set_span(double seconds) {
    const double end = axis_.end_time();
    const double middle = (axis_.begin_time() + end) / 2;
    axis_.span = seconds;
    if (!axis_.sweep) {
        const double from = live_ ? end - seconds : std::max(0.0, middle - seconds / 2);
        axis_.first = int64_t(std::lround(from / axis_.dt()));
    }
    fitted_ = false;
    if (axis_.sweep && paused_) axis_.head = axis_.column_of(end) - 1;
    refresh();
    emit view_changed();
}

void LaneView::set_paused(bool paused) {
    if (!live_ || paused == paused_) return;
    paused_ = paused;
    if (!paused_) {
        go_live();
        return;
    }
    update();
    emit view_changed();
}

void LaneView::go_live() {
    if (!live_) return;
    paused_ = false;
    follow_ = true;
    if (axis_.span > 30) axis_.span = 30;
    axis_.sweep = true;
    refresh();
    emit view_changed();
}

void LaneView::show_range(double t0, double span) {
    axis_.span = std::clamp(span, 0.05, 48 * 3600.0);
    axis_.sweep = false;
    follow_ = false;
    axis_.first = int64_t(std::lround(t0 / axis_.dt()));
    fit();
    redraw();
    emit view_changed();
}

void LaneView::scroll(double spans) {
    if (!source_) return;
    const double end = source_->end_time();
    double t0 = (axis_.sweep ? end - axis_.span : axis_.begin_time()) + spans * axis_.span;
    if (live_ && t0 + axis_.span >= end && spans > 0) {
        go_live();
        return;
    }
    t0 = std::clamp(t0, std::min(0.0, end - axis_.span), std::max(0.0, end - 0.5 * axis_.span));
    show_range(std::max(t0, 0.0), axis_.span);
}

void LaneView::zoom(double factor, double around) {
    if (!source_) return;
    if (live_ && axis_.sweep) {
        step_span(factor > 1 ? 1 : -1);
        return;
    }
    const double longest = std::max(30.0, source_->end_time());
    const double span = std::clamp(axis_.span * factor, 0.2, longest);
    const double share = (around - axis_.begin_time()) / axis_.span;
    show_range(std::max(0.0, around - share * span), span);
}

void LaneView::step_span(int direction) {
    double chosen = axis_.span;
    if (direction > 0) {
        for (double s : kSpans) {
            if (s > axis_.span * 1.01) {
                chosen = s;
                break;
            }
        }
        if (!live_ && axis_.span >= 29.9 && source_)
            chosen = std::min(axis_.span * 2, std::max(30.0, source_->end_time()));
    } else {
        for (double s : kSpans) {
            if (s < axis_.span * 0.99) chosen = s;
        }
        if (axis_.span > 60.1) chosen = axis_.span / 2;
    }
    if (chosen != axis_.span) set_span(chosen);
}

void LaneView::step_amplitude(int direction) {
    const Lane* under = underMouse() ? lane_at(mapFromGlobal(QCursor::pos())) : nullptr;
    for (const Scale& scale : lanes_.scales) {
        if (under && under->stream != scale.stream) continue;
        choices_[streams_[size_t(scale.stream)].name].amplitude = amplitude_step(scale.amplitude, direction);
    }
    choices_changed();
}

void LaneView::set_amplitude(const std::string& stream, double amplitude) {
    choices_[stream].amplitude = amplitude;
    choices_changed();
}

void LaneView::toggle_dc() {
    remove_dc_ = !remove_dc_;
    choices_changed();
    emit view_changed();
}

void LaneView::toggle_scale_bars() {
    scale_bars_ = !scale_bars_;
    update();
}

void LaneView::toggle_annotate() {
    annotate_ = !annotate_;
    update();
    emit view_changed();
}

void LaneView::jump_label(int direction) {
    std::optional<Label> selected = tool_.find(tool_.selected());
    const double from = selected ? selected->start : now();
    const std::optional<double> t = tool_.jump(from, direction);
    if (!t) return;
    cursor_ = *t;
    if (*t < axis_.begin_time() || *t > axis_.end_time() - 0.1 * axis_.span || axis_.sweep) {
        show_range(std::max(0.0, *t - 0.3 * axis_.span), axis_.span);
    }
    update();
}

}  // namespace lockstep::ui
