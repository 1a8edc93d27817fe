// The window's icons, drawn as paths in the theme's colours: crisp at every pixel ratio. GUI thread.
#pragma once

#include <QIcon>

namespace lockstep::ui {

QIcon logo();  // as resources/icons/lockstep.svg

enum class Icon { pause, play, sun, moon, help, open, plug, minus, plus, close, fullscreen, undo };

QIcon icon(Icon which, const QColor& color);

}  // namespace lockstep::ui
