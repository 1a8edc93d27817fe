#include "ui/health_panel.h"

#include <QDateTime>
#include <QPainter>
#include <QPainterPath>
#include <cmath>

#include "ui/metrics.h"
#include "ui/theme.h"

namespace lockstep::ui {

namespace {

constexpr int kMargin = 20;
constexpr int kLine = 21;
constexpr int kPings = 8;  // from which on a drift is worth reading

QString bytes_text(double bytes) {
    if (bytes < 1000) return QStringLiteral("%1 B").arg(bytes, 0, 'f', 0);
    if (bytes < 1e6) return QStringLiteral("%1 kB").arg(bytes / 1e3, 0, 'f', 1);
    return QStringLiteral("%1 MB").arg(bytes / 1e6, 0, 'f', 1);
}

// "−9.8 ppm"; what rounds to nothing has no sign.
QString number_text(double v, int decimals, const QString& unit) {
    const double scale = std::pow(10, decimals);
    const double rounded = std::round(v * scale) / scale;
    return (rounded < 0 ? QStringLiteral("−") : QString()) +
           QStringLiteral("%L1 %2").arg(std::abs(rounded), 0, 'f', decimals).arg(unit);
}

}  // namespace

// Writes downwards; every text has its own cell, so none can overlap.
class HealthPanel::Column {
  public:
    Column(QPainter* painter, int width) : p_(painter), width_(width) {}
    int y = 18;

    void head(const QString& text) {
        p_->setFont(text_font(7.5, true));
        p_->setPen(colors().faint);
        QFont f = p_->font();
        f.setLetterSpacing(QFont::AbsoluteSpacing, 0.8);
        p_->setFont(f);
        p_->drawText(QRect(kMargin, y, inner(), 16), Qt::AlignLeft | Qt::AlignVCenter, text.toUpper());
        y += 24;
    }
    void pair(const QString& name, const QString& value, const QColor& color) {
        p_->setFont(text_font(9));
        p_->setPen(colors().dim);
        p_->drawText(QRect(kMargin, y, inner() * 4 / 10, kLine), Qt::AlignLeft | Qt::AlignVCenter, name);
        p_->setPen(color);
        const QRect cell(kMargin + inner() * 4 / 10, y, inner() * 6 / 10, kLine);
        p_->drawText(cell, Qt::AlignRight | Qt::AlignVCenter,
                     p_->fontMetrics().elidedText(value, Qt::ElideMiddle, cell.width()));
        y += kLine;
    }
    void meter(const QString& name, double share, const QString& value) {
        pair(name, value, colors().text);
        const QRectF track(kMargin, y + 1, inner(), 3);
        p_->setPen(Qt::NoPen);
        p_->setBrush(colors().grid);
        p_->drawRoundedRect(track, 1.5, 1.5);
        QRectF full = track;
        full.setWidth(std::max(3.0, track.width() * std::clamp(share, 0.0, 1.0)));
        p_->setBrush(share > 0.9 ? colors().bad : share > 0.7 ? colors().warn : colors().accent);
        p_->drawRoundedRect(full, 1.5, 1.5);
        y += 10;
    }
    void space() { y += 20; }
    int inner() const { return width_ - 2 * kMargin; }
    QPainter* painter() { return p_; }

  private:
    QPainter* p_;
    int width_;
};

HealthPanel::HealthPanel(QWidget* parent) : QWidget(parent) {}

QSize HealthPanel::sizeHint() const {
    return QSize(288, height_);
}

void HealthPanel::set_status(const WorkbenchStatus& status, double seconds) {
    if (last_seconds_ < 0 || seconds < last_seconds_ || status.link.bytes < last_bytes_) {
        link_rate_ = 0;  // another device, or the same one anew
        last_seconds_ = seconds;
        last_bytes_ = status.link.bytes;
    } else if (seconds - last_seconds_ > 0.05) {
        const double rate = double(status.link.bytes - last_bytes_) / (seconds - last_seconds_);
        link_rate_ = link_rate_ == 0 ? rate : link_rate_ + 0.3 * (rate - link_rate_);
        last_seconds_ = seconds;
        last_bytes_ = status.link.bytes;
    }
    status_ = status;
    QImage probe(1, 1, QImage::Format_RGB32);
    QPainter painter(&probe);
    const int height = paint(&painter, std::max(width(), 200));
    if (height != height_) {
        height_ = height;
        setMinimumHeight(height_);
        updateGeometry();
    }
    update();
}

void HealthPanel::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    painter.fillRect(rect(), colors().panel);
    painter.setRenderHint(QPainter::Antialiasing);
    paint(&painter, width());
}

void HealthPanel::paint_agreement(Column* column) const {
    Column& col = *column;
    QPainter* p = col.painter();
    const Colors& c = colors();
    col.head(tr("Agreement"));
    const WindowAccount& w = status_.summary.windows;
    const uint64_t compared = w.same + w.different;
    p->setFont(text_font(24, true));
    p->setPen(w.different > 0 ? c.bad : compared > 0 ? c.text : c.faint);
    const QString share = compared == 0 ? QStringLiteral("–")
                          : w.different == 0
                              ? QStringLiteral("100 %")
                              : QStringLiteral("%1 %").arg(
                                    std::min(99.99, 100.0 * double(w.same) / double(compared)), 0, 'f', 2);
    p->drawText(QRect(kMargin, col.y - 4, col.inner(), 36), Qt::AlignLeft | Qt::AlignVCenter, share);
    col.y += 34;
    p->setFont(text_font(9));
    p->setPen(c.dim);
    p->drawText(QRect(kMargin, col.y, col.inner(), 18), Qt::AlignLeft | Qt::AlignVCenter,
                compared == 0 ? tr("no window compared yet")
                              : tr("of %L1 windows bit for bit the same").arg(compared));
    col.y += 26;
    // One bar of all expected windows.
    const QRectF track(kMargin, col.y, col.inner(), 6);
    QPainterPath clip;
    clip.addRoundedRect(track, 3, 3);
    p->save();
    p->setClipPath(clip);
    p->fillRect(track, c.grid);
    if (w.expected > 0) {
        double x = track.left();
        const std::pair<uint64_t, QColor> parts[] = {
            {w.same, c.good}, {w.different, c.bad}, {w.lost, c.faint}, {w.outside, c.lost}};
        for (const auto& [count, color] : parts) {
            double part = track.width() * double(count) / double(w.expected);
            if (count > 0 && color == c.bad) part = std::max(part, 3.0);
            p->fillRect(QRectF(x, track.top(), part, track.height()), color);
            x += part;
        }
    }
    p->restore();
    col.y += 14;
    const struct {
        QString name;
        uint64_t count;
        QColor color;
    } legend[] = {{tr("same"), w.same, c.good},
                  {tr("different"), w.different, c.bad},
                  {tr("lost"), w.lost, c.faint},
                  {tr("outside"), w.outside, c.lost}};
    for (int i = 0; i < 4; ++i) {
        const int x = kMargin + (i % 2) * col.inner() / 2;
        const int y = col.y + (i / 2) * kLine;
        p->setPen(Qt::NoPen);
        p->setBrush(legend[i].color);
        p->drawEllipse(QPointF(x + 3.5, y + kLine / 2.0), 3.5, 3.5);
        p->setFont(text_font(9));
        p->setPen(c.dim);
        // The right column ends at the margin, as everything below does.
        const int half = col.inner() / 2 - (i % 2 == 0 ? 14 : 0);
        p->drawText(QRect(x + 13, y, half - 13, kLine), Qt::AlignLeft | Qt::AlignVCenter, legend[i].name);
        p->setPen(legend[i].color == c.bad && legend[i].count > 0 ? c.bad : c.text);
        p->drawText(QRect(x + 13, y, half - 13, kLine), Qt::AlignRight | Qt::AlignVCenter,
                    QStringLiteral("%L1").arg(legend[i].count));
    }
    col.y += 2 * kLine;
    col.space();
}

void HealthPanel::paint_link(Column* column) const {
    Column& col = *column;
    const Colors& c = colors();
    col.head(tr("Link"));
    if (status_.state != WorkbenchState::reviewing) {
        col.pair(tr("Rate"), link_rate_ > 0 ? tr("%1/s").arg(bytes_text(link_rate_)) : QStringLiteral("–"),
                 c.text);
        col.pair(tr("Frames"), QStringLiteral("%L1").arg(status_.link.frames), c.text);
    }
    const uint64_t damaged = std::max<uint64_t>(status_.link.damaged, status_.summary.damaged_frames);
    col.pair(tr("Damaged"), QStringLiteral("%L1").arg(damaged), damaged > 0 ? c.warn : c.text);
    col.pair(tr("Dropouts"), QStringLiteral("%L1").arg(status_.summary.link_losses),
             status_.summary.link_losses > 0 ? c.bad : c.text);
    col.space();

    col.head(tr("Clock"));
    const ClockEstimate& clock = status_.summary.clock;
    // Two pings make a line, but not one to believe.
    const bool reviewing = status_.state == WorkbenchState::reviewing;
    const bool known = clock.observations >= (reviewing ? 1 : kPings);
    col.pair(tr("Drift"),
             known                    ? number_text(clock.drift_ppm, 1, tr("ppm"))
             : clock.observations > 0 ? tr("measuring")
                                      : QStringLiteral("–"),
             known ? c.text : c.dim);
    col.pair(tr("Error"),
             known ? QStringLiteral("± ") + number_text(clock.error_ms, 2, tr("ms")) : QStringLiteral("–"),
             known && clock.error_ms > 2 ? c.warn : c.text);
    col.space();
}

int HealthPanel::paint(QPainter* p, int width) const {
    const Colors& c = colors();
    const Summary& sum = status_.summary;
    Column col(p, width);
    const bool reviewing = status_.state == WorkbenchState::reviewing;

    if (reviewing) {
        col.head(tr("Session"));
        const SessionAbout& about = status_.about;
        if (about.start_utc_ns != 0)
            col.pair(tr("Recorded"),
                     QDateTime::fromMSecsSinceEpoch(about.start_utc_ns / 1000000)
                         .toString(QStringLiteral("yyyy-MM-dd HH:mm:ss")),
                     c.text);
        const std::pair<QString, const std::string*> words[] = {
            {tr("Person"), &about.subject},
            {tr("Task"), &about.task},
            {about.imported ? tr("Imported as") : tr("Board"), &about.from}};
        for (const auto& [name, value] : words)
            if (!value->empty()) col.pair(name, QString::fromStdString(*value), c.text);
        col.pair(tr("Length"), clock_text(status_.seconds, 1), c.text);
        col.pair(tr("Labels"), QStringLiteral("%L1").arg(sum.labels), c.text);
        col.pair(tr("Whole"), sum.whole ? tr("yes") : tr("no"), sum.whole ? c.good : c.bad);
        if (!sum.whole && !sum.why_not.empty()) {
            p->setFont(text_font(8.5));
            p->setPen(c.dim);
            const QRect area(kMargin, col.y, col.inner(), 90);
            QRect used;
            p->drawText(area, Qt::AlignLeft | Qt::TextWordWrap, QString::fromStdString(sum.why_not), &used);
            col.y += used.height() + 6;
        }
        col.space();
    }
    // A session that no model ran in has nothing to agree on.
    if (!reviewing || sum.windows.expected > 0) paint_agreement(&col);

    if (!sum.streams.empty()) {
        col.head(tr("Streams"));
        const int x[] = {kMargin, kMargin + col.inner() * 58 / 100, kMargin + col.inner() * 80 / 100,
                         kMargin + col.inner()};
        p->setFont(text_font(7.5));
        p->setPen(c.faint);
        const QString heads[] = {{}, tr("Hz"), tr("lost"), tr("gaps")};
        for (int i = 1; i < 4; ++i)
            p->drawText(QRect(x[i] - 90, col.y - 24, 90, 16), Qt::AlignRight | Qt::AlignVCenter, heads[i]);
        for (const StreamAccount& s : sum.streams) {
            p->setFont(text_font(9, true));
            p->setPen(c.text);
            p->drawText(QRect(x[0], col.y, 90, kLine), Qt::AlignLeft | Qt::AlignVCenter,
                        p->fontMetrics().elidedText(QString::fromStdString(s.name), Qt::ElideRight, 84));
            p->setFont(text_font(9));
            const bool off = s.rate > 0 && std::abs(s.rate - s.rate_nominal) > 0.03 * s.rate_nominal;
            p->setPen(off ? c.warn : c.text);
            const QString rate = s.rate > 0 && !status_.link_down
                                     ? QString::number(s.rate, 'f', s.rate < 100 ? 2 : 1)
                                     : QStringLiteral("–");
            p->drawText(QRect(x[1] - 90, col.y, 90, kLine), Qt::AlignRight | Qt::AlignVCenter, rate);
            p->setPen(s.lost > 0 ? c.bad : c.faint);
            p->drawText(QRect(x[2] - 60, col.y, 60, kLine), Qt::AlignRight | Qt::AlignVCenter,
                        QStringLiteral("%L1").arg(s.lost));
            p->setPen(s.gaps > 0 ? c.bad : c.faint);
            p->drawText(QRect(x[3] - 60, col.y, 60, kLine), Qt::AlignRight | Qt::AlignVCenter,
                        QStringLiteral("%L1").arg(s.gaps));
            col.y += kLine;
        }
        col.space();
    }

    if (!reviewing || !status_.about.imported) paint_link(&col);

    if (status_.has_health) {
        const wire::Health& h = status_.health;
        col.head(tr("Device"));
        col.meter(tr("Send queue"), h.tx_queue_high / 100.0, QStringLiteral("%1 %").arg(h.tx_queue_high));
        if (h.stack_size > 0)
            col.meter(tr("Stack"), double(h.stack_high) / h.stack_size,
                      tr("%L1 of %L2 B").arg(h.stack_high).arg(h.stack_size));
        col.pair(tr("Late samples"), QStringLiteral("%L1").arg(h.late_samples),
                 h.late_samples > 0 ? c.warn : c.text);
        col.pair(tr("Up for"), clock_text(double(h.uptime_us) * 1e-6), c.text);
        col.space();
    }
    return col.y;
}

}  // namespace lockstep::ui
