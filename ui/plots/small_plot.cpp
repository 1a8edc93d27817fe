#include "ui/plots/small_plot.h"

#include <qwt_plot_canvas.h>
#include <qwt_plot_curve.h>
#include <qwt_plot_grid.h>
#include <qwt_plot_layout.h>
#include <qwt_plot_marker.h>
#include <qwt_scale_div.h>
#include <qwt_scale_draw.h>
#include <qwt_scale_engine.h>
#include <qwt_scale_widget.h>

#include <cmath>

#include "ui/theme.h"

namespace lockstep::ui {

namespace {

// Numbers alone: no line along them, no ticks; the last one carries the unit.
class QuietScale : public QwtScaleDraw {
  public:
    explicit QuietScale(QString unit = {}) : unit_(std::move(unit)) {
        enableComponent(QwtAbstractScaleDraw::Backbone, false);
        enableComponent(QwtAbstractScaleDraw::Ticks, false);
        setSpacing(4);
    }
    QwtText label(double value) const override {
        const double top = scaleDiv().upperBound();
        const QList<double> ticks = scaleDiv().ticks(QwtScaleDiv::MajorTick);
        const bool last = !ticks.isEmpty() && value >= ticks.last() - 1e-9 * std::abs(top);
        const QString number = std::abs(value) < 1e-12   ? QStringLiteral("0")
                               : std::abs(value) >= 1000 ? QString::number(value / 1000, 'g', 3) + 'k'
                                                         : QString::number(value, 'g', 3);
        return QwtText(last && !unit_.isEmpty() ? number + ' ' + unit_ : number);
    }

  private:
    QString unit_;
};

}  // namespace

SmallPlot::SmallPlot(const QString& x_unit, bool logarithmic, QWidget* parent)
    : QwtPlot(parent), x_unit_(x_unit) {
    setFrameStyle(QFrame::NoFrame);
    auto* canvas_widget = new QwtPlotCanvas(this);
    canvas_widget->setFrameStyle(QFrame::NoFrame);
    setCanvas(canvas_widget);
    setAxisScaleDraw(xBottom, new QuietScale(x_unit));
    setAxisScaleDraw(yLeft, new QuietScale);
    if (logarithmic) setAxisScaleEngine(yLeft, new QwtLogScaleEngine);
    setAxisMaxMajor(xBottom, 6);
    setAxisMaxMajor(yLeft, 4);
    setAxisMaxMinor(xBottom, 0);
    setAxisMaxMinor(yLeft, 0);
    plotLayout()->setAlignCanvasToScales(true);
    grid_ = new QwtPlotGrid;
    grid_->enableXMin(false);
    grid_->attach(this);
    marker_ = new QwtPlotMarker;
    marker_->setLineStyle(QwtPlotMarker::VLine);
    marker_->setVisible(false);
    marker_->attach(this);
    for (int axis : {int(yLeft), int(xBottom)})
        axisWidget(axis)->setMargin(0);
    setAutoReplot(false);
    restyle();
}

void SmallPlot::restyle() {
    const Colors& c = colors();
    QPalette palette = this->palette();
    palette.setColor(QPalette::Window, c.panel);
    palette.setColor(QPalette::WindowText, c.dim);
    palette.setColor(QPalette::Text, c.dim);
    setPalette(palette);
    setAutoFillBackground(true);
    setCanvasBackground(c.panel);
    grid_->setPen(c.grid, 0);
    for (int axis : {int(yLeft), int(xBottom)}) {
        setAxisFont(axis, text_font(7.5));
        axisWidget(axis)->setPalette(palette);
    }
    replot();
}

void SmallPlot::set_curve(int index, const QColor& color, const std::vector<double>& x,
                          const std::vector<double>& y, bool filled) {
    while (int(curves_.size()) <= index) {
        auto* curve = new QwtPlotCurve;
        curve->setRenderHint(QwtPlotItem::RenderAntialiased);
        curve->setPaintAttribute(QwtPlotCurve::FilterPoints);
        curve->attach(this);
        curves_.push_back(curve);
    }
    QwtPlotCurve* curve = curves_[size_t(index)];
    curve->setPen(color, 1);
    QColor under = color;
    under.setAlphaF(0.12);
    curve->setBrush(filled ? QBrush(under) : QBrush(Qt::NoBrush));
    curve->setSamples(x.data(), y.data(), int(std::min(x.size(), y.size())));
}

void SmallPlot::set_curves(int count) {
    while (int(curves_.size()) > count) {
        delete curves_.back();
        curves_.pop_back();
    }
}

void SmallPlot::set_x(double low, double high, double step) {
    setAxisScale(xBottom, low, high, step);
}

void SmallPlot::set_y(double low, double high) {
    setAxisScale(yLeft, low, high);
    // A filled curve is filled down to here.
    for (QwtPlotCurve* curve : curves_)
        curve->setBaseline(low);
}

void SmallPlot::mark(double x, const QColor& color) {
    marker_->setVisible(std::isfinite(x));
    if (!std::isfinite(x)) return;
    marker_->setLinePen(color, 0, Qt::DashLine);
    marker_->setXValue(x);
}

}  // namespace lockstep::ui
