// The window's keys, the recording form and the screenshot: what people do with it.
#include <QComboBox>
#include <QCoreApplication>
#include <QDialog>
#include <QDialogButtonBox>
#include <QDir>
#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSet>
#include <QStackedWidget>
#include <QThread>
#include <cstdio>

#include "ui/banner.h"
#include "ui/class_editor.h"
#include "ui/label_bar.h"
#include "ui/lane_view.h"
#include "ui/main_window.h"
#include "ui/overview.h"

namespace lockstep::ui {

void MainWindow::keyPressEvent(QKeyEvent* event) {
    if (!handle_key(event)) QMainWindow::keyPressEvent(event);
}

bool MainWindow::eventFilter(QObject* watched, QEvent* event) {
    if (watched == lanes_ && event->type() == QEvent::KeyPress)
        return handle_key(static_cast<QKeyEvent*>(event));
    return QMainWindow::eventFilter(watched, event);
}

bool MainWindow::handle_key(QKeyEvent* event) {
    const bool shift = event->modifiers() & Qt::ShiftModifier;
    const bool control = event->modifiers() & Qt::ControlModifier;
    const int key = event->key();
    // Shift + digit is another character on every layout: the digit is taken from the physical key.
    if (!control && shift && source_) {
        static const QString us = QStringLiteral("!@#$%^&*(");
        const int native = int(event->nativeScanCode()) - 9;  // X11: 10 = key 1
        int digit = us.indexOf(event->text()) + 1;
        if (digit <= 0 && native >= 1 && native <= 9 && !event->text().isEmpty() &&
            !event->text().at(0).isLetterOrNumber())
            digit = native;
        if (digit >= 1 && digit <= 9 && !event->text().isEmpty()) {
            lanes_->label_key(char('0' + digit), true);
            return true;
        }
    }
    if (key == Qt::Key_F11) {
        setWindowState(windowState() ^ Qt::WindowFullScreen);
        return true;
    }
    if (key == Qt::Key_Question || key == Qt::Key_F1) {
        show_keys();
        return true;
    }
    if (control && (key == Qt::Key_O || key == Qt::Key_Q)) {
        if (key == Qt::Key_O) {
            open_session();
        } else {
            close();
        }
        return true;
    }
    if (!source_) return false;
    if (control) {
        switch (key) {
            case Qt::Key_Z:
                if (!(shift ? workbench_->redo_label() : workbench_->undo_label())) poll();
                lanes_->update();
                return true;
            case Qt::Key_Left:
                lanes_->jump_label(-1);
                return true;
            case Qt::Key_Right:
                lanes_->jump_label(1);
                return true;
            default:
                return false;
        }
    }
    if (move_key(key, shift, event->modifiers() & Qt::AltModifier)) return true;
    switch (key) {
        case Qt::Key_Space:
            if (!event->isAutoRepeat()) toggle_recording();
            return true;
        case Qt::Key_P:
            if (lanes_->following()) {
                lanes_->set_paused(true);
            } else {
                lanes_->go_live();
            }
            return true;
        case Qt::Key_0:
            lanes_->auto_amplitude();
            return true;
        case Qt::Key_R:
            lanes_->set_scroll(!lanes_->scrolls());
            sync_tools();
            return true;
        case Qt::Key_F:
            show_signal(sides_->currentIndex() == 0);
            return true;
        case Qt::Key_L:
            edit_classes();
            return true;
        case Qt::Key_A:
            lanes_->toggle_annotate();
            return true;
        case Qt::Key_S:
            lanes_->toggle_scale_bars();
            return true;
        case Qt::Key_D:
            lanes_->toggle_dc();
            return true;
        case Qt::Key_Z:
            toggle_zen();
            return true;
        case Qt::Key_Return:
        case Qt::Key_Enter:
            lanes_->edit_selected();
            return true;
        case Qt::Key_Delete:
            if (lanes_->labels().remove_selected())
                banner_->show_message(tr("Label deleted. Ctrl+Z brings it back."), false);
            lanes_->update();
            return true;
        case Qt::Key_Escape:
            lanes_->labels().cancel();
            if (zen_) {
                toggle_zen();
            } else if (lanes_->labels().selected() != 0) {
                lanes_->labels().select(0);
                lanes_->update();
            } else if (lanes_->live() && !lanes_->following()) {
                lanes_->go_live();
            }
            return true;
        default:
            break;
    }
    if (key >= Qt::Key_1 && key <= Qt::Key_9 && !event->isAutoRepeat()) {
        lanes_->label_key(char('1' + (key - Qt::Key_1)), false);
        return true;
    }
    return false;
}

// Through time and amplitude.
bool MainWindow::move_key(int key, bool shift, bool alt) {
    switch (key) {
        case Qt::Key_Left:
            lanes_->scroll(shift ? -1 : -0.1);
            return true;
        case Qt::Key_Right:
            lanes_->scroll(shift ? 1 : 0.1);
            return true;
        case Qt::Key_PageUp:
            lanes_->page(-1);
            return true;
        case Qt::Key_PageDown:
            lanes_->page(1);
            return true;
        case Qt::Key_Home:
            lanes_->go_edge(false);
            return true;
        case Qt::Key_End:
            lanes_->go_edge(true);
            return true;
        case Qt::Key_BracketLeft:
            lanes_->step_span(-1);
            return true;
        case Qt::Key_BracketRight:
            lanes_->step_span(1);
            return true;
        case Qt::Key_Up:
        case Qt::Key_Plus:
        case Qt::Key_Equal:
            lanes_->step_amplitude(-1, alt);
            return true;
        case Qt::Key_Down:
        case Qt::Key_Minus:
            lanes_->step_amplitude(1, alt);
            return true;
        default:
            return false;
    }
}

void MainWindow::show_keys() {
    overlay_->setGeometry(centralWidget()->rect());
    overlay_->show();
    overlay_->raise();
    overlay_->setFocus();
}

void MainWindow::edit_classes() {
    ClassEditor editor(workbench_->label_classes(), this);
    if (editor.exec() != QDialog::Accepted) return;
    workbench_->set_label_classes(editor.classes());
    lanes_->labels().reload_classes();
    lanes_->update();
    keys_->reload();
    overview_->reload();
}

void MainWindow::choose_recording() {
    QDialog dialog(this);
    const bool running = status_.state == WorkbenchState::recording;
    dialog.setWindowTitle(running ? tr("The next recording") : tr("Recording"));
    auto* form = new QFormLayout(&dialog);
    form->setContentsMargins(22, 20, 22, 18);
    form->setVerticalSpacing(10);
    form->setHorizontalSpacing(14);
    auto* subject = new QLineEdit(subject_);
    subject->setPlaceholderText(tr("pseudonym, may stay empty"));
    auto* task = new QLineEdit(task_);
    task->setPlaceholderText(tr("what is done, may stay empty"));
    auto* folder = new QLineEdit(QDir::toNativeSeparators(folder_));
    folder->setMinimumWidth(340);
    auto* browse = new QPushButton(tr("Browse…"));
    browse->setAutoDefault(false);
    auto* place = new QHBoxLayout;
    place->addWidget(folder, 1);
    place->addWidget(browse);
    auto* file = new QLabel;
    auto name = [](const QString& text) {  // in line with the field beside it
        auto* label = new QLabel(text);
        label->setObjectName("dim");
        label->setMinimumHeight(31);
        return label;
    };
    form->addRow(name(tr("Person")), subject);
    form->addRow(name(tr("Task")), task);
    form->addRow(name(tr("Folder")), place);
    form->addRow(name(tr("File")), file);
    auto* buttons = new QDialogButtonBox;
    form->addRow(buttons);
    QPushButton* record = nullptr;
    if (status_.state == WorkbenchState::streaming)
        record = buttons->addButton(tr("Record"), QDialogButtonBox::AcceptRole);
    QPushButton* keep = buttons->addButton(tr("Keep"), QDialogButtonBox::AcceptRole);
    buttons->addButton(QDialogButtonBox::Cancel);
    QPushButton* usual = record ? record : keep;
    usual->setObjectName("primary");
    usual->setDefault(true);
    auto show_name = [&] {
        const QString words =
            recording_name(subject->text().trimmed(), task->text().trimmed(), tr("DATE_TIME"));
        file->setText(file->fontMetrics().elidedText(words, Qt::ElideMiddle, 420));
    };
    for (QLineEdit* field : {subject, task})
        connect(field, &QLineEdit::textChanged, &dialog, show_name);
    show_name();
    connect(browse, &QPushButton::clicked, &dialog, [&] {
        const QString chosen = QFileDialog::getExistingDirectory(&dialog, tr("Folder of the recordings"),
                                                                 QDir::fromNativeSeparators(folder->text()));
        if (!chosen.isEmpty()) folder->setText(QDir::toNativeSeparators(chosen));
    });
    bool at_once = false;
    if (record) connect(record, &QPushButton::clicked, &dialog, [&] { at_once = true; });
    connect(buttons, &QDialogButtonBox::accepted, &dialog, &QDialog::accept);
    connect(buttons, &QDialogButtonBox::rejected, &dialog, &QDialog::reject);
    if (dialog.exec() != QDialog::Accepted) return;
    subject_ = subject->text().trimmed();
    task_ = task->text().trimmed();
    if (!folder->text().trimmed().isEmpty()) folder_ = QDir::fromNativeSeparators(folder->text().trimmed());
    if (at_once && status_.state == WorkbenchState::streaming) toggle_recording();
}

bool screenshot(MainWindow& window, const QString& path, const QSize& size) {
    window.resize(size);
    window.show();
    // Layout, the first poll and the fit of the scales each take a turn of the loop.
    for (int i = 0; i < 12; ++i) {
        QCoreApplication::processEvents(QEventLoop::AllEvents, 20);
        window.refresh_now();
        QThread::msleep(10);
    }
    const QImage image = window.grab().toImage();
    QSet<QRgb> seen;
    for (int y = 0; y < image.height(); y += 7) {
        for (int x = 0; x < image.width(); x += 7)
            seen.insert(image.pixel(x, y));
    }
    if (seen.size() < 4) {
        std::fprintf(stderr, "%s: the picture is blank\n", qPrintable(path));
        return false;
    }
    if (!image.save(path, "PNG")) {
        std::fprintf(stderr, "%s: cannot write the picture; check the folder and its permissions\n",
                     qPrintable(path));
        return false;
    }
    return true;
}

}  // namespace lockstep::ui
