#include "ui/overview.h"

#include <QMouseEvent>
#include <QPainter>
#include <cmath>

#include "ui/lane_view.h"
#include "ui/metrics.h"
#include "ui/theme.h"

namespace lockstep::ui {

Overview::Overview(Workbench* workbench, LaneView* lanes, QWidget* parent)
    : QWidget(parent), workbench_(workbench), lanes_(lanes) {
    setFixedHeight(52);
    setCursor(Qt::PointingHandCursor);
}

double Overview::end() const {
    return lanes_->source() ? std::max(lanes_->source()->end_time(), 0.1) : 1;
}

QRect Overview::track() const {
    return QRect(kGutter, 8, std::max(1, width() - kGutter - kStrip), height() - 18);
}

void Overview::reload() {
    if (lanes_->source().get() != drawn_ || workbench_->label_revision() != revision_) build();
    update();
}

void Overview::resizeEvent(QResizeEvent*) {
    build();
}

void Overview::build() {
    drawn_ = lanes_->source().get();
    revision_ = workbench_->label_revision();
    const double ratio = devicePixelRatioF();
    const QRect t = track();
    const Colors& c = colors();
    image_ = QImage(int(t.width() * ratio), int(t.height() * ratio), QImage::Format_RGB32);
    image_.fill(mix(c.canvas, c.grid, 0.35));
    if (!drawn_) return;
    QPainter p(&image_);
    const double scale = image_.width() / end();
    // One trace stands for the session: the first channel that is shown.
    if (!lanes_->lanes().lanes.empty()) {
        const Lane& lane = lanes_->lanes().lanes.front();
        std::vector<Extent> extents(size_t(image_.width()));
        drawn_->extent(lane.stream, lane.channel, 0, end(), image_.width(), extents.data());
        float low = 1e30f;
        float high = -1e30f;
        for (const Extent& e : extents) {
            if (e.valid) low = std::min(low, e.min), high = std::max(high, e.max);
        }
        const double gain = high > low ? image_.height() * 0.8 / double(high - low) : 0;
        const QColor ink = mix(c.canvas, c.faint, 0.55);
        for (int x = 0; x < image_.width(); ++x) {
            const Extent& e = extents[size_t(x)];
            if (!e.valid) continue;
            const double y0 = image_.height() * 0.9 - double(e.max - low) * gain;
            const double y1 = image_.height() * 0.9 - double(e.min - low) * gain;
            p.fillRect(QRectF(x, y0, 1, std::max(1.0, y1 - y0)), ink);
        }
    }
    int last = -1;
    for (const Label& label : workbench_->labels(0, end())) {
        const int x0 = int(label.start * scale);
        const int x1 = std::max(x0 + 1, int(label.stop * scale));
        if (x1 - x0 <= 1 && x0 <= last) continue;
        last = x0;
        p.fillRect(QRect(x0, 0, x1 - x0, int(4 * ratio)),
                   class_color(lanes_->labels().classes(), label.label_class));
    }
    for (const WindowRow& row : workbench_->windows(0, end())) {
        if (!row.decided || row.verdict != Verdict::different) continue;
        p.fillRect(QRectF(row.time * scale - ratio, image_.height() - 5 * ratio, 2 * ratio, 5 * ratio),
                   c.bad);
    }
    image_.setDevicePixelRatio(ratio);
}

void Overview::paintEvent(QPaintEvent*) {
    QPainter p(this);
    const Colors& c = colors();
    p.fillRect(rect(), c.canvas);
    const QRect t = track();
    p.drawImage(t.topLeft(), image_);
    const TimeAxis& axis = lanes_->axis();
    const double scale = t.width() / end();
    const double x0 = t.left() + std::clamp(axis.begin_time() * scale, 0.0, double(t.width()));
    const double x1 = t.left() + std::clamp(axis.end_time() * scale, 0.0, double(t.width()));
    QColor veil = c.canvas;
    veil.setAlphaF(0.62);
    p.fillRect(QRectF(t.left(), t.top(), x0 - t.left(), t.height()), veil);
    p.fillRect(QRectF(x1, t.top(), t.right() + 1 - x1, t.height()), veil);
    p.setRenderHint(QPainter::Antialiasing);
    p.setPen(QPen(c.accent, 1.5));
    p.setBrush(Qt::NoBrush);
    p.drawRoundedRect(
        QRectF(x0, t.top(), std::max(3.0, x1 - x0), t.height()).adjusted(0.75, -0.5, -0.75, 0.5), 3, 3);
    p.setFont(text_font(7.5));
    p.setPen(c.dim);
    p.drawText(QRect(16, t.top(), kGutter - 24, t.height()), Qt::AlignLeft | Qt::AlignVCenter, tr("session"));
    p.drawText(QRect(t.right() + 12, t.top(), kStrip - 14, t.height()), Qt::AlignLeft | Qt::AlignVCenter,
               clock_text(end()));
}

void Overview::go(double x) {
    const double t = (x - track().left()) / track().width() * end();
    lanes_->show_range(
        std::clamp(t - lanes_->axis().span / 2, 0.0, std::max(0.0, end() - lanes_->axis().span)),
        lanes_->axis().span);
}

void Overview::mousePressEvent(QMouseEvent* event) {
    go(event->localPos().x());
}

void Overview::mouseMoveEvent(QMouseEvent* event) {
    if (event->buttons() & Qt::LeftButton) go(event->localPos().x());
}

}  // namespace lockstep::ui
