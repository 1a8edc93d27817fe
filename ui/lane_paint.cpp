#include <QPaintEvent>
#include <QPainter>
#include <QPainterPath>
#include <algorithm>
#include <cmath>

#include "ui/lane_view.h"
#include "ui/metrics.h"
#include "ui/theme.h"

namespace lockstep::ui {

namespace {

double tick_step(double span, double width) {
    for (double step : {0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
                        3600.0, 7200.0, 21600.0}) {
        if (step < 1 && span > 3) continue;
        if (width * step / span >= 62) return step;
    }
    return 43200;
}

QString number(double v) {
    if (v >= 1e6) return QString::number(v / 1e6, 'g', 4) + "M";
    return v >= 1000 ? QString::number(v / 1000, 'g', 4) + "k" : QString::number(v, 'g', 4);
}

}  // namespace

void LaneView::paintEvent(QPaintEvent* event) {
    QPainter painter(this);
    const QRect dirty = event->rect();
    const QRegion& region = event->region();
    const QRect plot = plot_rect();
    const Colors& c = colors();
    for (const QRect& r : region) {
        // The image covers its own part; the rest is one flat colour.
        if (!plot.contains(r)) painter.fillRect(r, c.canvas);
    }
    paint_traces(&painter, region);
    paint_labels(&painter, dirty);
    paint_notice(&painter);
    const int below = plot.bottom() + 1;
    if (region.intersects(QRect(0, kLabelRow, plot.left(), plot.height()))) paint_names(&painter);
    if (region.intersects(QRect(plot.right() + 1, 0, width() - plot.right() - 1, below)))
        paint_scale_bars(&painter);
    if (region.intersects(QRect(0, below, width(), height() - below))) paint_axis(&painter);
}

void LaneView::paint_traces(QPainter* painter, const QRegion& dirty) {
    const QRect plot = plot_rect();
    if (!dirty.intersects(plot)) return;
    painter->save();
    painter->setClipRect(dirty.boundingRect().intersected(plot));
    const QImage& image = canvas_.image();
    if (axis_.sweep && axis_.scroll) {
        // The ring's older part, then its newer one.
        const int cut = axis_.slot_of_column(axis_.begin());
        const double height = image.height();
        const double old = axis_.columns - cut;
        painter->drawImage(QRectF(plot.left(), plot.top(), old / ratio(), height / ratio()), image,
                           QRectF(cut, 0, old, height));
        painter->drawImage(QRectF(x_of(old), plot.top(), cut / ratio(), height / ratio()), image,
                           QRectF(0, 0, cut, height));
        painter->restore();
        return;
    }
    for (const QRect& r : dirty) {
        const QRect part = r.intersected(plot);
        if (part.isEmpty()) continue;
        const QRectF from(part.translated(-plot.topLeft()));
        painter->drawImage(QRectF(part), image, QRectF(from.topLeft() * ratio(), from.size() * ratio()));
    }
    if (axis_.sweep) {
        // Where each stream writes now.
        for (size_t g = 0; g < lanes_.groups.size(); ++g) {
            const Group& group = lanes_.groups[g];
            const int64_t head = canvas_.head(g);
            if (head < 0) continue;
            const double x = x_of(axis_.x_of_column(head + 1));
            painter->fillRect(
                QRectF(x, plot.top() + group.top / ratio(), 1 / ratio(), group.height / ratio()),
                mix(colors().canvas, colors().dim, 0.7));
        }
    } else if (!live_ && cursor_ >= axis_.begin_time() && cursor_ < axis_.end_time()) {
        const double x = x_of(cursor_ / axis_.dt() - double(axis_.first));
        painter->fillRect(QRectF(x, plot.top(), 1, plot.height()),
                          mix(colors().canvas, colors().accent, 0.6));
    }
    painter->restore();
}

void LaneView::paint_names(QPainter* painter) {
    const QRect plot = plot_rect();
    const Colors& c = colors();
    const QFont name_font = text_font(8.5, true);
    const QFont small = text_font(7.5);
    const int left = 16;
    for (const Group& group : lanes_.groups) {
        const double top = plot.top() + group.top / ratio();
        const double height = group.height / ratio();
        // A quiet bar holds the group together; its name stands upright beside it.
        painter->fillRect(QRectF(38, top + 2, 2, height - 4), c.grid);
        painter->save();
        painter->setPen(c.dim);
        painter->translate(left, top + height / 2);
        painter->rotate(-90);
        const bool roomy = height >= 86;
        painter->setFont(text_font(8, true));
        const QRectF area(-height / 2, -9, height, 18);
        if (roomy) {
            const QFontMetricsF title(text_font(8, true));
            const QFontMetricsF detail(small);
            const double gap = 6;
            const double total =
                title.horizontalAdvance(group.title) + gap + detail.horizontalAdvance(group.detail);
            const double x = -total / 2;
            painter->drawText(QRectF(x, -9, total, 18), Qt::AlignLeft | Qt::AlignVCenter, group.title);
            painter->setFont(small);
            painter->setPen(c.faint);
            painter->drawText(QRectF(x, -9, total, 18), Qt::AlignRight | Qt::AlignVCenter, group.detail);
        } else {
            painter->drawText(
                area, Qt::AlignCenter,
                QFontMetricsF(text_font(8, true)).elidedText(group.title, Qt::ElideRight, height));
        }
        painter->restore();
    }
    for (const Lane& lane : lanes_.lanes) {
        const double top = plot.top() + lane.top / ratio();
        const double height = lane.height / ratio();
        if (height < 9) continue;
        const QRectF row(48, top, kGutter - 48 - 8, height);
        const bool two = !lane.hint.isEmpty() && height >= 27;
        painter->setFont(height < 14 ? text_font(6.5, true) : name_font);
        painter->setPen(lane.color);
        if (lane.stream == selected_stream_ && lane.channel == selected_channel_) {
            const double tall = std::min(height, two ? 30.0 : 20.0);
            painter->setRenderHint(QPainter::Antialiasing);
            painter->setBrush(mix(c.canvas, lane.color, 0.14));
            painter->setPen(Qt::NoPen);
            painter->drawRoundedRect(QRectF(44, row.center().y() - tall / 2, kGutter - 50, tall), 4, 4);
            painter->setRenderHint(QPainter::Antialiasing, false);
            painter->setPen(lane.color);
        }
        QString text = lane.name;
        if (lane.gain != 1) text += QStringLiteral(" ×%1").arg(lane.gain, 0, 'g', 3);
        if (lane.inverted) text += QStringLiteral(" ⇅");
        const QString name = painter->fontMetrics().elidedText(text, Qt::ElideRight, int(row.width()));
        if (!two) {
            painter->drawText(row, Qt::AlignLeft | Qt::AlignVCenter, name);
            if (!lane.hint.isEmpty()) {
                painter->setBrush(lane.hint.endsWith("hum") ? c.warn : c.bad);
                painter->setPen(Qt::NoPen);
                painter->setRenderHint(QPainter::Antialiasing);
                painter->drawEllipse(QPointF(row.right() - 2, row.center().y()), 2.5, 2.5);
                painter->setRenderHint(QPainter::Antialiasing, false);
            }
            continue;
        }
        const double middle = row.center().y();
        painter->drawText(QRectF(row.left(), middle - 14, row.width(), 15), Qt::AlignLeft | Qt::AlignVCenter,
                          name);
        painter->setFont(text_font(7));
        painter->setPen(!lane.hint.endsWith("hum") ? c.bad : remove_dc_ ? c.faint : c.warn);
        painter->drawText(QRectF(row.left(), middle, row.width(), 13), Qt::AlignLeft | Qt::AlignVCenter,
                          lane.hint);
    }
}

void LaneView::paint_scale_bars(QPainter* painter) {
    if (!scale_bars_) return;
    const QRect plot = plot_rect();
    const Colors& c = colors();
    for (const Scale& scale : lanes_.scales) {
        if (!scale.valid || scale.lanes == 0) continue;
        const Lane& first = lanes_.lanes[size_t(scale.first_lane)];
        const Lane& last = lanes_.lanes[size_t(scale.first_lane + scale.lanes - 1)];
        const double top = plot.top() + first.top / ratio();
        const double bottom = plot.top() + (last.top + last.height) / ratio();
        const double lane_height = first.height / ratio();
        const double wanted = std::min(40.0, bottom - top - 4);
        const double value = nice_below(scale.amplitude * wanted / lane_height);
        const double length = std::min(value / scale.amplitude * lane_height, bottom - top);
        const double middle = (top + bottom) / 2;
        const double x = plot.right() + 12;
        const QColor ink = c.dim;
        painter->fillRect(QRectF(x, middle - length / 2, 1.5, length), ink);
        painter->fillRect(QRectF(x - 2, middle - length / 2, 5.5, 1), ink);
        painter->fillRect(QRectF(x - 2, middle + length / 2 - 1, 5.5, 1), ink);
        painter->setFont(text_font(8));
        painter->setPen(c.dim);
        const QRectF text(x + 9, middle - 15, kStrip - 22, 30);
        const bool two = bottom - top >= 28;
        painter->drawText(text, Qt::AlignLeft | Qt::AlignVCenter,
                          number(value) + (two ? "\n" : " ") + scale.unit);
    }
}

void LaneView::paint_notice(QPainter* painter) {
    if (notice_.isEmpty()) return;
    const QRect plot = plot_rect();
    const Colors& c = colors();
    painter->save();
    painter->setFont(text_font(10, true));
    const double wide = painter->fontMetrics().horizontalAdvance(notice_) + 36;
    const QRectF pill(plot.center().x() - wide / 2, plot.center().y() - 17, wide, 34);
    painter->setRenderHint(QPainter::Antialiasing);
    painter->setPen(QPen(mix(c.canvas, c.warn, 0.6), 1));
    painter->setBrush(mix(c.canvas, c.warn, 0.14));
    painter->drawRoundedRect(pill, 8, 8);
    painter->setPen(c.text);
    painter->drawText(pill, Qt::AlignCenter, notice_);
    painter->restore();
}

void LaneView::paint_axis(QPainter* painter) {
    const QRect plot = plot_rect();
    const Colors& c = colors();
    const double step = tick_step(axis_.span, plot.width());
    const int decimals = step < 1 ? 1 : 0;
    painter->setFont(text_font(7.5));
    const double y = plot.bottom() + 4;
    const bool sweeps = axis_.sweep && !axis_.scroll;
    const double head = sweeps && !lanes_.groups.empty() ? x_of(axis_.x_of_column(axis_.head)) : -1e9;
    const double begin = std::max(axis_.begin_time(), 0.0);
    double last_x = -1e9;
    for (double t = std::ceil(begin / step - 1e-6) * step; t < axis_.end_time(); t += step) {
        for (const TimeAxis::Piece& piece : axis_.pieces(t, t)) {
            const double x = x_of(piece.x);
            if (x < plot.left() - 1 || x > plot.right() + 1) continue;
            painter->fillRect(QRectF(x, plot.bottom() + 1, 1, 3), c.grid);
            // The sweep's head passes over a label without two of them meeting.
            if (std::abs(x - head) < 46 || (std::abs(x - last_x) < 40)) continue;
            last_x = x;
            painter->setPen(c.dim);
            const double left = std::clamp(x - 34, double(plot.left()) - 8, double(plot.right()) - 60);
            painter->drawText(QRectF(left, y, 68, 16),
                              x - 34 < left - 0.5   ? Qt::AlignLeft
                              : x - 34 > left + 0.5 ? Qt::AlignRight
                                                    : Qt::AlignHCenter,
                              clock_text(t, decimals));
        }
    }
    if (sweeps && source_) {
        painter->setPen(paused_ ? c.warn : c.text);
        painter->setFont(text_font(7.5, true));
        const double x = std::clamp(head - 30, double(plot.left()), double(plot.right()) - 60);
        painter->drawText(QRectF(x, y, 60, 16), Qt::AlignHCenter,
                          clock_text(double(axis_.head + 1) * axis_.dt()));
    }
    const QString state = paused_       ? tr("paused")
                          : following() ? tr("live")
                          : live_       ? tr("history")
                                        : tr("review");
    const bool past = live_ && !following();
    painter->setFont(text_font(7.5, past));
    painter->setPen(past ? c.warn : c.dim);
    painter->drawText(QRectF(16, y, kGutter - 24, 16), Qt::AlignLeft,
                      too_long_to_filter() ? tr("%1 · raw").arg(state) : state);
    painter->setFont(text_font(7.5));
    painter->setPen(c.faint);
    const QString span =
        axis_.span < 60 ? QStringLiteral("%1 s").arg(axis_.span, 0, 'g', 3) : clock_text(axis_.span);
    painter->drawText(QRectF(plot.right() + 12, y, kStrip - 16, 16), Qt::AlignLeft, span);
}

QRect LaneView::chip_rect(const Label& label) const {
    for (const TimeAxis::Piece& p : axis_.pieces(label.start, std::max(label.stop, label.start))) {
        const double x0 = x_of(p.x);
        const double x1 = x0 + (p.t1 - p.t0) / axis_.dt() / ratio();
        return QRectF(x0, 4, std::max(x1 - x0, 8.0), kLabelRow - 8).toRect();
    }
    return {};
}

void LaneView::paint_labels(QPainter* painter, const QRect& dirty) {
    if (!source_) return;
    const QRect plot = plot_rect();
    if (dirty.right() < plot.left() && dirty.top() > kLabelRow) return;
    painter->save();
    painter->setClipRect(dirty.intersected(QRect(plot.left(), 0, plot.width(), plot.bottom() + 1)));
    // Thousands of labels on few pixels: what is narrower than a pixel is drawn once a pixel.
    std::vector<int> filled_to(2, -1);
    const std::vector<Label>& labels = tool_.visible(axis_.begin_time(), axis_.end_time());
    for (const Label& label : labels) {
        if (tool_.dragging() && label.id == tool_.draft().id && label.id != 0) continue;
        paint_label(painter, label, label.id == tool_.selected() && label.id != 0, false, &filled_to);
    }
    for (const auto& [hotkey, open] : tool_.open()) {
        Label label;
        label.label_class = open.label_class;
        label.start = std::min(open.start, now());
        label.stop = std::max(open.start, now());
        paint_label(painter, label, false, true, nullptr);
    }
    if (tool_.dragging() && tool_.draft().stop > tool_.draft().start)
        paint_label(painter, tool_.draft(), true, true, nullptr);
    painter->restore();
}

void LaneView::paint_label(QPainter* painter, const Label& label, bool selected, bool open,
                           std::vector<int>* filled_to) {
    const QRect plot = plot_rect();
    const QColor color = class_color(tool_.classes(), label.label_class);
    double top = plot.top();
    double bottom = plot.bottom() + 1;
    double scope_top = top;
    if (label.stream >= 0) {
        bool found = false;
        for (const Group& g : lanes_.groups) {
            if (g.stream != label.stream) continue;
            top = scope_top = plot.top() + g.top / ratio();
            bottom = top + g.height / ratio();
            found = true;
        }
        for (const Lane& lane : lanes_.lanes) {
            if (label.channel < 0 || lane.stream != label.stream || lane.channel != label.channel) continue;
            top = plot.top() + lane.top / ratio();
            bottom = top + lane.height / ratio();
        }
        if (!found) return;  // its stream is hidden
    }
    QColor fill = color;
    fill.setAlphaF(selected ? 0.20 : 0.085);
    QColor edge = color;
    edge.setAlphaF(selected ? 0.95 : 0.45);
    const std::vector<TimeAxis::Piece> pieces = axis_.pieces(label.start, label.stop);
    for (size_t i = 0; i < pieces.size(); ++i) {
        const TimeAxis::Piece& p = pieces[i];
        const double x0 = x_of(p.x);
        const double x1 = x0 + (p.t1 - p.t0) / axis_.dt() / ratio();
        if (filled_to && x1 - x0 < 1.5 && !selected) {
            if (int(x0) <= (*filled_to)[0]) continue;
            (*filled_to)[0] = int(x0);
        }
        painter->fillRect(QRectF(x0, top, std::max(x1 - x0, 1.0), bottom - top), fill);
        if (p.t0 == label.start) painter->fillRect(QRectF(x0, top, 1, bottom - top), edge);
        if (p.t1 == label.stop && label.stop > label.start && !open)
            painter->fillRect(QRectF(x1 - 1, top, 1, bottom - top), edge);
        // The chip in the label row.
        const double width = x1 - x0;
        const bool point = label.stop <= label.start;
        const QFontMetricsF metrics(text_font(8, true));
        QString text = QString::fromStdString(label.label_class).replace('_', ' ');
        if (!label.note.empty()) text += QStringLiteral(" · ") + QString::fromStdString(label.note);
        if (open && !selected) text += QStringLiteral(" …");
        // A label of one stream keeps its chip at that stream, in the head above its lanes.
        const bool scoped = label.stream >= 0;
        const double chip_top = scoped ? scope_top - 15 : 5;
        const double chip_height = scoped ? 13 : kLabelRow - 9;
        const QRectF chip(x0, chip_top, point ? 8 : std::max(width, 3.0), chip_height);
        painter->setRenderHint(QPainter::Antialiasing, width > 6 || point);
        painter->setPen(Qt::NoPen);
        painter->setBrush(mix(colors().canvas, color,
                              selected || open                 ? 0.9
                              : current_theme() == Theme::dark ? 0.34
                                                               : 0.20));
        if (point) {
            QPainterPath mark;
            mark.moveTo(x0 + 0.5, chip.bottom() + 2);
            mark.lineTo(x0 - 4.5, chip.bottom() - 7);
            mark.lineTo(x0 + 5.5, chip.bottom() - 7);
            mark.closeSubpath();
            painter->setBrush(color);
            painter->drawPath(mark);
        } else {
            painter->drawRoundedRect(chip, std::min(4.0, chip.width() / 2), std::min(4.0, chip.width() / 2));
        }
        painter->setRenderHint(QPainter::Antialiasing, false);
        if (!point && (chip.width() > 44 || chip.width() > metrics.horizontalAdvance(text) + 14)) {
            painter->setFont(scoped ? text_font(7, true) : text_font(8, true));
            const QColor on_full = colors().canvas;
            painter->setPen(selected || open ? on_full : mix(color, colors().text, 0.35));
            painter->drawText(chip.adjusted(7, 0, -5, 0), Qt::AlignLeft | Qt::AlignVCenter,
                              metrics.elidedText(text, Qt::ElideRight, chip.width() - 12));
        }
    }
}

}  // namespace lockstep::ui
