// Shared geometry, in logical pixels: strips of fixed width keep the time axes of all views aligned,
// and no label can move the layout.
#pragma once

#include <QString>
#include <cmath>

namespace lockstep::ui {

constexpr int kGutter = 112;   // names, left of the plots
constexpr int kStrip = 76;     // scale bars, right of the plots
constexpr int kLabelRow = 26;  // label chips above the lanes
constexpr int kAxisRow = 24;   // mm:ss below the lanes
constexpr int kGroupHead = 8;  // above each stream's lanes
constexpr int kGroupGap = 3;

// "m:ss", "h:mm:ss"; with decimals when `decimals` > 0.
inline QString clock_text(double seconds, int decimals = 0) {
    const bool negative = seconds < 0;
    const double scale = std::pow(10, decimals);
    double left = std::round(std::abs(seconds) * scale) / scale;
    const int hours = int(left / 3600);
    left -= hours * 3600.0;
    const int minutes = int(left / 60);
    left -= minutes * 60.0;
    const int width = decimals > 0 ? 3 + decimals : 2;
    QString text = hours > 0 ? QStringLiteral("%1:%2:%3")
                                   .arg(hours)
                                   .arg(minutes, 2, 10, QChar('0'))
                                   .arg(left, width, 'f', decimals, QChar('0'))
                             : QStringLiteral("%1:%2")
                                   .arg(minutes, 2, 10, QChar('0'))
                                   .arg(left, width, 'f', decimals, QChar('0'));
    return negative ? QStringLiteral("−") + text : text;
}

}  // namespace lockstep::ui
