#include "ui/banner.h"

#include <QKeyEvent>
#include <QPainter>

#include "ui/theme.h"

namespace lockstep::ui {

Banner::Banner(QWidget* parent) : QWidget(parent) {
    hide();
    timer_.setSingleShot(true);
    connect(&timer_, &QTimer::timeout, this, &QWidget::hide);
    setToolTip(tr("Click to dismiss"));
}

void Banner::show_message(const QString& text, bool error) {
    text_ = text;
    error_ = error;
    if (text.isEmpty()) {
        hide();
        return;
    }
    place();
    show();
    raise();
    // An error stays until it is read.
    if (error) {
        timer_.stop();
    } else {
        timer_.start(6000);
    }
    update();
}

void Banner::place() {
    if (!parentWidget()) return;
    const int widest = std::min(720, parentWidget()->width() - 80);
    const QFontMetrics metrics(text_font(9.5));
    const QRect bounds = metrics.boundingRect(QRect(0, 0, widest - 56, 400), Qt::TextWordWrap, text_);
    const int w = bounds.width() + 58;
    const int h = std::max(40, bounds.height() + 22);
    setGeometry((parentWidget()->width() - w) / 2, 68, w, h);
}

void Banner::paintEvent(QPaintEvent*) {
    QPainter p(this);
    p.setRenderHint(QPainter::Antialiasing);
    const Colors& c = colors();
    const QColor tone = error_ ? c.bad : c.accent;
    p.setPen(QPen(mix(c.panel, tone, 0.45), 1));
    p.setBrush(mix(c.panel, tone, 0.10));
    p.drawRoundedRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8);
    p.setPen(Qt::NoPen);
    p.setBrush(tone);
    p.drawEllipse(QPointF(20, height() / 2.0), 4, 4);
    p.setPen(c.text);
    p.setFont(text_font(9.5));
    p.drawText(rect().adjusted(36, 4, -18, -4), Qt::AlignLeft | Qt::AlignVCenter | Qt::TextWordWrap, text_);
}

void Banner::mousePressEvent(QMouseEvent*) {
    hide();
}

HelpOverlay::HelpOverlay(QWidget* parent) : QWidget(parent) {
    hide();
    setFocusPolicy(Qt::StrongFocus);
}

void HelpOverlay::paintEvent(QPaintEvent*) {
    QPainter p(this);
    p.setRenderHint(QPainter::Antialiasing);
    const Colors& c = colors();
    QColor veil = c.window;
    veil.setAlphaF(0.82);
    p.fillRect(rect(), veil);
    struct Line {
        QString keys, text;
    };
    const Line left[] = {{tr("Space"), tr("start or stop recording")},
                         {tr("P"), tr("pause the view, data goes on")},
                         {tr("← →"), tr("scroll, with Shift by a page")},
                         {tr("Home  End"), tr("shorter, longer time span")},
                         {tr("+  −"), tr("amplitude, of the stream under the mouse")},
                         {tr("Ctrl + wheel"), tr("zoom time")},
                         {tr("Esc"), tr("back to live")},
                         {tr("D"), tr("filter for display")},
                         {tr("S"), tr("scale bars")},
                         {tr("Z"), tr("zen: traces only")},
                         {tr("F11"), tr("full screen")}};
    const Line right[] = {{tr("1 – 9"), tr("begin and end a label of that class")},
                          {tr("Shift + 1 – 9"), tr("mark a point")},
                          {tr("drag"), tr("make a label, move it, or move its edge")},
                          {tr("Shift + drag"), tr("label one stream, with Alt one channel")},
                          {tr("double click"), tr("edit class, times, note")},
                          {tr("Delete"), tr("delete the selected label")},
                          {tr("Ctrl Z"), tr("undo, with Shift redo")},
                          {tr("Ctrl ← →"), tr("previous, next label")},
                          {tr("A"), tr("annotate, or drag to pan")},
                          {tr("right click"), tr("channels, amplitude, inversion")},
                          {tr("?"), tr("this page")}};
    const QRectF card(width() / 2.0 - 410, height() / 2.0 - 215, 820, 430);
    p.setPen(QPen(c.border, 1));
    p.setBrush(c.panel);
    p.drawRoundedRect(card, 12, 12);
    p.setPen(c.text);
    p.setFont(text_font(15, true));
    p.drawText(QRectF(card.left() + 36, card.top() + 26, 400, 30), Qt::AlignLeft | Qt::AlignVCenter,
               tr("Keys"));
    auto column = [&](const Line* lines, int n, double x) {
        for (int i = 0; i < n; ++i) {
            const double y = card.top() + 76 + i * 29;
            p.setFont(text_font(9, true));
            p.setPen(c.accent);
            p.drawText(QRectF(x, y, 96, 24), Qt::AlignLeft | Qt::AlignVCenter, lines[i].keys);
            p.setFont(text_font(9));
            p.setPen(c.text);
            p.drawText(QRectF(x + 100, y, 275, 24), Qt::AlignLeft | Qt::AlignVCenter, lines[i].text);
        }
    };
    column(left, 11, card.left() + 36);
    column(right, 11, card.left() + 424);
}

void HelpOverlay::mousePressEvent(QMouseEvent*) {
    hide();
}

void HelpOverlay::keyPressEvent(QKeyEvent*) {
    hide();
}

}  // namespace lockstep::ui
