#include "ui/class_editor.h"

#include <QColorDialog>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QGridLayout>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QPainter>
#include <QPushButton>
#include <QScrollArea>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/theme.h"

namespace lockstep::ui {

namespace {

constexpr int kRowHeight = 37;
constexpr const char* kHues[] = {"#d62728", "#ff7f0e", "#bcbd22", "#2ca02c", "#17becf",
                                 "#1f77b4", "#9467bd", "#e377c2", "#8c564b", "#7f7f7f"};

QIcon swatch(const QColor& color) {
    QPixmap map(36, 36);
    map.setDevicePixelRatio(2);
    map.fill(Qt::transparent);
    QPainter p(&map);
    p.setRenderHint(QPainter::Antialiasing);
    p.setPen(Qt::NoPen);
    p.setBrush(color);
    p.drawRoundedRect(QRectF(1, 1, 16, 16), 4, 4);
    return QIcon(map);
}

}  // namespace

ClassEditor::ClassEditor(const std::vector<LabelClass>& classes, QWidget* parent) : QDialog(parent) {
    setWindowTitle(tr("Label classes"));
    auto* v = new QVBoxLayout(this);
    v->setContentsMargins(22, 18, 22, 18);
    v->setSpacing(12);
    auto* title = new QLabel(tr("Label classes"));
    title->setFont(text_font(14, true));
    v->addWidget(title);
    auto* about = new QLabel(tr("A key begins a label and ends it. Labels that exist keep their names."));
    about->setObjectName("dim");
    v->addWidget(about);
    // An imported session can have more classes than a screen has lines.
    auto* rows = new QWidget;
    rows->setObjectName("rows");
    grid_ = new QGridLayout(rows);
    grid_->setContentsMargins(0, 0, 6, 0);
    grid_->setHorizontalSpacing(8);
    grid_->setVerticalSpacing(6);
    grid_->setColumnStretch(2, 1);
    grid_->setAlignment(Qt::AlignTop);
    auto* area = new QScrollArea;
    area->setWidget(rows);
    area->setWidgetResizable(true);
    area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    v->addWidget(area, 1);
    for (const LabelClass& c : classes)
        add(c);
    area->setMinimumHeight(int(std::clamp<size_t>(classes.size() + 1, 4, 10)) * kRowHeight);
    auto* more = new QPushButton(tr("Add a class"));
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Save | QDialogButtonBox::Cancel);
    buttons->button(QDialogButtonBox::Save)->setObjectName("primary");
    buttons->addButton(more, QDialogButtonBox::ResetRole);
    v->addSpacing(4);
    v->addWidget(buttons);
    connect(more, &QPushButton::clicked, this, [this, area] {
        char free = '1';
        const std::vector<LabelClass> now = this->classes();
        while (free <= '9' &&
               std::any_of(now.begin(), now.end(), [&](const LabelClass& c) { return c.hotkey == free; }))
            ++free;
        add({"", kHues[rows_.size() % std::size(kHues)], free <= '9' ? free : char(0), ""});
        rows_.back().name->setFocus();
        QTimer::singleShot(0, area, [this, area] { area->ensureWidgetVisible(rows_.back().name); });
    });
    connect(buttons, &QDialogButtonBox::accepted, this, &QDialog::accept);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    setMinimumWidth(420);
}

void ClassEditor::add(const LabelClass& c) {
    const size_t index = rows_.size();
    Row row;
    row.hed = c.hed;
    row.hue = QString::fromStdString(c.color);
    row.key = new QComboBox;
    row.key->addItem(QStringLiteral("–"));
    for (int i = 1; i <= 9; ++i)
        row.key->addItem(QString::number(i));
    row.key->setCurrentIndex(c.hotkey >= '1' && c.hotkey <= '9' ? c.hotkey - '0' : 0);
    row.key->setToolTip(tr("Its key"));
    row.key->setFixedWidth(64);
    row.color = new QToolButton;
    row.color->setIconSize(QSize(18, 18));
    row.color->setToolTip(tr("Its colour"));
    row.name = new QLineEdit(QString::fromStdString(c.name));
    row.name->setPlaceholderText(tr("left out when empty"));
    row.name->setMaxLength(60);
    grid_->addWidget(row.key, int(index), 0);
    grid_->addWidget(row.color, int(index), 1);
    grid_->addWidget(row.name, int(index), 2);
    rows_.push_back(row);
    paint_color(index);
    connect(row.key, QOverload<int>::of(&QComboBox::activated), this, [this, index](int key) {
        if (key == 0) return;
        for (size_t i = 0; i < rows_.size(); ++i)
            if (i != index && rows_[i].key->currentIndex() == key) rows_[i].key->setCurrentIndex(0);
    });
    connect(row.color, &QToolButton::clicked, this, [this, index] { choose_color(index); });
}

void ClassEditor::paint_color(size_t row) {
    const QColor color(rows_[row].hue);
    rows_[row].color->setIcon(swatch(color.isValid() ? color : colors().faint));
}

void ClassEditor::choose_color(size_t row) {
    QMenu menu(this);
    for (const char* hue : kHues)
        menu.addAction(swatch(QColor(hue)), QString(hue), this, [this, row, hue] {
            rows_[row].hue = hue;
            paint_color(row);
        });
    menu.addSeparator();
    menu.addAction(tr("Another…"), this, [this, row] {
        const QColor chosen = QColorDialog::getColor(QColor(rows_[row].hue), this);
        if (!chosen.isValid()) return;
        rows_[row].hue = chosen.name();
        paint_color(row);
    });
    menu.exec(rows_[row].color->mapToGlobal(QPoint(0, rows_[row].color->height())));
}

std::vector<LabelClass> ClassEditor::classes() const {
    std::vector<LabelClass> out;
    for (const Row& row : rows_) {
        LabelClass c;
        c.name = row.name->text().simplified().replace(' ', '_').toStdString();
        const bool known =
            std::any_of(out.begin(), out.end(), [&](const LabelClass& o) { return o.name == c.name; });
        if (c.name.empty() || known) continue;
        c.color = row.hue.toStdString();
        c.hotkey = row.key->currentIndex() > 0 ? char('0' + row.key->currentIndex()) : char(0);
        c.hed = row.hed;
        out.push_back(c);
    }
    return out;
}

}  // namespace lockstep::ui
