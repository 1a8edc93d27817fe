#include "ui/trace_canvas.h"

#include <algorithm>
#include <cmath>

#include "ui/theme.h"

namespace lockstep::ui {

namespace {

// Seconds between grid lines: 1 up to 60 s, then steps a clock has.
double grid_step(double span) {
    if (span <= 1.5) return 0.2;
    for (double step : {1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0}) {
        if (span / step <= 30) return step;
    }
    return 86400;
}

QRgb blend(QRgb under, QRgb over, unsigned alpha) {
    const unsigned rest = 256 - alpha;
    const unsigned r = (unsigned(qRed(under)) * rest + unsigned(qRed(over)) * alpha) >> 8;
    const unsigned g = (unsigned(qGreen(under)) * rest + unsigned(qGreen(over)) * alpha) >> 8;
    const unsigned b = (unsigned(qBlue(under)) * rest + unsigned(qBlue(over)) * alpha) >> 8;
    return qRgb(int(r), int(g), int(b));
}

}  // namespace

void TraceCanvas::resize(int columns, int height, double pixel_ratio) {
    ratio_ = pixel_ratio;
    if (image_.width() == columns && image_.height() == height && image_.devicePixelRatio() == pixel_ratio)
        return;
    image_ = QImage(std::max(columns, 1), std::max(height, 1), QImage::Format_RGB32);
    image_.setDevicePixelRatio(pixel_ratio);  // here, for on a copy it would copy every pixel
    image_.fill(colors().canvas);
    heads_.clear();
}

void TraceCanvas::redraw(const LaneSet& set, const TraceSource& source, const TimeAxis& axis) {
    image_.fill(colors().canvas);
    heads_.assign(set.groups.size(), -1);
    cleared_ = axis.head;
    for (size_t g = 0; g < set.groups.size(); ++g) {
        const Group& group = set.groups[g];
        const int64_t finished = axis.column_of(source.end_time(group.stream)) - 1;
        if (axis.sweep) {
            // Each stream sweeps at its own head, so its oldest visible column depends on it.
            heads_[g] = std::min(finished, axis.head);
            clear(set, group, axis, axis.head - axis.columns + 1, axis.head);
            draw(set, group, source, axis,
                 axis.scroll ? axis.begin() : heads_[g] - axis.columns + 1 + TimeAxis::kAhead, heads_[g]);
        } else {
            clear(set, group, axis, axis.begin(), axis.end() - 1);
            draw(set, group, source, axis, axis.begin(), std::min(finished, axis.end() - 1));
        }
    }
}

TraceCanvas::Touched TraceCanvas::advance(const LaneSet& set, const TraceSource& source,
                                          const TimeAxis& axis) {
    Touched touched{axis.head + 1, -1};
    if (heads_.size() != set.groups.size() || !axis.sweep) return {};
    // A scrolling view's right edge moves on before the data are there.
    if (axis.scroll && axis.head > cleared_) {
        for (const Group& group : set.groups)
            clear(set, group, axis, cleared_ + 1, axis.head);
        touched = {cleared_ + 1, axis.head};
        cleared_ = axis.head;
    }
    for (size_t g = 0; g < set.groups.size(); ++g) {
        const Group& group = set.groups[g];
        const int64_t last = std::min(axis.column_of(source.end_time(group.stream)) - 1, axis.head);
        if (last <= heads_[g]) continue;
        const int64_t first = std::max(heads_[g] + 1, last - axis.columns + 1 + axis.ahead());
        // What the head's empty strip newly covers is cleared with the columns to draw.
        if (!axis.scroll) clear(set, group, axis, first, last + TimeAxis::kAhead);
        draw(set, group, source, axis, first, last);
        heads_[g] = last;
        touched.first = std::min(touched.first, first);
        touched.last = std::max(touched.last, last + axis.ahead());
    }
    return touched.last < touched.first ? Touched{} : touched;
}

void TraceCanvas::clear(const LaneSet& set, const Group& group, const TimeAxis& axis, int64_t first,
                        int64_t last) {
    const Colors& c = colors();
    const QRgb plain = c.canvas.rgb();
    const QRgb line = c.grid.rgb();
    const QRgb rule = mix(c.canvas, c.grid, 0.45).rgb();
    const double step = grid_step(axis.span);
    first = std::max(first, last - axis.columns + 1);
    blank_.clear();
    for (int64_t k = first; k <= last; ++k) {
        // The column in which a multiple of the step falls.
        const double t = double(k) * axis.dt();
        const bool grid = std::ceil(t / step - 1e-9) * step < t + axis.dt() * (1 - 1e-9);
        blank_.emplace_back(axis.slot_of_column(k), grid ? line : plain);
    }
    QRgb* pixels = reinterpret_cast<QRgb*>(image_.bits());
    const ptrdiff_t stride = image_.bytesPerLine() / ptrdiff_t(sizeof(QRgb));
    const int bottom = std::min(group.top + group.height, image_.height());
    for (int y = std::max(group.top, 0); y < bottom; ++y) {
        QRgb* row = pixels + y * stride;
        for (const auto& [x, color] : blank_)
            row[x] = color;
    }
    // A quiet line at the middle of each lane.
    for (int i = 0; i < group.lanes; ++i) {
        const Lane& lane = set.lanes[size_t(group.first_lane + i)];
        const int y = lane.top + lane.height / 2;
        if (y < 0 || y >= image_.height()) continue;
        QRgb* row = pixels + y * stride;
        for (const auto& column : blank_)
            row[column.first] = rule;
    }
}

void TraceCanvas::draw(const LaneSet& set, const Group& group, const TraceSource& source,
                       const TimeAxis& axis, int64_t first, int64_t last) {
    first = std::max(first, axis.column_of(source.begin_time(group.stream)));
    if (last < first) return;
    for (int i = 0; i < group.lanes; ++i) {
        draw_lane(set, group, set.lanes[size_t(group.first_lane + i)], source, axis, first, last);
    }
}

void TraceCanvas::draw_lane(const LaneSet& set, const Group& group, const Lane& lane,
                            const TraceSource& source, const TimeAxis& axis, int64_t first, int64_t last) {
    const int columns = int(last - first + 1);
    extents_.resize(size_t(columns));
    source.extent(lane.stream, lane.channel, double(first) * axis.dt(), double(last + 1) * axis.dt(), columns,
                  extents_.data());
    const int top = std::max(group.top, 0);
    const int bottom =
        std::min(group.top + group.height, image_.height());  // a loud trace may cross into its neighbours'
    const double amplitude = set.scales[size_t(lane.scale)].amplitude;
    const double gain = (lane.inverted ? 1 : -1) * lane.gain * lane.height / (amplitude > 0 ? amplitude : 1);
    const double middle = lane.top + lane.height * 0.5;
    const double weight = 1.1 * ratio_;
    const QRgb ink = lane.color.rgb();
    const QRgb hatch = colors().bad.rgb();
    QRgb* pixels = reinterpret_cast<QRgb*>(image_.bits());
    const int stride = image_.bytesPerLine() / int(sizeof(QRgb));
    for (int i = 0; i < columns; ++i) {
        const Extent& e = extents_[size_t(i)];
        const int64_t k = first + i;
        QRgb* column = pixels + axis.slot_of_column(k);
        if (!e.valid) {
            // Loss is data: hatched, never closed up.
            for (int y = std::max(lane.top, top); y < std::min(lane.top + lane.height, bottom); ++y) {
                QRgb& p = column[ptrdiff_t(y) * stride];
                p = blend(p, hatch, ((k + y) & 7) < 2 ? 84 : 18);
            }
            continue;
        }
        const double a = middle + (double(e.min) - lane.base) * gain;
        const double b = middle + (double(e.max) - lane.base) * gain;
        const double extent = std::abs(a - b);
        // The ink of a line of this slope through one column, spread around its extent.
        const double height = std::sqrt(weight * weight + extent * extent);
        const double y0 = std::clamp((a + b - height) * 0.5, double(top), double(bottom));
        const double y1 = std::clamp((a + b + height) * 0.5, double(top), double(bottom));
        for (int y = int(y0); y < bottom && double(y) < y1; ++y) {
            const double cover = std::min(y1, y + 1.0) - std::max(y0, double(y));
            QRgb& p = column[ptrdiff_t(y) * stride];
            p = blend(p, ink, unsigned(std::clamp(cover, 0.0, 1.0) * 256));
        }
    }
}

}  // namespace lockstep::ui
