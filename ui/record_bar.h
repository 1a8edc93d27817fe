// The red button and what it is doing: time, file, room on the disk. GUI thread.
#pragma once

#include <QWidget>

#include "acquisition/workbench.h"

namespace lockstep::ui {

class RecordBar : public QWidget {
    Q_OBJECT
  public:
    explicit RecordBar(QWidget* parent = nullptr);
    void set_status(const WorkbenchStatus& status);
    QSize sizeHint() const override;

  signals:
    void clicked();
    void details_wanted();  // where to record, whom

  protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void enterEvent(QEvent* event) override;
    void leaveEvent(QEvent* event) override;
    bool event(QEvent* event) override;

  private:
    QRectF button() const;
    WorkbenchStatus status_;
    bool hover_ = false;
};

QString space_text(double seconds);

}  // namespace lockstep::ui
