// Device and host predictions on the lanes' time axis: per model a row for each side and the verdict
// between them. What is the same stays calm; what differs shouts. GUI thread.
#pragma once

#include <QWidget>

#include "acquisition/workbench.h"
#include "ui/time_axis.h"

namespace lockstep::ui {

class LaneView;

class PredictionStrip : public QWidget {
    Q_OBJECT
  public:
    PredictionStrip(Workbench* workbench, LaneView* lanes, QWidget* parent = nullptr);
    void reload();  // the newest windows of what the lanes show
    QSize sizeHint() const override;

  protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;

  private:
    struct Row {
        int model = 0;
        int top = 0;  // of the model's block
    };
    void paint_model(QPainter* painter, size_t model, int top);
    QRectF cell(const WindowRow& row, double hop, int y, int height) const;
    double hop_of(int model) const;

    Workbench* workbench_;
    LaneView* lanes_;
    std::vector<ModelView> models_;
    std::vector<WindowRow> rows_;
};

// "walking 0.93", "72 bpm": the score that matters, in words.
QString score_text(const ModelView& model, const std::vector<float>& scores);
QString verdict_text(Verdict verdict);

}  // namespace lockstep::ui
