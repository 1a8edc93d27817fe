// Paints lanes into one RGB32 image in device pixels, a column at a time, straight from min/max
// extents. A sweep touches only its new columns; what it leaves is pixel for pixel what a full redraw
// would paint. GUI thread.
#pragma once

#include <QImage>
#include <utility>
#include <vector>

#include "ui/lanes.h"
#include "ui/time_axis.h"

namespace lockstep::ui {

class TraceCanvas {
  public:
    // Both change nothing on screen before the next redraw().
    void resize(int columns, int height, double pixel_ratio);
    const QImage& image() const { return image_; }

    // Draws everything the axis shows; heads start anew.
    void redraw(const LaneSet& set, const TraceSource& source, const TimeAxis& axis);
    // Sweep: draws each stream's columns up to axis.head that are new and finished. Returns the columns
    // touched, as positions [x0, x1) modulo the width (x1 may exceed it); x0 == x1 when nothing changed.
    struct Touched {
        int64_t first = 0;  // absolute columns
        int64_t last = -1;
        bool any() const { return last >= first; }
    };
    Touched advance(const LaneSet& set, const TraceSource& source, const TimeAxis& axis);
    // Newest column drawn of a group; for the sweep's marker.
    int64_t head(size_t group) const { return group < heads_.size() ? heads_[group] : -1; }

  private:
    void clear(const LaneSet& set, const Group& group, const TimeAxis& axis, int64_t first, int64_t last);
    void draw(const LaneSet& set, const Group& group, const TraceSource& source, const TimeAxis& axis,
              int64_t first, int64_t last);
    void draw_lane(const LaneSet& set, const Group& group, const Lane& lane, const TraceSource& source,
                   const TimeAxis& axis, int64_t first, int64_t last);

    QImage image_;
    double ratio_ = 1;
    std::vector<int64_t> heads_;  // per group
    int64_t cleared_ = -1;        // scroll: newest column without what it showed a span ago
    std::vector<Extent> extents_;
    std::vector<std::pair<int, QRgb>> blank_;  // columns to clear, and to what
};

}  // namespace lockstep::ui
