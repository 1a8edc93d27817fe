// One channel looked at closer, and how the link has been: a live spectrum with the numbers of the last
// seconds, and trends of what was received. Reads the samples as they came, before any filter. GUI thread.
#pragma once

#include <QElapsedTimer>
#include <QWidget>
#include <deque>

#include "acquisition/workbench.h"

class QLabel;

namespace lockstep::ui {

class LaneView;
class SmallPlot;

class SignalPanel : public QWidget {
    Q_OBJECT
  public:
    explicit SignalPanel(LaneView* lanes, QWidget* parent = nullptr);
    // Every poll, also while hidden: trends have no holes. seconds: of a steady clock.
    void set_status(const WorkbenchStatus& status, double seconds);
    void reload();  // the selected channel or what is shown of it changed
    void restyle();

  protected:
    void showEvent(QShowEvent* event) override;

  private:
    struct Moment {
        double seconds = 0;
        double bytes_per_second = 0;
        std::vector<double> received;  // share of what was sent since the last moment, %, by stream
    };
    void show_spectrum();
    void show_trends();
    QWidget* numbers();

    LaneView* lanes_;
    QLabel* name_ = nullptr;
    QLabel* rms_ = nullptr;
    QLabel* range_ = nullptr;
    QLabel* mean_ = nullptr;
    QLabel* peak_ = nullptr;
    QLabel* about_ = nullptr;
    QLabel* spectrum_head_ = nullptr;
    SmallPlot* spectrum_ = nullptr;
    QWidget* trends_ = nullptr;
    SmallPlot* rate_ = nullptr;
    SmallPlot* received_ = nullptr;
    QLabel* legend_ = nullptr;
    std::deque<Moment> moments_;
    std::vector<StreamAccount> before_;
    uint64_t bytes_before_ = 0;
    double seconds_before_ = -1;
    bool live_ = false;
};

}  // namespace lockstep::ui
