#include "ui/record_bar.h"

#include <QFileInfo>
#include <QHelpEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>

#include "ui/metrics.h"
#include "ui/theme.h"

namespace lockstep::ui {

QString space_text(double seconds) {
    if (seconds < 0) return {};
    if (seconds < 3600) return QObject::tr("room for %1 min").arg(int(seconds / 60));
    if (seconds < 48 * 3600) return QObject::tr("room for %1 h").arg(int(seconds / 3600));
    return QObject::tr("room for %L1 days").arg(int(std::min(seconds / 86400, 9999.0)));
}

RecordBar::RecordBar(QWidget* parent) : QWidget(parent) {
    setCursor(Qt::PointingHandCursor);
    setFixedSize(sizeHint());
}

QSize RecordBar::sizeHint() const {
    return QSize(214, 44);
}

QRectF RecordBar::button() const {
    return QRectF(width() - 44, 2, 40, 40);
}

void RecordBar::set_status(const WorkbenchStatus& status) {
    status_ = status;
    update();
}

void RecordBar::paintEvent(QPaintEvent*) {
    QPainter p(this);
    p.setRenderHint(QPainter::Antialiasing);
    const Colors& c = colors();
    const bool recording = status_.state == WorkbenchState::recording;
    const bool ready = status_.state == WorkbenchState::streaming || recording;
    const QRectF b = button();
    const QColor red = ready ? (hover_ ? c.record.lighter(108) : c.record) : mix(c.panel, c.faint, 0.5);
    p.setPen(QPen(mix(c.panel, red, recording ? 1.0 : 0.55), 2));
    p.setBrush(Qt::NoBrush);
    p.drawEllipse(b.adjusted(2, 2, -2, -2));
    p.setPen(Qt::NoPen);
    p.setBrush(red);
    if (recording) {
        p.drawRoundedRect(QRectF(b.center().x() - 7, b.center().y() - 7, 14, 14), 3, 3);
    } else {
        p.drawEllipse(b.center(), 13, 13);
    }
    const QRectF text(0, 3, b.left() - 12, 20);
    const QRectF below(0, 23, b.left() - 12, 17);
    p.setFont(recording ? text_font(13, true) : text_font(10, true));
    p.setPen(recording ? c.record : ready ? c.text : c.faint);
    QString first = tr("Record");
    QString second = ready ? tr("Space starts") : tr("connect first");
    if (recording) {
        first = clock_text(status_.recorded_seconds, 0);
        second = QFileInfo(QString::fromStdString(status_.path)).fileName();
        const QString room = space_text(status_.seconds_to_full);
        if (!room.isEmpty()) second = room;
        if (status_.link_down) second = tr("no signal");
    } else if (status_.state == WorkbenchState::finishing) {
        first = tr("Finishing…");
        second = tr("writing the file");
    } else if (status_.state == WorkbenchState::streaming && status_.seconds_to_full >= 0) {
        second = space_text(status_.seconds_to_full);
    }
    p.drawText(text, Qt::AlignRight | Qt::AlignVCenter, first);
    p.setFont(text_font(8));
    const bool filling = status_.seconds_to_full >= 0 && status_.seconds_to_full < 600;
    p.setPen(filling || (recording && status_.link_down) ? c.bad : c.dim);
    p.drawText(below, Qt::AlignRight | Qt::AlignVCenter,
               p.fontMetrics().elidedText(second, Qt::ElideMiddle, int(below.width())));
}

void RecordBar::mousePressEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton) return;
    if (button().adjusted(-6, -6, 6, 6).contains(event->localPos())) {
        emit clicked();
    } else {
        emit details_wanted();
    }
}

void RecordBar::enterEvent(QEvent*) {
    hover_ = true;
    update();
}

void RecordBar::leaveEvent(QEvent*) {
    hover_ = false;
    update();
}

bool RecordBar::event(QEvent* event) {
    if (event->type() == QEvent::ToolTip) {
        QString text = status_.state == WorkbenchState::recording
                           ? tr("Stop recording (Space)")
                           : tr("Start recording (Space); click the text to choose file, person and task");
        if (!status_.path.empty()) text += "\n" + QString::fromStdString(status_.path);
        QToolTip::showText(static_cast<QHelpEvent*>(event)->globalPos(), text, this);
        return true;
    }
    return QWidget::event(event);
}

}  // namespace lockstep::ui
