// Colours and type of the window. The colours live in resources/themes/*.json; what is drawn by hand
// and what Qt draws (Fusion style) read the same ones. GUI thread.
#pragma once

#include <QApplication>
#include <QColor>
#include <QFont>
#include <array>

namespace lockstep::ui {

enum class Theme { light, dark };

struct Colors {
    QColor window, panel, canvas, grid, border, text, dim, faint, accent, accent_text, field, hover, pressed;
    QColor record, good, warn, bad, calm, lost;
    QColor red, infrared, green;  // PPG channels
    std::array<QColor, 4> traces;
};

// Sets style, palette and style sheet, and stops with a clear message when no font is installed (the
// offscreen platform would draw empty text). May be called again at any time.
void apply_theme(QApplication& app, Theme theme);
Theme current_theme();
const Colors& colors();

// Fonts in points of the design: 9 = body. `bold` is a medium-heavy weight.
QFont text_font(double points, bool bold = false);
QColor mix(const QColor& a, const QColor& b, double of_b);

}  // namespace lockstep::ui
