// What keys and mouse do to labels: every change becomes one LabelEdit for the workbench, which owns
// the track. No painting. GUI thread.
#pragma once

#include <QColor>
#include <map>
#include <optional>

#include "acquisition/workbench.h"

namespace lockstep::ui {

// A fixed hue per class for classes without a colour of their own.
QColor class_color(const std::vector<LabelClass>& classes, const std::string& name);

class LabelTool {
  public:
    explicit LabelTool(Workbench* workbench) : workbench_(workbench) {}

    // Labels that touch [t0, t1); asks the workbench only when revision or range changed.
    const std::vector<Label>& visible(double t0, double t1);
    const std::vector<LabelClass>& classes();
    void reload_classes() { classes_ = workbench_->label_classes(); }

    // Key 1-9. A selected label takes the class; else the first press opens a range at `now` and the
    // second closes it. `point` marks a point at once.
    void key(char hotkey, double now, bool point);
    struct Open {
        std::string label_class;
        double start = 0;
    };
    const std::map<char, Open>& open() const { return open_; }
    // Closes what is still open (a recording ends).
    void close_all(double now);
    // Another session's labels from here on. What is open goes on from its start when `goes_on`.
    void begin_session(bool goes_on);

    // Mouse. `reach` is how far in seconds an edge can be grabbed; scope -1 = all.
    enum class Part { none, body, left, right };
    Part hit(double t, int stream, int channel, double reach, Label* out);
    void press(double t, int stream, int channel, double reach, bool only_stream, bool only_channel);
    void move(double t);
    // True when an edit was made. A range shorter than `shortest` only selects what was hit.
    bool release(double t, double shortest);
    void cancel() {
        drag_ = Part::none;
        dragging_ = false;
    }
    bool dragging() const { return dragging_; }
    const Label& draft() const { return draft_; }  // what the drag would make

    uint64_t selected() const { return selected_; }
    void select(uint64_t id) { selected_ = id; }
    std::optional<Label> find(uint64_t id);
    bool change(const Label& before, const Label& after);
    bool remove_selected();
    // Start of the next (direction > 0) or previous label before or after t; selects it.
    std::optional<double> jump(double t, int direction);

  private:
    bool add(const Label& label);
    std::string active_class();

    Workbench* workbench_;
    std::vector<Label> cache_;
    std::vector<LabelClass> classes_;
    double cache_t0_ = 0;
    double cache_t1_ = -1;
    uint64_t revision_ = ~uint64_t(0);
    std::map<char, Open> open_;
    std::string class_;  // last used
    uint64_t selected_ = 0;
    Part drag_ = Part::none;
    bool dragging_ = false;
    bool moved_ = false;
    double anchor_ = 0;
    Label before_;
    Label draft_;
};

}  // namespace lockstep::ui
