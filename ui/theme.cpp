#include "ui/theme.h"

#include <QFile>
#include <QFontDatabase>
#include <QFontInfo>
#include <QIcon>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QPalette>
#include <QStyleFactory>

#include "ui/icons.h"

// Outside any namespace, as Qt's macro wants it: a static library's resources are not registered by
// themselves.
static void init_resources() {
    Q_INIT_RESOURCE(resources);
}

namespace lockstep::ui {

namespace {

Colors g_colors;
Theme g_theme = Theme::light;

Colors load(Theme theme) {
    QFile file(theme == Theme::dark ? ":/lockstep/themes/dark.json" : ":/lockstep/themes/light.json");
    if (!file.open(QIODevice::ReadOnly)) qFatal("the theme %s is not built in", qPrintable(file.fileName()));
    const QJsonObject json = QJsonDocument::fromJson(file.readAll()).object();
    auto get = [&](const char* name) {
        QColor color(json.value(name).toString());
        if (!color.isValid()) qFatal("%s: no colour \"%s\"", qPrintable(file.fileName()), name);
        return color;
    };
    Colors c;
    c.window = get("window"), c.panel = get("panel"), c.canvas = get("canvas"), c.grid = get("grid");
    c.border = get("border"), c.text = get("text"), c.dim = get("dim"), c.faint = get("faint");
    c.accent = get("accent"), c.accent_text = get("accent_text"), c.field = get("field");
    c.hover = get("hover"), c.pressed = get("pressed"), c.record = get("record"), c.good = get("good");
    c.warn = get("warn"), c.bad = get("bad"), c.calm = get("calm"), c.lost = get("lost");
    c.red = get("red"), c.infrared = get("infrared"), c.green = get("green");
    const QJsonArray traces = json.value("traces").toArray();
    for (int i = 0; i < int(c.traces.size()); ++i)
        c.traces[size_t(i)] = QColor(traces.at(i).toString());
    return c;
}

QPalette palette_of(const Colors& c) {
    QPalette p;
    p.setColor(QPalette::Window, c.window);
    p.setColor(QPalette::WindowText, c.text);
    p.setColor(QPalette::Base, c.field);
    p.setColor(QPalette::AlternateBase, c.hover);
    p.setColor(QPalette::Text, c.text);
    p.setColor(QPalette::Button, c.panel);
    p.setColor(QPalette::ButtonText, c.text);
    p.setColor(QPalette::BrightText, c.record);
    p.setColor(QPalette::ToolTipBase, c.panel);
    p.setColor(QPalette::ToolTipText, c.text);
    p.setColor(QPalette::Highlight, c.accent);
    p.setColor(QPalette::HighlightedText, c.accent_text);
    p.setColor(QPalette::Link, c.accent);
    p.setColor(QPalette::PlaceholderText, c.faint);
    for (auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText}) {
        p.setColor(QPalette::Disabled, role, c.faint);
    }
    return p;
}

QString sheet_of(const Colors& c) {
    QString s = R"(
QToolTip { background: @panel; color: @text; border: 1px solid @border; padding: 5px 7px; }
QWidget#card, QFrame#card { background: @panel; border: 1px solid @border; border-radius: 8px; }
QWidget#bar { background: @panel; border-bottom: 1px solid @border; }
QWidget#side { background: @panel; border-left: 1px solid @border; }
QWidget#page { background: @canvas; }
QLabel#dim { color: @dim; }
QLabel#faint { color: @faint; }
QFrame#line { background: @border; border: none; }
QPushButton { background: @field; border: 1px solid @border; border-radius: 6px; padding: 5px 12px; color: @text; }
QPushButton:hover { background: @hover; }
QPushButton:pressed { background: @pressed; }
QPushButton:disabled { color: @faint; }
QPushButton:focus { border-color: @accent; }
QPushButton#primary { background: @accent; border-color: @accent; color: @accent_text; }
QPushButton#primary:disabled { background: @pressed; border-color: @pressed; color: @faint; }
QToolButton { background: transparent; border: none; border-radius: 6px; padding: 5px 8px; color: @dim; }
QToolButton:hover { background: @hover; color: @text; }
QToolButton:pressed { background: @pressed; }
QToolButton:checked { background: @pressed; color: @text; }
QToolButton#segment { padding: 4px 8px; border-radius: 5px; min-width: 16px; }
QToolButton#segment:checked { background: @accent; color: @accent_text; }
QToolButton#live, QToolButton#live:hover { background: @accent; color: @accent_text; }
QToolButton::menu-indicator { image: none; width: 0; }
QLineEdit, QPlainTextEdit { min-height: 19px; background: @field; border: 1px solid @border; border-radius: 6px; padding: 5px 8px;
  selection-background-color: @accent; selection-color: @accent_text; }
QLineEdit:focus, QPlainTextEdit:focus { border-color: @accent; }
QComboBox { min-height: 19px; background: @field; border: 1px solid @border; border-radius: 6px; padding: 5px 8px; color: @text; }
QComboBox:focus, QComboBox:on { border-color: @accent; }
QComboBox::drop-down { border: none; width: 26px; }
QComboBox::down-arrow { image: url(@arrow); width: 10px; height: 6px; }
QComboBox QLineEdit { border: none; padding: 0; background: transparent; }
QComboBox QAbstractItemView { background: @panel; border: 1px solid @border; color: @text; outline: none;
  selection-background-color: @hover; selection-color: @text; padding: 4px; }
QWidget#panel { background: @panel; }
QWidget#rows { background: transparent; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QListWidget { background: transparent; border: none; outline: none; }
QListWidget::item { border-radius: 6px; padding: 8px 10px; margin: 1px 0; color: @text; }
QListWidget::item:hover { background: @hover; }
QListWidget::item:selected { background: @pressed; color: @text; }
QMenu { background: @panel; border: 1px solid @border; padding: 5px; }
QMenu::item { padding: 5px 22px 5px 22px; border-radius: 4px; color: @text; }
QMenu::item:selected { background: @hover; }
QMenu::item:disabled { color: @faint; }
QMenu::separator { height: 1px; background: @border; margin: 4px 6px; }
QScrollArea { background: transparent; border: none; }
QScrollBar:vertical { background: transparent; width: 8px; margin: 0; }
QScrollBar::handle:vertical { background: @pressed; border-radius: 4px; min-height: 28px; }
QScrollBar::add-line, QScrollBar::sub-line { height: 0; width: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
)";
    const std::pair<const char*, QColor> names[] = {{"@accent_text", c.accent_text},
                                                    {"@panel", c.panel},
                                                    {"@text", c.text},
                                                    {"@border", c.border},
                                                    {"@dim", c.dim},
                                                    {"@faint", c.faint},
                                                    {"@field", c.field},
                                                    {"@hover", c.hover},
                                                    {"@pressed", c.pressed},
                                                    {"@accent", c.accent},
                                                    {"@canvas", c.canvas}};
    s.replace("@arrow", g_theme == Theme::dark ? ":/lockstep/icons/arrow_dark.svg"
                                               : ":/lockstep/icons/arrow_light.svg");
    for (const auto& [name, color] : names)
        s.replace(name, color.name());
    return s;
}

}  // namespace

void apply_theme(QApplication& app, Theme theme) {
    init_resources();
    g_theme = theme;
    g_colors = load(theme);
    if (QFontDatabase().families().isEmpty() || QFontInfo(app.font()).family().isEmpty()) {
        qFatal("no fonts are installed, so that no text could be drawn; install fonts-dejavu-core");
    }
    app.setStyle(QStyleFactory::create("Fusion"));
    app.setFont(text_font(9));
    app.setPalette(palette_of(g_colors));
    app.setStyleSheet(sheet_of(g_colors));
    app.setWindowIcon(logo());
}

Theme current_theme() {
    return g_theme;
}

const Colors& colors() {
    return g_colors;
}

QFont text_font(double points, bool bold) {
    // Looked up once: fonts do not come and go, and asking for the families is slow.
    static const QString family = [] {
        const QStringList installed = QFontDatabase().families();
        for (const char* wanted : {"Inter", "Lato", "Noto Sans", "Cantarell", "DejaVu Sans"})
            if (installed.contains(wanted)) return QString(wanted);
        return QApplication::font().family();
    }();
    QFont f(family);
    f.setPointSizeF(points);
    f.setWeight(bold ? QFont::DemiBold : QFont::Normal);
    f.setHintingPreference(QFont::PreferNoHinting);
    return f;
}

QColor mix(const QColor& a, const QColor& b, double of_b) {
    return QColor::fromRgbF(a.redF() + (b.redF() - a.redF()) * of_b,
                            a.greenF() + (b.greenF() - a.greenF()) * of_b,
                            a.blueF() + (b.blueF() - a.blueF()) * of_b);
}

}  // namespace lockstep::ui
