#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QToolTip>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "ui/label_editor.h"
#include "ui/lane_view.h"
#include "ui/metrics.h"

namespace lockstep::ui {

namespace {
constexpr double kReachPx = 5;     // around a label's edge
constexpr double kShortestPx = 4;  // of a drag that means it
}  // namespace

bool LaneView::editable_at(const QPointF& pos) const {
    const QRect plot = plot_rect();
    return source_ && pos.x() >= plot.left() && pos.x() <= plot.right() && pos.y() >= 0 &&
           pos.y() <= plot.bottom();
}

// Beyond a sweep's head stands the time of the last sweep, and in the first one none at all.
double LaneView::drag_time(const QPointF& pos) const {
    double t = time_at(pos);
    if (axis_.sweep && !axis_.scroll) {
        const bool beyond = pos.x() >= x_of(axis_.x_of_column(axis_.head + 1));
        const bool newest = press_time_ >= axis_.wrap_time();
        if (newest && beyond) t = axis_.end_time();
        if (!newest && !beyond) t = axis_.begin_time();
    }
    return std::clamp(t, 0.0, std::max(0.0, source_->end_time()));
}

void LaneView::mousePressEvent(QMouseEvent* event) {
    setFocus();
    if (event->button() == Qt::LeftButton && event->localPos().x() < plot_rect().left()) {
        const Lane* named = source_ ? lane_at(event->localPos()) : nullptr;
        if (named) select_channel(named->stream, named->channel);
        return;
    }
    if (!editable_at(event->localPos())) return;
    const bool in_row = event->localPos().y() < kLabelRow;
    const double t = time_at(event->localPos());
    const double reach = kReachPx * ratio() * axis_.dt();
    const Lane* lane = in_row ? nullptr : lane_at(event->localPos());
    const bool pan =
        event->button() == Qt::MiddleButton || (event->button() == Qt::LeftButton && !annotate_ && !in_row);
    if (pan) {
        if (axis_.sweep) return;
        panning_ = true;
        pan_from_ = event->localPos();
        pan_first_ = axis_.first;
        setCursor(Qt::ClosedHandCursor);
        return;
    }
    if (event->button() != Qt::LeftButton) return;
    if (t < 0) return;  // nothing was there yet
    press_time_ = t;
    if (!live_) cursor_ = t;
    const bool only_stream = event->modifiers() & Qt::ShiftModifier;
    const bool only_channel = event->modifiers() & Qt::AltModifier;
    tool_.press(t, lane ? lane->stream : -1, lane ? lane->channel : -1, reach, only_stream && lane,
                only_channel && lane);
    update();
}

void LaneView::mouseMoveEvent(QMouseEvent* event) {
    if (panning_) {
        const double moved = (event->localPos().x() - pan_from_.x()) * ratio();
        const double t0 = std::max(0.0, double(pan_first_ - int64_t(std::lround(moved))) * axis_.dt());
        show_range(t0, axis_.span);
        return;
    }
    const double t = time_at(event->localPos());
    if (tool_.dragging()) {
        tool_.move(drag_time(event->localPos()));
        update();
        return;
    }
    if (!editable_at(event->localPos())) {
        const bool name = source_ && event->localPos().x() < plot_rect().left() && lane_at(event->localPos());
        if (name) {
            setCursor(Qt::PointingHandCursor);
        } else {
            unsetCursor();
        }
        return;
    }
    Label label;
    const LabelTool::Part part = tool_.hit(t, -1, -1, kReachPx * ratio() * axis_.dt(), &label);
    if (part == LabelTool::Part::left || part == LabelTool::Part::right) {
        setCursor(Qt::SizeHorCursor);
    } else if (part == LabelTool::Part::body) {
        setCursor(Qt::PointingHandCursor);
    } else if (!annotate_ && event->localPos().y() >= kLabelRow) {
        setCursor(Qt::OpenHandCursor);
    } else {
        unsetCursor();
    }
}

void LaneView::mouseReleaseEvent(QMouseEvent* event) {
    if (panning_) {
        panning_ = false;
        unsetCursor();
        return;
    }
    if (event->button() != Qt::LeftButton || !tool_.dragging()) return;
    tool_.release(drag_time(event->localPos()), kShortestPx * ratio() * axis_.dt());
    update();
    emit labels_changed();
}

void LaneView::mouseDoubleClickEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton || !editable_at(event->localPos())) return;
    Label label;
    if (tool_.hit(time_at(event->localPos()), -1, -1, kReachPx * ratio() * axis_.dt(), &label) ==
        LabelTool::Part::none)
        return;
    tool_.cancel();
    tool_.select(label.id);
    edit_selected();
}

void LaneView::edit_selected() {
    const std::optional<Label> label = tool_.find(tool_.selected());
    if (!label) return;
    auto* editor = new LabelEditor(*label, tool_.classes(), streams_, this);
    editor->on_save = [this, before = *label](const Label& after) {
        tool_.change(before, after);
        update();
        emit labels_changed();
    };
    editor->on_remove = [this] {
        tool_.remove_selected();
        update();
        emit labels_changed();
    };
    const QRect chip = chip_rect(*label);
    editor->adjustSize();
    const int x = std::min(chip.left(), width() - editor->width() - 8);
    editor->move(mapToGlobal(QPoint(std::max(8, x), kLabelRow + 4)));
    editor->show();
}

QString LaneView::tip_at(const QPointF& pos) {
    const double t = time_at(pos);
    const Lane* lane = pos.y() < kLabelRow ? nullptr : lane_at(pos);
    QStringList lines;
    Label label;
    if (tool_.hit(t, lane ? lane->stream : -1, lane ? lane->channel : -1, kReachPx * ratio() * axis_.dt(),
                  &label) != LabelTool::Part::none) {
        const double length = label.stop - label.start;
        QString text = QString::fromStdString(label.label_class).replace('_', ' ') + QStringLiteral(": ") +
                       clock_text(label.start, 3);
        if (length > 0) text += tr(" to %1, %2 s").arg(clock_text(label.stop, 3)).arg(length, 0, 'f', 3);
        if (label.stream >= 0 && size_t(label.stream) < streams_.size()) {
            const StreamInfo& on = streams_[size_t(label.stream)];
            text += tr(", on %1").arg(QString::fromStdString(on.name));
            if (label.channel >= 0 && size_t(label.channel) < on.channels.size())
                text +=
                    QStringLiteral(" · ") + QString::fromStdString(on.channels[size_t(label.channel)].name);
        }
        lines << text;
        if (!label.note.empty()) lines << QString::fromStdString(label.note);
    }
    // Where a pixel holds many samples, none of them is the one that is pointed at.
    const double rate = lane ? streams_[size_t(lane->stream)].rate() : 0;
    if (rate > 0 && axis_.dt() * rate <= 8) {
        double time = 0;
        float value = 0;
        const double half = 0.5 / rate;
        if (source_->samples(lane->stream, lane->channel, t - half, t + half, 1, &time, &value) == 1) {
            QString text = tr("%1 at %2: %3")
                               .arg(lane->name, clock_text(time, 3), value_text(double(value), lane->unit));
            Extent there;
            const double near = 0.01 / rate;  // the filtered trace's value at that sample
            if (shown_->filter(lane->stream).any())
                shown_->extent(lane->stream, lane->channel, time - near, time + near, 1, &there);
            if (there.valid)
                text += tr(", filtered %1")
                            .arg(value_text((double(there.min) + double(there.max)) / 2, lane->unit));
            lines << text;
        }
    }
    return lines.join('\n');
}

bool LaneView::event(QEvent* event) {
    if (event->type() != QEvent::ToolTip || !source_) return QWidget::event(event);
    const auto* help = static_cast<QHelpEvent*>(event);
    const Lane* lane = help->pos().x() < plot_rect().left() ? lane_at(help->pos()) : nullptr;
    if (lane == nullptr) {
        const QString tip = editable_at(help->pos()) ? tip_at(help->pos()) : QString();
        if (tip.isEmpty()) {
            QToolTip::hideText();
        } else {
            QToolTip::showText(help->globalPos(), tip, this);
        }
        return true;
    }
    QString text =
        tr("%1, %2. Click: spectrum. Wheel: gain, with Shift of this channel alone. Right click: more.")
            .arg(lane->name, lane->unit);
    if (!lane->hint.isEmpty()) text += '\n' + tr("The signal is %1.").arg(lane->hint);
    QToolTip::showText(help->globalPos(), text, this);
    return true;
}

void LaneView::leaveEvent(QEvent*) {
    unsetCursor();
}

void LaneView::wheelEvent(QWheelEvent* event) {
    const double steps = event->angleDelta().y() / 120.0;
    const double sideways = event->angleDelta().x() / 120.0;
    if (event->position().x() < plot_rect().left()) {
        // Over the names the wheel is the gain: of a scale, with Shift of one channel.
        const double turn = steps != 0 ? steps : sideways;
        if (turn != 0) step_amplitude(turn > 0 ? -1 : 1, event->modifiers() & Qt::ShiftModifier);
    } else if (event->modifiers() & Qt::ControlModifier) {
        if (steps != 0) zoom(std::pow(1.25, -steps), time_at(event->position()));
    } else if (event->modifiers() & Qt::ShiftModifier || sideways != 0) {
        scroll(-(sideways != 0 ? sideways : steps) * 0.15);
    } else if (!live_ && steps != 0) {
        zoom(std::pow(1.25, -steps), time_at(event->position()));
    } else if (steps != 0) {
        scroll(-steps * 0.15);
    }
    event->accept();
}

void LaneView::contextMenuEvent(QContextMenuEvent* event) {
    if (!source_) return;
    const QPointF pos = event->pos();
    Label label;
    if (editable_at(pos) &&
        tool_.hit(time_at(pos), -1, -1, kReachPx * ratio() * axis_.dt(), &label) != LabelTool::Part::none) {
        tool_.select(label.id);
        update();
        QMenu menu(this);
        menu.addAction(tr("Edit label…"), this, &LaneView::edit_selected);
        QMenu* classes = menu.addMenu(tr("Class"));
        for (const LabelClass& c : tool_.classes()) {
            classes->addAction(QString::fromStdString(c.name), this, [this, label, name = c.name] {
                Label after = label;
                after.label_class = name;
                tool_.change(label, after);
                update();
            });
        }
        menu.addSeparator();
        menu.addAction(tr("Delete label"), this, [this] {
            tool_.remove_selected();
            update();
            emit labels_changed();
        });
        menu.exec(event->globalPos());
        return;
    }
    const Lane* lane = lane_at(pos);
    if (lane) stream_menu(event->globalPos(), lane->stream, lane->channel);
}

void LaneView::stream_menu(const QPoint& global, int stream, int channel) {
    const StreamInfo info = streams_[size_t(stream)];
    StreamChoice& own = choices_[info.name];
    QMenu menu(this);
    menu.addAction(kind_text(info.kind, info.name))->setEnabled(false);  // what the menu is about
    menu.addSeparator();
    QMenu* amplitude = menu.addMenu(tr("Amplitude"));
    std::vector<double> steps;
    int index = -1;
    for (const Lane& lane : lanes_.lanes) {
        if (lane.stream == stream && lane.channel == channel) index = lane.scale;
    }
    if (index < 0) return;
    const Scale& scale = lanes_.scales[size_t(index)];
    const double current = scale.amplitude;
    const QString unit = scale.unit;
    const double fixed = scale.automatic ? 0 : scale.amplitude;
    if (unit == QStringLiteral("µV")) {
        steps = {50, 100, 200, 400, 1000};
    } else {
        double v = nice_below(current / 9);
        for (int i = 0; i < 7; ++i, v = amplitude_step(v, 1))
            steps.push_back(v);
    }
    auto choose = [&](const QString& text, double value) {
        QAction* action =
            amplitude->addAction(text, this, [this, index, value] { set_amplitude(index, value); });
        action->setCheckable(true);
        action->setChecked(fixed == value);
    };
    choose(tr("automatic"), 0);
    for (double v : steps)
        choose(QStringLiteral("%1 %2").arg(v, 0, 'g', 4).arg(unit), v);
    QMenu* gain =
        menu.addMenu(tr("Gain of %1").arg(QString::fromStdString(info.channels[size_t(channel)].name)));
    for (double v : {0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0}) {
        QAction* action =
            gain->addAction(QStringLiteral("×%1").arg(v), this, [this, name = info.name, channel, v] {
                choices_[name].gain[channel] = v;
                choices_changed();
            });
        action->setCheckable(true);
        const auto found = own.gain.find(channel);
        action->setChecked((found == own.gain.end() ? 1.0 : found->second) == v);
    }
    menu.addAction(tr("Look at its spectrum"), this,
                   [this, stream, channel] { select_channel(stream, channel); });
    QAction* dc = menu.addAction(tr("Filter for display"), this, [this, name = info.name] {
        choices_[name].remove_dc = !choices_[name].remove_dc;
        choices_changed();
    });
    dc->setCheckable(true);
    dc->setChecked(own.remove_dc && remove_dc_);
    QAction* invert =
        menu.addAction(tr("Invert %1").arg(QString::fromStdString(info.channels[size_t(channel)].name)), this,
                       [this, name = info.name, channel] {
                           std::set<int>& inverted = choices_[name].inverted;
                           if (inverted.erase(channel) == 0) inverted.insert(channel);
                           choices_changed();
                       });
    invert->setCheckable(true);
    invert->setChecked(own.inverted.count(channel) > 0);
    menu.addSeparator();
    QMenu* channels = menu.addMenu(tr("Channels"));
    for (size_t c = 0; c < info.channels.size(); ++c) {
        QAction* action = channels->addAction(QString::fromStdString(info.channels[c].name), this,
                                              [this, name = info.name, c] {
                                                  std::set<int>& hidden = choices_[name].hidden;
                                                  if (hidden.erase(int(c)) == 0) hidden.insert(int(c));
                                                  choices_changed();
                                              });
        action->setCheckable(true);
        action->setChecked(own.hidden.count(int(c)) == 0);
    }
    QMenu* shown = menu.addMenu(tr("Streams"));
    for (const StreamInfo& s : streams_) {
        QAction* action = shown->addAction(QString::fromStdString(s.name), this, [this, name = s.name] {
            choices_[name].visible = !choices_[name].visible;
            choices_changed();
        });
        action->setCheckable(true);
        action->setChecked(choices_[s.name].visible);
    }
    menu.exec(global);
}

}  // namespace lockstep::ui
