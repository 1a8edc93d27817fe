#include "ui/connect_page.h"

#include <QComboBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QVBoxLayout>

#include "ui/icons.h"
#include "ui/theme.h"

namespace lockstep::ui {

namespace {

QLabel* label(const QString& text, double points, bool bold, const char* name = "") {
    auto* l = new QLabel(text);
    l->setFont(text_font(points, bold));
    l->setObjectName(name);
    return l;
}

// In line with the field beside it.
QLabel* field_name(const QString& text) {
    QLabel* l = label(text, 9, false, "dim");
    l->setMinimumHeight(31);
    return l;
}

}  // namespace

ConnectPage::ConnectPage(Workbench* workbench, QWidget* parent)
    : QWidget(parent), workbench_(workbench), drivers_(workbench->drivers()) {
    setObjectName("page");
    setAttribute(Qt::WA_StyledBackground);
    auto* outer = new QVBoxLayout(this);
    column_ = new QWidget;
    column_->setFixedWidth(560);
    auto* v = new QVBoxLayout(column_);
    v->setContentsMargins(0, 0, 0, 0);
    v->setSpacing(6);
    v->addWidget(label(tr("Connect a device"), 20, true));
    v->addWidget(label(tr("See its signals, record and label them, and watch device and computer agree."), 10,
                       false, "dim"));
    v->addSpacing(14);

    auto* card = new QFrame;
    card->setObjectName("card");
    auto* inside = new QVBoxLayout(card);
    inside->setContentsMargins(10, 10, 10, 10);
    list_ = new QListWidget;
    list_->setFont(text_font(10));
    list_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    inside->addWidget(list_);
    none_ = label(tr("Looking for devices…"), 9.5, false, "dim");
    none_->setAlignment(Qt::AlignCenter);
    none_->setMinimumHeight(56);
    inside->addWidget(none_);
    v->addWidget(card);
    v->addSpacing(10);

    form_holder_ = new QWidget;
    form_holder_->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
    form_ = new QFormLayout(form_holder_);
    form_->setContentsMargins(0, 0, 0, 0);
    form_->setHorizontalSpacing(14);
    form_->setVerticalSpacing(8);
    form_->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    driver_ = new QComboBox;
    for (const DriverInfo& d : drivers_)
        driver_->addItem(QString::fromStdString(d.text));
    address_ = new QLineEdit;
    form_->addRow(field_name(tr("Connection")), driver_);
    form_->addRow(field_name(tr("Address")), address_);
    v->addWidget(form_holder_);
    uri_ = new QLineEdit;
    uri_->setPlaceholderText("serial:/dev/ttyACM0?baud=921600");
    form_->addRow(field_name(tr("URI")), uri_);
    v->addSpacing(12);

    auto* buttons = new QHBoxLayout;
    auto* open = new QPushButton(tr("Open a recording…"));
    open->setIcon(icon(Icon::open, colors().dim));
    connect_ = new QPushButton(tr("Connect"));
    connect_->setObjectName("primary");
    connect_->setMinimumWidth(120);
    for (QPushButton* b : {open, connect_})
        b->setMinimumHeight(34);
    buttons->addWidget(open);
    buttons->addStretch();
    buttons->addWidget(connect_);
    v->addLayout(buttons);

    outer->addStretch(2);
    outer->addWidget(column_, 0, Qt::AlignHCenter);
    outer->addStretch(3);

    connect(driver_, QOverload<int>::of(&QComboBox::currentIndexChanged), this, &ConnectPage::choose_driver);
    connect(address_, &QLineEdit::textEdited, this, &ConnectPage::build_uri);
    connect(list_, &QListWidget::currentRowChanged, this, [this](int row) {
        if (row >= 0 && size_t(row) < found_.size()) show_found(found_[size_t(row)].uri);
    });
    // A double click, or Enter.
    connect(list_, &QListWidget::itemActivated, this, [this] { emit connect_wanted(uri()); });
    connect(connect_, &QPushButton::clicked, this, [this] { emit connect_wanted(uri()); });
    connect(uri_, &QLineEdit::returnPressed, this, [this] { emit connect_wanted(uri()); });
    connect(open, &QPushButton::clicked, this, &ConnectPage::open_wanted);
    choose_driver(0);
    uri_->clear();
}

QString ConnectPage::uri() const {
    return uri_->text().trimmed();
}

// Where the window is low, the list gives way before the form does.
void ConnectPage::fit_list() {
    constexpr int kLine = 38;
    column_->layout()->activate();
    const int others = column_->sizeHint().height() - (list_->isHidden() ? 0 : list_->height());
    const int lines = std::clamp((height() - 32 - others) / kLine, 2, 6);
    list_->setFixedHeight(std::min(lines, int(found_.size())) * kLine + 2);
}

void ConnectPage::resizeEvent(QResizeEvent*) {
    fit_list();
}

void ConnectPage::choose_driver(int index) {
    for (QWidget* option : options_)
        form_->removeRow(option);
    options_.clear();
    if (index < 0 || size_t(index) >= drivers_.size()) return;
    const DriverInfo& driver = drivers_[size_t(index)];
    address_->clear();  // another connection's
    address_->setPlaceholderText(QString::fromStdString(driver.address_hint));
    for (size_t i = 0; i < driver.options.size(); ++i) {
        const OptionInfo& option = driver.options[i];
        QWidget* field = nullptr;
        if (option.choices.empty()) {
            auto* line = new QLineEdit;
            line->setPlaceholderText(QString::fromStdString(option.fallback));
            connect(line, &QLineEdit::textEdited, this, &ConnectPage::build_uri);
            field = line;
        } else {
            auto* box = new QComboBox;
            for (const std::string& choice : option.choices)
                box->addItem(QString::fromStdString(choice));
            box->setCurrentText(QString::fromStdString(option.fallback));
            connect(box, QOverload<int>::of(&QComboBox::activated), this, &ConnectPage::build_uri);
            field = box;
        }
        field->setProperty("option", QString::fromStdString(option.name));
        field->setProperty("fallback", QString::fromStdString(option.fallback));
        form_->insertRow(2 + int(i), field_name(QString::fromStdString(option.text)), field);
        options_.push_back(field);
    }
    build_uri();
}

// The form says what the list does.
void ConnectPage::show_found(const std::string& found) {
    const auto uri = Uri::parse(found);
    for (size_t i = 0; uri && i < drivers_.size(); ++i) {
        if (drivers_[i].scheme != uri->scheme) continue;
        driver_->setCurrentIndex(int(i));
        address_->setText(QString::fromStdString(uri->address));
        for (QWidget* field : options_) {
            const QString value =
                QString::fromStdString(uri->value(field->property("option").toString().toStdString()));
            if (auto* line = qobject_cast<QLineEdit*>(field)) line->setText(value);
            if (auto* box = qobject_cast<QComboBox*>(field))
                box->setCurrentText(value.isEmpty() ? field->property("fallback").toString() : value);
        }
    }
    uri_->setText(QString::fromStdString(found));
}

void ConnectPage::build_uri() {
    const int index = driver_->currentIndex();
    if (index < 0 || size_t(index) >= drivers_.size()) return;
    Uri uri;
    uri.scheme = drivers_[size_t(index)].scheme;
    uri.address = address_->text().trimmed().toStdString();
    if (uri.address.empty()) uri.address = drivers_[size_t(index)].address_hint;
    for (QWidget* field : options_) {
        auto* box = qobject_cast<QComboBox*>(field);
        auto* line = qobject_cast<QLineEdit*>(field);
        const QString value = box ? box->currentText() : line->text().trimmed();
        if (value.isEmpty() || value == field->property("fallback").toString()) continue;
        uri.query.emplace_back(field->property("option").toString().toStdString(), value.toStdString());
    }
    uri_->setText(QString::fromStdString(uri.text()));
}

void ConnectPage::reload(const WorkbenchStatus& status) {
    const bool busy = status.state == WorkbenchState::connecting;
    connect_->setEnabled(!busy);
    connect_->setText(busy ? tr("Connecting…") : tr("Connect"));
    std::vector<FoundDevice> found = workbench_->found_devices();
    bool same = found.size() == found_.size();
    for (size_t i = 0; same && i < found.size(); ++i)
        same = found[i].uri == found_[i].uri && found[i].text == found_[i].text;
    none_->setVisible(found.empty());
    list_->setVisible(!found.empty());
    if (same) return;
    const QString kept = uri();
    found_ = found;
    list_->blockSignals(true);
    list_->clear();
    for (const FoundDevice& d : found_) {
        auto* item = new QListWidgetItem(icon(Icon::plug, colors().dim), QString::fromStdString(d.text));
        item->setToolTip(QString::fromStdString(d.uri));
        item->setSizeHint(QSize(0, 38));
        list_->addItem(item);
    }
    list_->blockSignals(false);
    fit_list();
    int row = 0;
    bool known = false;
    for (size_t i = 0; i < found_.size(); ++i) {
        if (QString::fromStdString(found_[i].uri) == kept) row = int(i), known = true;
    }
    if (kept.isEmpty() || known) list_->setCurrentRow(row);
}

}  // namespace lockstep::ui
