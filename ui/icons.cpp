#include "ui/icons.h"

#include <QPainter>
#include <QPainterPath>
#include <QPixmap>
#include <cmath>

namespace lockstep::ui {

namespace {

void paint(QPainter* p, Icon which, const QColor& color) {
    QPen pen(color, 1.5, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin);
    p->setPen(pen);
    p->setBrush(Qt::NoBrush);
    auto fill = [&](const QPainterPath& path) { p->fillPath(path, color); };
    QPainterPath path;
    switch (which) {
        case Icon::pause:
            path.addRoundedRect(4.5, 3.5, 2.6, 9, 1, 1);
            path.addRoundedRect(8.9, 3.5, 2.6, 9, 1, 1);
            fill(path);
            break;
        case Icon::play:
            path.moveTo(5, 3.4);
            path.lineTo(12.4, 8);
            path.lineTo(5, 12.6);
            path.closeSubpath();
            fill(path);
            break;
        case Icon::sun:
            p->drawEllipse(QPointF(8, 8), 2.8, 2.8);
            for (int i = 0; i < 8; ++i) {
                const double a = i * 3.14159265 / 4;
                p->drawLine(QPointF(8 + 4.9 * std::cos(a), 8 + 4.9 * std::sin(a)),
                            QPointF(8 + 6.2 * std::cos(a), 8 + 6.2 * std::sin(a)));
            }
            break;
        case Icon::moon: {
            QPainterPath disc;
            disc.addEllipse(QPointF(8, 8), 5.2, 5.2);
            QPainterPath bite;
            bite.addEllipse(QPointF(10.6, 6.2), 4.6, 4.6);
            p->drawPath(disc.subtracted(bite));
            break;
        }
        case Icon::help:
            p->drawEllipse(QPointF(8, 8), 6, 6);
            path.moveTo(6.1, 6.5);
            path.cubicTo(6.1, 4.2, 9.9, 4.2, 9.9, 6.4);
            path.cubicTo(9.9, 7.9, 8, 7.7, 8, 9.2);
            p->drawPath(path);
            p->drawPoint(QPointF(8, 11.2));
            break;
        case Icon::open:
            path.moveTo(2.5, 12.5);
            path.lineTo(2.5, 4);
            path.lineTo(6.3, 4);
            path.lineTo(7.6, 5.6);
            path.lineTo(13.5, 5.6);
            path.lineTo(13.5, 12.5);
            path.closeSubpath();
            p->drawPath(path);
            break;
        case Icon::plug:
            p->drawLine(QPointF(6, 2.5), QPointF(6, 5));
            p->drawLine(QPointF(10, 2.5), QPointF(10, 5));
            path.moveTo(4, 5.2);
            path.lineTo(12, 5.2);
            path.lineTo(12, 7.4);
            path.cubicTo(12, 11.2, 4, 11.2, 4, 7.4);
            path.closeSubpath();
            p->drawPath(path);
            p->drawLine(QPointF(8, 10.4), QPointF(8, 13.5));
            break;
        case Icon::minus:
            p->drawLine(QPointF(4, 8), QPointF(12, 8));
            break;
        case Icon::plus:
            p->drawLine(QPointF(4, 8), QPointF(12, 8));
            p->drawLine(QPointF(8, 4), QPointF(8, 12));
            break;
        case Icon::close:
            p->drawLine(QPointF(4.5, 4.5), QPointF(11.5, 11.5));
            p->drawLine(QPointF(11.5, 4.5), QPointF(4.5, 11.5));
            break;
        case Icon::fullscreen:
            p->drawPolyline(QPolygonF({{3, 6}, {3, 3}, {6, 3}}));
            p->drawPolyline(QPolygonF({{10, 3}, {13, 3}, {13, 6}}));
            p->drawPolyline(QPolygonF({{13, 10}, {13, 13}, {10, 13}}));
            p->drawPolyline(QPolygonF({{6, 13}, {3, 13}, {3, 10}}));
            break;
        case Icon::undo:
            p->drawPolyline(QPolygonF({{6, 3}, {3, 6}, {6, 9}}));
            path.moveTo(3, 6);
            path.lineTo(9.5, 6);
            path.cubicTo(14.2, 6, 14.2, 12.5, 9.5, 12.5);
            path.lineTo(6.5, 12.5);
            p->drawPath(path);
            break;
    }
}

}  // namespace

QIcon logo() {
    QIcon out;
    for (int size : {16, 30, 60, 128}) {
        QPixmap pixmap(size, size);
        pixmap.fill(Qt::transparent);
        QPainter p(&pixmap);
        p.setRenderHint(QPainter::Antialiasing);
        p.scale(size / 64.0, size / 64.0);
        p.setPen(Qt::NoPen);
        p.setBrush(QColor("#1f5fa8"));
        p.drawRoundedRect(QRectF(0, 0, 64, 64), 14, 14);
        p.setBrush(Qt::NoBrush);
        for (int side = 0; side < 2; ++side) {
            // Two traces in step: the device's and the host's.
            const double y = side * 20;
            p.setPen(QPen(side == 0 ? QColor("#ffffff") : QColor("#9fd0ff"), 4, Qt::SolidLine, Qt::RoundCap,
                          Qt::RoundJoin));
            p.drawPolyline(QPolygonF(
                {{9, 26 + y}, {20, 26 + y}, {25, 14 + y}, {33, 35 + y}, {38, 26 + y}, {55, 26 + y}}));
        }
        p.end();
        if (size == 60) pixmap.setDevicePixelRatio(2);
        out.addPixmap(pixmap);
    }
    return out;
}

QIcon icon(Icon which, const QColor& color) {
    QIcon out;
    for (int scale : {1, 2, 3}) {
        QPixmap pixmap(16 * scale, 16 * scale);
        pixmap.fill(Qt::transparent);
        QPainter painter(&pixmap);
        painter.setRenderHint(QPainter::Antialiasing);
        painter.scale(scale, scale);
        paint(&painter, which, color);
        painter.end();
        pixmap.setDevicePixelRatio(scale);
        out.addPixmap(pixmap);
    }
    return out;
}

}  // namespace lockstep::ui
