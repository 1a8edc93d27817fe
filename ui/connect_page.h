// What an idle window shows: the devices in reach, a form for any other, a session to open. The form
// is made from the drivers' option data. GUI thread.
#pragma once

#include <QWidget>
#include <vector>

#include "acquisition/workbench.h"

class QComboBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QListWidget;
class QPushButton;

namespace lockstep::ui {

class ConnectPage : public QWidget {
    Q_OBJECT
  public:
    explicit ConnectPage(Workbench* workbench, QWidget* parent = nullptr);
    // Once a second while visible: the devices found and what is being connected.
    void reload(const WorkbenchStatus& status);
    QString uri() const;

  signals:
    void connect_wanted(const QString& uri);
    void open_wanted();

  private:
    void choose_driver(int index);
    void build_uri();
    void show_found(const std::string& found);
    void fit_list();
    void resizeEvent(QResizeEvent* event) override;

    Workbench* workbench_;
    std::vector<DriverInfo> drivers_;
    std::vector<FoundDevice> found_;
    QWidget* column_ = nullptr;
    QListWidget* list_ = nullptr;
    QLabel* none_ = nullptr;
    QComboBox* driver_ = nullptr;
    QLineEdit* address_ = nullptr;
    QWidget* form_holder_ = nullptr;
    QFormLayout* form_ = nullptr;
    std::vector<QWidget*> options_;
    QLineEdit* uri_ = nullptr;
    QPushButton* connect_ = nullptr;
};

}  // namespace lockstep::ui
