// The numbers that say whether the session can be trusted: agreement, streams, link, clock, device.
// Painted as one calm column. GUI thread.
#pragma once

#include <QWidget>
#include <deque>

#include "acquisition/workbench.h"

namespace lockstep::ui {

class HealthPanel : public QWidget {
    Q_OBJECT
  public:
    explicit HealthPanel(QWidget* parent = nullptr);
    // seconds: of a steady clock, for rates.
    void set_status(const WorkbenchStatus& status, double seconds);
    QSize sizeHint() const override;

  protected:
    void paintEvent(QPaintEvent* event) override;

  private:
    class Column;
    int paint(QPainter* painter, int width) const;
    void paint_agreement(Column* column) const;
    void paint_link(Column* column) const;

    WorkbenchStatus status_;
    double link_rate_ = 0;  // bytes/s
    uint64_t last_bytes_ = 0;
    double last_seconds_ = -1;
    int height_ = 400;
};

}  // namespace lockstep::ui
