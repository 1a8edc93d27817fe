#include "ui/banner.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>

#include "ui/theme.h"

namespace lockstep::ui {

Banner::Banner(QWidget* parent) : QWidget(parent) {
    hide();
    timer_.setSingleShot(true);
    connect(&timer_, &QTimer::timeout, this, &QWidget::hide);
    setToolTip(tr("Click to dismiss"));
}

void Banner::show_message(const QString& text, bool error, const QString& action, std::function<void()> act) {
    text_ = text;
    action_ = action;
    act_ = std::move(act);
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
        timer_.start(action.isEmpty() ? 6000 : 12000);
    }
    update();
}

void Banner::place() {
    if (!parentWidget()) return;
    const int widest = std::min(820, parentWidget()->width() - 80);
    const QFontMetrics metrics(text_font(9.5));
    const int aside = 56 + (action_.isEmpty() ? 0 : action_area().width());
    const QRect bounds = metrics.boundingRect(QRect(0, 0, widest - aside, 400), Qt::TextWordWrap, text_);
    const int w = bounds.width() + aside + 2;
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
    const int aside = action_.isEmpty() ? 0 : action_area().width();
    p.drawText(rect().adjusted(36, 4, -18 - aside, -4), Qt::AlignLeft | Qt::AlignVCenter | Qt::TextWordWrap,
               text_);
    if (action_.isEmpty()) return;
    p.setFont(text_font(9.5, true));
    p.setPen(c.accent);
    p.drawText(action_area(), Qt::AlignCenter, action_);
}

QRect Banner::action_area() const {
    const int w = QFontMetrics(text_font(9.5, true)).horizontalAdvance(action_) + 28;
    return QRect(width() - w - 4, 0, w, height());
}

void Banner::mousePressEvent(QMouseEvent* event) {
    hide();
    if (!action_.isEmpty() && act_ && action_area().contains(event->pos())) act_();
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
                         {tr("R"), tr("sweep, or scroll")},
                         {tr("← →"), tr("scroll, with Shift by a page")},
                         {tr("PgUp  PgDn"), tr("a page back, a page on")},
                         {tr("Home  End"), tr("start of the session; its end, or live")},
                         {tr("[  ]"), tr("shorter, longer time span; also Ctrl + wheel")},
                         {tr("+  −"), tr("gain, of the stream under the mouse; also ↑ ↓")},
                         {tr("Alt + −"), tr("gain of the channel under the mouse alone")},
                         {tr("0"), tr("gain automatic again")},
                         {tr("D"), tr("filter for display")},
                         {tr("F"), tr("spectrum and link trends, or health")},
                         {tr("S   Z   F11"), tr("scale bars; traces only; full screen")},
                         {tr("Ctrl O   Q"), tr("open a recording; quit")}};
    const Line right[] = {{tr("1 – 9"), tr("begin and end a label of that class")},
                          {tr("Shift + 1 – 9"), tr("mark a point")},
                          {tr("drag"), tr("make a label, move it, or move its edge")},
                          {tr("Shift + drag"), tr("label one stream, with Alt one channel")},
                          {tr("double click"), tr("edit class, times, note; also Enter")},
                          {tr("Delete"), tr("delete the selected label")},
                          {tr("Ctrl Z"), tr("undo, with Shift redo")},
                          {tr("Ctrl ← →"), tr("previous, next label")},
                          {tr("L"), tr("classes, their keys and colours")},
                          {tr("A"), tr("annotate, or drag to pan")},
                          {tr("point at"), tr("a trace: its value; a label: its times, its note")},
                          {tr("click a name"), tr("its spectrum; wheel on it: gain")},
                          {tr("right click"), tr("channels, amplitude, inversion")},
                          {tr("Esc   ?"), tr("back to live; this page")}};
    constexpr int kLines = 14;
    constexpr int kStep = 28;
    const double tall = 76 + kLines * kStep + 24;
    const QRectF card(width() / 2.0 - 440, height() / 2.0 - tall / 2, 880, tall);
    p.setPen(QPen(c.border, 1));
    p.setBrush(c.panel);
    p.drawRoundedRect(card, 12, 12);
    p.setPen(c.text);
    p.setFont(text_font(15, true));
    p.drawText(QRectF(card.left() + 36, card.top() + 24, 400, 30), Qt::AlignLeft | Qt::AlignVCenter,
               tr("Keys and mouse"));
    auto column = [&](const Line* lines, double x) {
        for (int i = 0; i < kLines; ++i) {
            const double y = card.top() + 72 + i * kStep;
            p.setFont(text_font(9, true));
            p.setPen(c.accent);
            p.drawText(QRectF(x, y, 104, 24), Qt::AlignLeft | Qt::AlignVCenter, lines[i].keys);
            p.setFont(text_font(9));
            p.setPen(c.text);
            p.drawText(QRectF(x + 104, y, 300, 24), Qt::AlignLeft | Qt::AlignVCenter, lines[i].text);
        }
    };
    column(left, card.left() + 36);
    column(right, card.left() + 456);
}

void HelpOverlay::mousePressEvent(QMouseEvent*) {
    hide();
}

void HelpOverlay::keyPressEvent(QKeyEvent*) {
    hide();
}

}  // namespace lockstep::ui
