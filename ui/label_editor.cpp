#include "ui/label_editor.h"

#include <QComboBox>
#include <QDoubleValidator>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <algorithm>
#include <tuple>

#include "ui/theme.h"

namespace lockstep::ui {

namespace {
QString time_text(double seconds) {
    return QString::number(seconds, 'f', 3);
}
}  // namespace

LabelEditor::LabelEditor(const Label& label, const std::vector<LabelClass>& classes,
                         const std::vector<StreamInfo>& streams, QWidget* parent)
    : QFrame(parent, Qt::Popup | Qt::FramelessWindowHint), label_(label) {
    setObjectName("card");
    setAttribute(Qt::WA_DeleteOnClose);
    auto* grid = new QGridLayout(this);
    grid->setContentsMargins(16, 14, 16, 14);
    grid->setHorizontalSpacing(10);
    grid->setVerticalSpacing(8);
    int row = 0;
    auto line = [&](const QString& text, QWidget* field) {
        auto* name = new QLabel(text);
        name->setObjectName("dim");
        grid->addWidget(name, row, 0);
        grid->addWidget(field, row++, 1, 1, 2);
    };
    class_ = new QComboBox;
    class_->setEditable(true);
    for (const LabelClass& c : classes)
        class_->addItem(QString::fromStdString(c.name));
    class_->setCurrentText(QString::fromStdString(label.label_class));
    line(tr("Class"), class_);
    start_ = new QLineEdit(time_text(label.start));
    stop_ = new QLineEdit(time_text(label.stop));
    auto* times = new QHBoxLayout;
    for (QLineEdit* field : {start_, stop_}) {
        auto* validator = new QDoubleValidator(0, 1e9, 6, field);
        validator->setLocale(QLocale::c());
        field->setValidator(validator);
        field->setFixedWidth(96);
        times->addWidget(field);
    }
    auto* time_name = new QLabel(tr("From, to (s)"));
    time_name->setObjectName("dim");
    grid->addWidget(time_name, row, 0);
    grid->addLayout(times, row++, 1, 1, 2);
    scope_ = new QComboBox;
    scope_->addItem(tr("all streams"), QPoint(-1, -1));
    for (size_t s = 0; s < streams.size(); ++s) {
        scope_->addItem(QString::fromStdString(streams[s].name), QPoint(int(s), -1));
        for (size_t c = 0; c < streams[s].channels.size(); ++c) {
            scope_->addItem(
                QString::fromStdString("   " + streams[s].name + " · " + streams[s].channels[c].name),
                QPoint(int(s), int(c)));
        }
    }
    scope_->setCurrentIndex(std::max(0, scope_->findData(QPoint(label.stream, label.channel))));
    line(tr("On"), scope_);
    note_ = new QLineEdit(QString::fromStdString(label.note));
    note_->setPlaceholderText(tr("note"));
    line(tr("Note"), note_);
    auto* remove = new QPushButton(tr("Delete"));
    auto* keep = new QPushButton(tr("Save"));
    keep->setObjectName("primary");
    keep->setDefault(true);
    auto* buttons = new QHBoxLayout;
    buttons->addWidget(remove);
    buttons->addStretch();
    buttons->addWidget(keep);
    grid->addLayout(buttons, row, 0, 1, 3);
    connect(remove, &QPushButton::clicked, this, [this] {
        if (on_remove) on_remove();
        close();
    });
    connect(keep, &QPushButton::clicked, this, &LabelEditor::save);
    for (QLineEdit* field : {start_, stop_, note_})
        connect(field, &QLineEdit::returnPressed, this, &LabelEditor::save);
    note_->setFocus();
}

void LabelEditor::save() {
    Label after = label_;
    after.label_class = class_->currentText().trimmed().toStdString();
    after.note = note_->text().toStdString();
    // A time that nobody touched keeps all its digits.
    auto time_of = [](const QLineEdit* field, double was) {
        return field->text() == time_text(was) ? was : field->text().toDouble();
    };
    std::tie(after.start, after.stop) =
        std::minmax({time_of(start_, label_.start), time_of(stop_, label_.stop)});
    const QPoint scope = scope_->currentData().toPoint();
    after.stream = scope.x();
    after.channel = scope.y();
    if (on_save) on_save(after);
    close();
}

}  // namespace lockstep::ui
