// The label classes as keys to press: number, name, colour; a click does what the key does. A class whose
// label is open is filled. GUI thread.
#pragma once

#include <QWidget>
#include <vector>

#include "acquisition/session_store.h"

namespace lockstep::ui {

class LaneView;

class LabelBar : public QWidget {
    Q_OBJECT
  public:
    explicit LabelBar(LaneView* lanes, QWidget* parent = nullptr);
    void reload();  // classes, open labels or theme changed

  signals:
    void edit_wanted();

  protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void leaveEvent(QEvent* event) override;
    void resizeEvent(QResizeEvent* event) override;
    bool event(QEvent* event) override;

  private:
    struct Chip {
        LabelClass label_class;  // none for the last one, which edits
        QRect area;
    };
    void place();
    const Chip* chip_at(const QPoint& pos) const;

    LaneView* lanes_;
    std::vector<Chip> chips_;
    int hover_ = -1;
    int lead_ = 25;  // px before a chip's name
};

}  // namespace lockstep::ui
