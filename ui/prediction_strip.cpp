#include "ui/prediction_strip.h"

#include <QHelpEvent>
#include <QPainter>
#include <QPainterPath>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "ui/lane_view.h"
#include "ui/metrics.h"
#include "ui/theme.h"

namespace lockstep::ui {

namespace {

constexpr int kTop = 8;
constexpr int kRow = 18;     // device, host
constexpr int kVerdict = 8;  // between them
constexpr int kSpace = 3;
constexpr int kModel = 2 * kRow + kVerdict + 2 * kSpace;
constexpr int kBetween = 12;

size_t best(const std::vector<float>& scores) {
    return size_t(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

QColor score_color(size_t index) {
    return colors().traces[index % colors().traces.size()];
}

}  // namespace

QString score_text(const ModelView& model, const std::vector<float>& scores) {
    if (scores.empty()) return QStringLiteral("–");
    const size_t i = model.classifier ? best(scores) : 0;
    QString name = i < model.score_names.size()
                       ? QString::fromStdString(model.score_names[i]).replace('_', ' ')
                       : QString();
    if (model.classifier) return name;
    const QString unit =
        i < model.score_units.size() ? QString::fromStdString(model.score_units[i]) : QString();
    if (!std::isfinite(scores[i])) return QStringLiteral("–");
    return QStringLiteral("%1 %2")
        .arg(double(scores[i]), 0, 'f', std::abs(scores[i]) < 10 ? 2 : 0)
        .arg(unit)
        .trimmed();
}

QString verdict_text(Verdict verdict) {
    switch (verdict) {
        case Verdict::same:
            return QStringLiteral("same");
        case Verdict::different:
            return QStringLiteral("different");
        case Verdict::lost:
            return QStringLiteral("lost");
        case Verdict::outside:
            return QStringLiteral("outside");
    }
    return {};
}

PredictionStrip::PredictionStrip(Workbench* workbench, LaneView* lanes, QWidget* parent)
    : QWidget(parent), workbench_(workbench), lanes_(lanes) {
    setMouseTracking(true);
    setAttribute(Qt::WA_OpaquePaintEvent);
}

QSize PredictionStrip::sizeHint() const {
    const int n = int(models_.size());
    return QSize(200, n == 0 ? 0 : 2 * kTop + n * kModel + (n - 1) * kBetween);
}

void PredictionStrip::reload() {
    const size_t before = models_.size();
    models_ = workbench_->models();
    const TimeAxis& axis = lanes_->axis();
    rows_ = lanes_->source() ? workbench_->windows(axis.begin_time() - axis.span, axis.end_time() + axis.span)
                             : std::vector<WindowRow>{};
    std::sort(rows_.begin(), rows_.end(), [](const WindowRow& a, const WindowRow& b) {
        return a.model != b.model ? a.model < b.model : a.time < b.time;
    });
    if (models_.size() != before) {
        setFixedHeight(sizeHint().height());
        updateGeometry();
    }
    update();
}

double PredictionStrip::hop_of(int model) const {
    std::vector<double> steps;
    for (size_t i = 1; i < rows_.size(); ++i) {
        if (rows_[i].model == model && rows_[i - 1].model == model) {
            const double windows = double(rows_[i].window) - double(rows_[i - 1].window);
            if (windows > 0) steps.push_back((rows_[i].time - rows_[i - 1].time) / windows);
        }
    }
    if (steps.empty()) return 1;
    std::nth_element(steps.begin(), steps.begin() + long(steps.size() / 2), steps.end());
    return std::max(steps[steps.size() / 2], 1e-3);
}

QRectF PredictionStrip::cell(const WindowRow& row, double hop, int y, int height) const {
    const TimeAxis& axis = lanes_->axis();
    const QRect plot = lanes_->plot_rect();
    const double ratio = devicePixelRatioF();
    // The window's newest part, the hop, up to its end; the longer piece when the sweep cuts it.
    QRectF widest;
    for (const TimeAxis::Piece& p : axis.pieces(row.time - hop, row.time)) {
        const QRectF r(plot.left() + p.x / ratio, y, (p.t1 - p.t0) / axis.dt() / ratio, height);
        if (r.width() > widest.width()) widest = r;
    }
    return widest;
}

void PredictionStrip::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    painter.fillRect(rect(), colors().canvas);
    painter.fillRect(QRect(16, 0, width() - 32, 1), colors().grid);
    int top = kTop;
    for (size_t m = 0; m < models_.size(); ++m) {
        paint_model(&painter, m, top);
        top += kModel + kBetween;
    }
}

void PredictionStrip::paint_model(QPainter* painter, size_t m, int top) {
    const Colors& c = colors();
    const ModelView& model = models_[m];
    const QRect plot = lanes_->plot_rect();
    const int host_top = top + kRow + kVerdict + 2 * kSpace;
    painter->setPen(c.text);
    painter->setFont(text_font(8.5, true));
    // The name lies between the two rows, so that none of the three cuts another short.
    const int gutter = kGutter - 16 - 8;
    painter->drawText(
        QRect(16, top, gutter, kModel), Qt::AlignLeft | Qt::AlignVCenter,
        painter->fontMetrics().elidedText(QString::fromStdString(model.name), Qt::ElideRight, gutter));
    painter->setFont(text_font(7.5));
    painter->setPen(c.dim);
    const QRect side(16, top, gutter, kRow);
    painter->drawText(side, Qt::AlignRight | Qt::AlignVCenter, tr("device"));
    painter->drawText(side.translated(0, host_top - top), Qt::AlignRight | Qt::AlignVCenter, tr("host"));

    // Share of the windows that could be compared and were the same.
    const uint64_t compared = model.account.same + model.account.different;
    painter->setFont(text_font(9, true));
    painter->setPen(model.account.different > 0 ? c.bad : compared > 0 ? c.good : c.faint);
    const QString share =
        compared == 0 ? QStringLiteral("–")
        : model.account.different == 0
            ? QStringLiteral("100 %")
            : QStringLiteral("%1 %").arg(
                  std::min(99.9, 100.0 * double(model.account.same) / double(compared)), 0, 'f', 1);
    painter->drawText(QRect(plot.right() + 12, top + 4, kStrip - 16, 20), Qt::AlignLeft | Qt::AlignVCenter,
                      share);
    painter->setFont(text_font(7.5));
    painter->setPen(c.dim);
    painter->drawText(QRect(plot.right() + 12, top + 24, kStrip - 14, 18), Qt::AlignLeft | Qt::AlignVCenter,
                      model.account.different > 0 ? tr("%L1 differ").arg(model.account.different)
                                                  : tr("%L1 same").arg(model.account.same));

    painter->save();
    painter->setClipRect(QRect(plot.left(), top - 2, plot.width(), kModel + 4));
    painter->setRenderHint(QPainter::Antialiasing);
    const double hop = hop_of(int(m));
    // Times of device and host jitter a little; only a window that is not there makes a hole.
    const double joint = std::max(1.5, 0.4 * hop / lanes_->axis().dt() / devicePixelRatioF());
    const QFont cell_font = text_font(7.5, true);
    const QFontMetricsF metrics(cell_font);
    for (int device = 1; device >= 0; --device) {
        const int y = device ? top : host_top;
        // Neighbours of one class flow together; its name is written once.
        QRectF run;
        QString run_text;
        QColor run_color;
        auto flush = [&] {
            if (run.isEmpty()) return;
            const QRectF box = run.adjusted(0.5, 0, -0.5, 0);
            painter->setPen(Qt::NoPen);
            painter->setBrush(mix(c.canvas, run_color, current_theme() == Theme::dark ? 0.30 : 0.16));
            painter->drawRoundedRect(box, 3, 3);
            painter->setPen(mix(run_color, c.text, 0.25));
            painter->setFont(cell_font);
            // In full, else the value without its unit, else nothing: no stumps.
            const QString shorter = model.classifier ? QString() : run_text.section(' ', 0, 0);
            bool written = false;
            for (const QString& words : {run_text, shorter}) {
                if (written || metrics.horizontalAdvance(words) > box.width() - 8) continue;
                painter->drawText(box.adjusted(5, 0, -3, 0), Qt::AlignLeft | Qt::AlignVCenter, words);
                written = true;
            }
            if (!written && metrics.horizontalAdvance(shorter) <= box.width() - 2)
                painter->drawText(box, Qt::AlignCenter, shorter);
            run = QRectF();
        };
        for (const WindowRow& row : rows_) {
            if (row.model != int(m)) continue;
            const QRectF box = cell(row, hop, y, kRow);
            const bool has = device ? row.has_device : row.has_host;
            if (box.isEmpty() || !has) {
                if (!box.isEmpty()) flush();
                continue;
            }
            const std::vector<float>& scores = device ? row.device_scores : row.host_scores;
            const QString text = score_text(model, scores);
            const QColor color = model.classifier && !scores.empty() ? score_color(best(scores)) : c.accent;
            if (!run.isEmpty() &&
                (text != run_text || color != run_color || std::abs(box.left() - run.right()) > joint))
                flush();
            run = run.isEmpty() ? box : run.united(box);
            run_text = text;
            run_color = color;
        }
        flush();
    }
    for (const WindowRow& row : rows_) {
        if (row.model != int(m) || !row.decided) continue;
        const QRectF box = cell(row, hop, top + kRow + kSpace, kVerdict);
        if (box.isEmpty()) continue;
        const QRectF mark = box.adjusted(0.5, 0, -0.5, 0);
        painter->setPen(Qt::NoPen);
        switch (row.verdict) {
            case Verdict::same:
                painter->setBrush(c.calm);
                painter->drawRoundedRect(mark.adjusted(0, 2, 0, -2), 2, 2);
                break;
            case Verdict::different:
                painter->setBrush(c.bad);
                painter->drawRoundedRect(mark.adjusted(0, -2, 0, 2), 2, 2);
                break;
            case Verdict::lost: {
                QPainterPath area;
                area.addRoundedRect(mark.adjusted(0, 1, 0, -1), 2, 2);
                painter->fillPath(area, mix(c.canvas, c.lost, 0.35));
                painter->setPen(QPen(c.dim, 1));
                painter->save();
                painter->setClipPath(area, Qt::IntersectClip);
                for (double x = std::floor(mark.left() / 5) * 5 - 8; x < mark.right(); x += 5) {
                    painter->drawLine(QPointF(x, mark.bottom()), QPointF(x + 8, mark.top()));
                }
                painter->restore();
                break;
            }
            case Verdict::outside:
                painter->setBrush(mix(c.canvas, c.lost, 0.35));
                painter->drawRoundedRect(mark.adjusted(0, 3, 0, -3), 1, 1);
                break;
        }
    }
    painter->restore();
}

bool PredictionStrip::event(QEvent* event) {
    if (event->type() != QEvent::ToolTip) return QWidget::event(event);
    const auto* help = static_cast<QHelpEvent*>(event);
    for (const WindowRow& row : rows_) {
        if (row.model < 0 || size_t(row.model) >= models_.size()) continue;
        const int top = kTop + row.model * (kModel + kBetween);
        if (!cell(row, hop_of(row.model), top, kModel).contains(help->pos())) continue;
        const ModelView& model = models_[size_t(row.model)];
        auto scores = [&](const std::vector<float>& values) {
            QStringList parts;
            for (size_t i = 0; i < values.size() && i < 6; ++i) {
                QString name = i < model.score_names.size() ? QString::fromStdString(model.score_names[i])
                                                            : QString::number(i);
                parts << QStringLiteral("%1 %2").arg(name).arg(double(values[i]), 0, 'g', 4);
            }
            return parts.join(", ");
        };
        QString text = tr("Window %1 at %2: %3")
                           .arg(row.window)
                           .arg(clock_text(row.time, 2))
                           .arg(row.decided ? verdict_text(row.verdict) : tr("not decided yet"));
        if (!row.reason.empty()) text += QStringLiteral("\n") + QString::fromStdString(row.reason);
        if (row.has_device) text += tr("\ndevice: %1").arg(scores(row.device_scores));
        if (row.has_host) text += tr("\nhost: %1").arg(scores(row.host_scores));
        QToolTip::showText(help->globalPos(), text, this);
        return true;
    }
    QToolTip::hideText();
    return true;
}

}  // namespace lockstep::ui
