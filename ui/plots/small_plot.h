// A quiet small plot on Qwt in the window's colours: hairline grid, no frame, pens of width 1. GUI thread.
#pragma once

#include <qwt_plot.h>

#include <QColor>
#include <vector>

class QwtPlotCurve;
class QwtPlotGrid;
class QwtPlotMarker;

namespace lockstep::ui {

class SmallPlot : public QwtPlot {
    Q_OBJECT
  public:
    SmallPlot(const QString& x_unit, bool logarithmic, QWidget* parent = nullptr);
    // Curves by index; a new index makes a new curve.
    void set_curve(int index, const QColor& color, const std::vector<double>& x, const std::vector<double>& y,
                   bool filled = false);
    void set_curves(int count);  // forgets those above
    void set_x(double low, double high, double step = 0);
    void set_y(double low, double high);
    void mark(double x, const QColor& color);  // a vertical hairline; NaN takes it away
    void restyle();                            // after a change of theme
    QSize sizeHint() const override { return {200, 150}; }
    QSize minimumSizeHint() const override { return {120, 110}; }

  private:
    std::vector<QwtPlotCurve*> curves_;  // Qwt's plot owns them
    QwtPlotGrid* grid_ = nullptr;
    QwtPlotMarker* marker_ = nullptr;
    QString x_unit_;
};

}  // namespace lockstep::ui
