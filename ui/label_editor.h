// A small popup that edits one label: class, times, note, scope. GUI thread.
#pragma once

#include <QFrame>
#include <functional>

#include "acquisition/workbench.h"

class QComboBox;
class QLineEdit;

namespace lockstep::ui {

class LabelEditor : public QFrame {
    Q_OBJECT
  public:
    LabelEditor(const Label& label, const std::vector<LabelClass>& classes,
                const std::vector<StreamInfo>& streams, QWidget* parent);
    std::function<void(const Label&)> on_save;
    std::function<void()> on_remove;

  private:
    void save();

    Label label_;
    QComboBox* class_ = nullptr;
    QComboBox* scope_ = nullptr;
    QLineEdit* start_ = nullptr;
    QLineEdit* stop_ = nullptr;
    QLineEdit* note_ = nullptr;
};

}  // namespace lockstep::ui
