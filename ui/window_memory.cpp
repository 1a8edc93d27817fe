// What the window remembers from one time to the next, and what it asks before it leaves a recording.
#include <QCloseEvent>
#include <QDir>
#include <QMessageBox>
#include <QPushButton>
#include <QSettings>
#include <QStackedWidget>

#include "ui/label_bar.h"
#include "ui/lane_view.h"
#include "ui/main_window.h"

namespace lockstep::ui {

void MainWindow::remember(QSettings* settings) {
    settings_ = settings;
    restoreGeometry(settings->value("window/geometry").toByteArray());
    const QString theme = settings->value("window/theme").toString();
    if (!theme.isEmpty()) set_theme(theme == "dark" ? Theme::dark : Theme::light);
    lanes_->set_scroll(settings->value("view/scroll", false).toBool());
    show_signal(settings->value("view/signal", false).toBool());
    folder_ = settings->value("recording/folder", folder_).toString();
    task_ = settings->value("recording/task", task_).toString();
    std::vector<LabelClass> classes;
    const int n = settings->beginReadArray("label_classes");
    for (int i = 0; i < n; ++i) {
        settings->setArrayIndex(i);
        LabelClass c;
        c.name = settings->value("name").toString().toStdString();
        c.color = settings->value("color").toString().toStdString();
        const int key = settings->value("key").toInt();
        c.hotkey = key >= 1 && key <= 9 ? char('0' + key) : char(0);
        c.hed = settings->value("hed").toString().toStdString();
        if (!c.name.empty()) classes.push_back(std::move(c));
    }
    settings->endArray();
    if (!classes.empty() && !reviewing_) workbench_->set_label_classes(classes);
    lanes_->labels().reload_classes();
    keys_->reload();
    sync_tools();
}

void MainWindow::save() const {
    if (settings_ == nullptr) return;
    settings_->setValue("window/geometry", saveGeometry());
    settings_->setValue("window/theme", current_theme() == Theme::dark ? "dark" : "light");
    settings_->setValue("view/scroll", lanes_->scrolls());
    settings_->setValue("view/signal", sides_->currentIndex() == 1);
    settings_->setValue("recording/folder", folder_);
    settings_->setValue("recording/task", task_);
    if (reviewing_) return;  // the classes are that session's
    const std::vector<LabelClass> classes = workbench_->label_classes();
    settings_->beginWriteArray("label_classes", int(classes.size()));
    for (size_t i = 0; i < classes.size(); ++i) {
        settings_->setArrayIndex(int(i));
        settings_->setValue("name", QString::fromStdString(classes[i].name));
        settings_->setValue("color", QString::fromStdString(classes[i].color));
        settings_->setValue("key", classes[i].hotkey == 0 ? 0 : classes[i].hotkey - '0');
        settings_->setValue("hed", QString::fromStdString(classes[i].hed));
    }
    settings_->endArray();
}

// A running recording ends only when the person says so; what leads away from it asks here.
bool MainWindow::may_leave(const QString& end_and) {
    poll();
    if (status_.state != WorkbenchState::recording) return true;
    QMessageBox question(this);
    question.setWindowTitle(tr("Lockstep Studio"));
    question.setText(tr("A recording is running."));
    question.setInformativeText(tr("It can be ended here; the file will be whole.\n%1")
                                    .arg(QDir::toNativeSeparators(QString::fromStdString(status_.path))));
    QPushButton* end = question.addButton(end_and, QMessageBox::AcceptRole);
    QPushButton* go_on = question.addButton(tr("Go on recording"), QMessageBox::RejectRole);
    end->setObjectName("primary");
    question.setDefaultButton(go_on);
    question.setEscapeButton(go_on);
    question.exec();
    if (question.clickedButton() != end) return false;
    // It may have ended by itself meanwhile.
    if (workbench_->status().state == WorkbenchState::recording) end_recording();
    return true;
}

void MainWindow::end_recording() {
    lanes_->labels().close_all(lanes_->now());
    workbench_->stop_recording();
}

void MainWindow::open_path(const QString& path) {
    if (!path.isEmpty() && may_leave(tr("Stop and open"))) workbench_->open_session(path.toStdString());
    poll();
}

void MainWindow::closeEvent(QCloseEvent* event) {
    if (!may_leave(tr("Stop and close"))) {
        event->ignore();
        return;
    }
    save();
    event->accept();
}

}  // namespace lockstep::ui
