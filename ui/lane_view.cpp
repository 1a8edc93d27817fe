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
constexpr double kStall = 0.25;                            // s without a frame
constexpr int kSlowMs = 250;                               // axis, labels, chips: what need not move at 60 Hz
constexpr auto kPatience = std::chrono::milliseconds(10);  // for data from a file, before drawing later
}  // namespace

LaneView::LaneView(Workbench* workbench, QWidget* parent)
    : QWidget(parent), workbench_(workbench), tool_(workbench), prefetch_([this] {
          QMetaObject::invokeMethod(
              this,
              [this] {
                  if (!awaited_) return;
                  awaited_ = false;
                  fit();
                  redraw();
              },
              Qt::QueuedConnection);
      }) {
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
    // A recording that begins or ends is a new source; what the person chose to see stays.
    const bool goes_on = source_ && source && live_ && live;
    source_ = std::move(source);
    shown_ = source_ ? std::make_shared<FilteredSource>(source_) : nullptr;
    live_ = live;
    follow_ = live;
    paused_ = false;
    fitted_ = false;
    cursor_ = -1;
    if (!goes_on) selected_stream_ = selected_channel_ = -1;
    axis_.sweep = live;
    axis_.scroll = scroll_;
    axis_.first = 0;
    lanes_ = LaneSet{};
    streams_.clear();
    tool_.begin_session(goes_on);
    if (source_ && !live) {
        // A short session is shown whole; of a long one the first seconds.
        const double end = source_->end_time();
        axis_.span = end > 0 && end <= 120 ? end : 30;
    } else if (!goes_on || axis_.span > 30) {
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
    if (!axis_.sweep && source_) {
        draw_fixed();
        return;
    }
    fit();
    redraw();
}

void LaneView::draw_fixed() {
    Prefetch::Wish wish;
    wish.source = shown_;
    for (const Lane& lane : lanes_.lanes)
        wish.channels.emplace_back(lane.stream, lane.channel);
    wish.t0 = axis_.begin_time();
    wish.t1 = axis_.end_time();
    wish.columns = axis_.columns;
    prefetch_.want(std::move(wish));
    awaited_ = !prefetch_.wait(kPatience);
    if (awaited_) {
        update();
        return;
    }
    fit();
    redraw();
}

void LaneView::set_notice(const QString& text) {
    if (text == notice_) return;
    notice_ = text;
    update();
}

void LaneView::choices_changed() {
    fitted_ = false;
    refresh();
}

void LaneView::reset_head() {
    scroll_time_ = source_ ? source_->end_time() : 0;
    axis_.head = source_ ? axis_.column_of(scroll_time_) - 1 : -1;
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
    if (axis_.scroll) {
        // The clock moves the view, evenly; the data, which come in batches, only correct it.
        const double off = source_->end_time() - scroll_time_;
        const double passed = since_frame_.isValid() ? double(since_frame_.nsecsElapsed()) * 1e-9 : 0;
        since_frame_.start();
        // After a pause, or when the window stood still, the clock is not asked: the view never goes back.
        if (passed > kStall || std::abs(off) > 0.5) {
            scroll_time_ += off;
        } else {
            scroll_time_ += std::max(0.0, passed * (1 + 0.5 * off));
        }
        axis_.head = std::max(axis_.head, axis_.column_of(scroll_time_) - 1);
    } else {
        reset_head();
    }
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
    if (axis_.scroll) {
        update(plot.left() - 8, 0, plot.width() + 16, height());
        emit scrolled();
        return;
    }
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
        const SignalQuality quality =
            signal_quality(*source_, streams_[size_t(lane.stream)], lane.stream, lane.channel, t);
        if (quality.state == SignalState::hum) mains = quality.mains_hz;
        const QString hint = quality_text(quality);
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
        emit view_changed();
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
    axis_.scroll = scroll_;
    refresh();
    emit view_changed();
}

void LaneView::set_scroll(bool scroll) {
    if (scroll == scroll_) return;
    scroll_ = scroll;
    if (!axis_.sweep) return;  // takes effect when it is live again
    axis_.scroll = scroll;
    refresh();
    emit view_changed();
}

void LaneView::show_range(double t0, double span) {
    axis_.span = std::clamp(span, 0.05, 48 * 3600.0);
    axis_.sweep = false;
    follow_ = false;
    axis_.first = int64_t(std::lround(t0 / axis_.dt()));
    draw_fixed();
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

void LaneView::page(int direction) {
    scroll(direction);
}

void LaneView::go_edge(bool end) {
    if (!source_) return;
    if (live_ && end) return go_live();
    show_range(end ? std::max(0.0, source_->end_time() - axis_.span) : 0, axis_.span);
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

const Lane* LaneView::lane_under_mouse() const {
    return underMouse() ? lane_at(mapFromGlobal(QCursor::pos())) : nullptr;
}

void LaneView::step_amplitude(int direction, bool one_channel) {
    const Lane* under = lane_under_mouse();
    if (one_channel) {
        if (!under) return;
        auto& gain = choices_[streams_[size_t(under->stream)].name].gain;
        const double next = amplitude_step(under->gain, -direction);
        if (std::abs(next - 1) < 1e-9) {
            gain.erase(under->channel);
        } else {
            gain[under->channel] = std::clamp(next, 0.01, 100.0);
        }
        choices_changed();
        return;
    }
    for (size_t i = 0; i < lanes_.scales.size(); ++i) {
        const Scale& scale = lanes_.scales[i];
        if (under && under->scale != int(i)) continue;
        choices_[streams_[size_t(scale.stream)].name].amplitude[scale.key] =
            amplitude_step(scale.amplitude, direction);
    }
    choices_changed();
}

void LaneView::set_amplitude(int scale, double amplitude) {
    if (scale < 0 || size_t(scale) >= lanes_.scales.size()) return;
    const Scale& chosen = lanes_.scales[size_t(scale)];
    choices_[streams_[size_t(chosen.stream)].name].amplitude[chosen.key] = amplitude;
    choices_changed();
}

void LaneView::auto_amplitude() {
    const Lane* under = lane_under_mouse();
    for (size_t s = 0; s < streams_.size(); ++s) {
        if (under && under->stream != int(s)) continue;
        choices_[streams_[s].name].amplitude.clear();
        choices_[streams_[s].name].gain.clear();
    }
    choices_changed();
}

void LaneView::select_channel(int stream, int channel) {
    if (stream == selected_stream_ && channel == selected_channel_) return;
    selected_stream_ = stream;
    selected_channel_ = channel;
    update(0, 0, kGutter, height());
    emit channel_selected();
}

void LaneView::toggle_dc() {
    remove_dc_ = !remove_dc_;
    choices_changed();
    emit view_changed();
}

QString LaneView::filter_text() const {
    QStringList parts;
    for (const Group& g : lanes_.groups) {
        const FilterSpec f = display_filter(streams_[size_t(g.stream)].kind, mains_hz_);
        if (!f.any()) continue;
        QString text = f.lowpass > 0 ? tr("%1 %2–%3 Hz").arg(g.title).arg(f.highpass).arg(f.lowpass)
                                     : tr("%1 above %2 Hz").arg(g.title).arg(f.highpass);
        if (f.notch > 0) text += tr(" without %1 Hz").arg(f.notch);
        parts << text;
    }
    return parts.isEmpty() ? tr("Nothing of what is shown has one") : parts.join(QStringLiteral("; "));
}

bool LaneView::too_long_to_filter() const {
    if (!shown_) return false;
    return std::any_of(lanes_.groups.begin(), lanes_.groups.end(), [this](const Group& g) {
        return shown_->filter(g.stream).any() &&
               axis_.span * streams_[size_t(g.stream)].rate() > FilteredSource::kMaxSamples;
    });
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

void LaneView::label_key(char hotkey, bool point) {
    const std::optional<Label> selected = tool_.find(tool_.selected());
    // Live, a key means what happens now, unless it names what was just marked and is in sight.
    if (selected && live_ && axis_.pieces(selected->start, selected->stop).empty()) tool_.select(0);
    const bool names = tool_.find(tool_.selected()).has_value();
    tool_.key(hotkey, now(), point);
    if (names && following()) tool_.select(0);
    update();
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
