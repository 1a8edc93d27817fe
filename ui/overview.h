// The whole session on one strip: labels, disagreements, gaps and what is in view. Click or drag moves
// the view. GUI thread.
#pragma once

#include <QWidget>

#include "acquisition/workbench.h"

namespace lockstep::ui {

class LaneView;

class Overview : public QWidget {
    Q_OBJECT
  public:
    Overview(Workbench* workbench, LaneView* lanes, QWidget* parent = nullptr);
    void reload();

  protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;

  private:
    void build();
    double end() const;
    QRect track() const;
    void go(double x);

    Workbench* workbench_;
    LaneView* lanes_;
    QImage image_;
    const TraceSource* drawn_ = nullptr;
    uint64_t revision_ = ~uint64_t(0);
};

}  // namespace lockstep::ui
