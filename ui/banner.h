// One line of news above the lanes: never modal, never moves the layout. GUI thread.
#pragma once

#include <QTimer>
#include <QWidget>
#include <functional>

namespace lockstep::ui {

class Banner : public QWidget {
    Q_OBJECT
  public:
    explicit Banner(QWidget* parent);
    // `action`: words on the right that do something when they are clicked; "" = none.
    void show_message(const QString& text, bool error, const QString& action = {},
                      std::function<void()> act = {});
    void place();  // the parent was resized

  protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;

  private:
    QRect action_area() const;
    QString text_;
    QString action_;
    std::function<void()> act_;
    bool error_ = false;
    QTimer timer_;
};

// The keys, over everything; any key or click closes it.
class HelpOverlay : public QWidget {
    Q_OBJECT
  public:
    explicit HelpOverlay(QWidget* parent);

  protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
};

}  // namespace lockstep::ui
