// The label classes in a form: name, key 1-9, colour. A key belongs to one class; the last taker has it.
// GUI thread.
#pragma once

#include <QDialog>
#include <vector>

#include "acquisition/session_store.h"

class QComboBox;
class QGridLayout;
class QLineEdit;
class QToolButton;

namespace lockstep::ui {

class ClassEditor : public QDialog {
    Q_OBJECT
  public:
    explicit ClassEditor(const std::vector<LabelClass>& classes, QWidget* parent = nullptr);
    // Rows without a name are left out; of a name given twice the first stays.
    std::vector<LabelClass> classes() const;

  private:
    struct Row {
        QComboBox* key = nullptr;
        QToolButton* color = nullptr;
        QLineEdit* name = nullptr;
        std::string hed;
        QString hue;
    };
    void add(const LabelClass& label_class);
    void choose_color(size_t row);
    void paint_color(size_t row);

    QGridLayout* grid_ = nullptr;
    std::vector<Row> rows_;
};

}  // namespace lockstep::ui
