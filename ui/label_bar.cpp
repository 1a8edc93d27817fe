#include "ui/label_bar.h"

#include <QHelpEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>

#include "ui/lane_view.h"
#include "ui/metrics.h"
#include "ui/theme.h"

namespace lockstep::ui {

namespace {
constexpr int kHeight = 34;
constexpr int kChip = 24;
constexpr int kEdit = 62;
constexpr int kSlack = 10;  // of a chip's 38 px beside its name, given up when there are too many

QString name_of(const LabelClass& c) {
    return QString::fromStdString(c.name).replace('_', ' ');
}
}  // namespace

LabelBar::LabelBar(LaneView* lanes, QWidget* parent) : QWidget(parent), lanes_(lanes) {
    setFixedHeight(kHeight);
    setMouseTracking(true);
}

void LabelBar::reload() {
    place();
    update();
}

void LabelBar::resizeEvent(QResizeEvent*) {
    place();
}

void LabelBar::place() {
    chips_.clear();
    std::vector<LabelClass> shown;
    for (const LabelClass& c : lanes_->labels().classes())
        if (c.hotkey != 0) shown.push_back(c);
    std::sort(shown.begin(), shown.end(),
              [](const LabelClass& a, const LabelClass& b) { return a.hotkey < b.hotkey; });
    const QFontMetrics metrics(text_font(8.5));
    const int left = kGutter;
    const int room = width() - left - kEdit - 16;
    // As wide as the names need; when that is too wide, all give way alike.
    int wanted = 0;  // px
    for (const LabelClass& c : shown)
        wanted += metrics.horizontalAdvance(name_of(c)) + 38;
    // Closer together first, then shorter.
    const int all = int(shown.size());
    const int slack = std::clamp(wanted - room, 0, all * kSlack);
    wanted -= slack;
    const double share = wanted > room && wanted > 0 ? double(room) / wanted : 1;
    lead_ = slack > 0 ? 22 : 25;
    const int between = slack > 0 ? 3 : 6;
    const int around = slack > 0 ? 38 - kSlack : 38;
    int x = left;
    const int y = (kHeight - kChip) / 2;
    for (const LabelClass& c : shown) {
        const int w = int((metrics.horizontalAdvance(name_of(c)) + around) * share);
        chips_.push_back({c, QRect(x, y, w - between, kChip)});
        x += w;
    }
    chips_.push_back({{}, QRect(std::min(x + 4, width() - kEdit - 8), y, kEdit, kChip)});
}

const LabelBar::Chip* LabelBar::chip_at(const QPoint& pos) const {
    for (const Chip& chip : chips_)
        if (chip.area.contains(pos)) return &chip;
    return nullptr;
}

void LabelBar::paintEvent(QPaintEvent*) {
    QPainter p(this);
    const Colors& c = colors();
    p.fillRect(rect(), c.canvas);
    p.fillRect(QRect(16, 0, width() - 32, 1), c.grid);
    p.setFont(text_font(7.5));
    p.setPen(c.dim);
    p.drawText(QRect(16, 0, kGutter - 24, kHeight), Qt::AlignLeft | Qt::AlignVCenter, tr("labels"));
    p.setRenderHint(QPainter::Antialiasing);
    const auto& open = lanes_->labels().open();
    for (size_t i = 0; i < chips_.size(); ++i) {
        const Chip& chip = chips_[i];
        const bool hover = int(i) == hover_;
        if (chip.label_class.hotkey == 0) {
            p.setFont(text_font(8.5));
            p.setPen(hover ? c.text : c.faint);
            p.drawText(chip.area, Qt::AlignCenter, tr("Edit…"));
            continue;
        }
        const QColor color = class_color(lanes_->labels().classes(), chip.label_class.name);
        const bool on = open.count(chip.label_class.hotkey) > 0;
        p.setPen(Qt::NoPen);
        p.setBrush(on ? color : mix(c.canvas, color, hover ? 0.24 : 0.10));
        p.drawRoundedRect(chip.area, 6, 6);
        const QRect key(chip.area.left() + 4, chip.area.top() + 4, 16, kChip - 8);
        p.setBrush(on ? mix(color, c.canvas, 0.85) : mix(c.canvas, color, 0.85));
        p.drawRoundedRect(key, 4, 4);
        p.setFont(text_font(8, true));
        p.setPen(on ? color : c.canvas);
        p.drawText(key, Qt::AlignCenter, QString(QChar(chip.label_class.hotkey)));
        p.setFont(text_font(8.5, on));
        p.setPen(on ? c.canvas : c.text);
        const QRect text = chip.area.adjusted(lead_, 0, -2, 0);
        p.drawText(text, Qt::AlignLeft | Qt::AlignVCenter,
                   p.fontMetrics().elidedText(name_of(chip.label_class), Qt::ElideRight, text.width()));
    }
}

void LabelBar::mousePressEvent(QMouseEvent* event) {
    const Chip* chip = chip_at(event->pos());
    if (event->button() != Qt::LeftButton || chip == nullptr) return;
    if (chip->label_class.hotkey == 0) {
        emit edit_wanted();
        return;
    }
    lanes_->label_key(chip->label_class.hotkey, event->modifiers() & Qt::ShiftModifier);
    lanes_->setFocus();
    update();
}

void LabelBar::mouseMoveEvent(QMouseEvent* event) {
    const Chip* chip = chip_at(event->pos());
    const int hover = chip ? int(chip - chips_.data()) : -1;
    if (hover == hover_) return;
    hover_ = hover;
    setCursor(chip ? Qt::PointingHandCursor : Qt::ArrowCursor);
    update();
}

void LabelBar::leaveEvent(QEvent*) {
    hover_ = -1;
    update();
}

bool LabelBar::event(QEvent* event) {
    if (event->type() != QEvent::ToolTip) return QWidget::event(event);
    const auto* help = static_cast<QHelpEvent*>(event);
    const Chip* chip = chip_at(help->pos());
    if (chip == nullptr) {
        QToolTip::hideText();
    } else if (chip->label_class.hotkey == 0) {
        QToolTip::showText(help->globalPos(), tr("Classes, their keys and colours (L)"), this);
    } else {
        QToolTip::showText(help->globalPos(),
                           tr("%1: begins and ends here, with Shift a point; names the selected label")
                               .arg(name_of(chip->label_class)),
                           this);
    }
    return true;
}

}  // namespace lockstep::ui
