// Which time is in which pixel column. Columns have absolute numbers, k = floor(t / dt): column k means
// the same time in every frame, so a finished column never changes its content. Two ways to show them:
//   sweep  k stands at k mod columns; the newest data writes over the oldest
//   scroll the newest column stands at the right edge; kept as a sweep's ring, shown in two parts
//   fixed  k stands at k - first
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace lockstep::ui {

struct TimeAxis {
    static constexpr int kAhead = 12;  // columns kept empty in front of the sweep's head

    bool sweep = true;
    bool scroll = false;  // with sweep
    double span = 10;     // s over all columns
    int columns = 1;
    int64_t first = 0;  // fixed: the column at the left edge
    int64_t head = -1;  // sweep: newest column

    double dt() const { return span / columns; }
    int64_t column_of(double t) const { return int64_t(std::floor(t / dt())); }
    int ahead() const { return scroll ? 0 : kAhead; }
    int64_t begin() const { return sweep ? head - columns + 1 + ahead() : first; }
    int64_t end() const { return sweep ? head + 1 : first + columns; }
    double begin_time() const { return double(begin()) * dt(); }
    double end_time() const { return double(end()) * dt(); }
    // Time at x = 0 of the newest sweep.
    double wrap_time() const { return double(head < 0 ? -1 : head / columns) * columns * dt(); }
    // Where a column is kept in the image, and where it is shown.
    int slot_of_column(int64_t k) const {
        return sweep ? int(((k % columns) + columns) % columns) : int(k - first);
    }
    int x_of_column(int64_t k) const { return sweep && scroll ? int(k - begin()) : slot_of_column(k); }

    // A run of time without a wrap: times [t0, t1) start at x.
    struct Piece {
        double t0 = 0;
        double t1 = 0;
        double x = 0;
    };
    // The parts of [t0, t1) that are visible.
    std::vector<Piece> pieces(double t0, double t1) const {
        std::vector<Piece> out;
        const double from = std::max(t0, begin_time());
        const double to = std::min(t1, end_time());
        if (!(from <= to)) return out;
        if (!sweep || scroll) {
            out.push_back({from, to, from / dt() - double(begin())});
            return out;
        }
        const double wrap = wrap_time();
        if (from < wrap) out.push_back({from, std::min(to, wrap), (from - (wrap - span)) / dt()});
        if (to > wrap || (from >= wrap && from == to)) {
            const double start = std::max(from, wrap);
            out.push_back({start, to, (start - wrap) / dt()});
        }
        return out;
    }
    // The time shown at column position x.
    double time_at(double x) const {
        if (!sweep || scroll) return (double(begin()) + x) * dt();
        const double wrap = wrap_time();
        const double t = wrap + x * dt();
        return t < end_time() ? t : t - span;
    }
};

}  // namespace lockstep::ui
