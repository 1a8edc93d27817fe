#include "acquisition/trace_columns.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lockstep {

namespace {

constexpr float kHuge = std::numeric_limits<float>::max();

struct Range {
    float min = kHuge;
    float max = -kHuge;
    void add(float v) {
        min = std::min(min, v);
        max = std::max(max, v);
    }
};

// The line between two neighbouring samples, where it crosses the column's edges; a sample on the right
// edge counts too, so that it cannot matter on which side of it rounding puts the edge.
void cross(const RowValues& values, uint64_t row, double ta, double tb, double c0, double c1, Range* range) {
    float a = 0;
    float b = 0;
    if (tb <= ta || !values.value(row - 1, &a) || !values.value(row, &b)) return;
    for (double edge : {c0, c1}) {
        if (edge > ta && edge <= tb) range->add(a + (b - a) * float((edge - ta) / (tb - ta)));
    }
}

Range column(const std::vector<TimeRun>& runs, size_t* hint, const RowValues& values, double c0, double c1) {
    Range range;
    // Skip runs that ended before the column, but keep the last: its end may be joined to the next.
    while (*hint + 1 < runs.size() && runs[*hint + 1].last() < c0)
        ++*hint;
    for (size_t r = *hint; r < runs.size(); ++r) {
        const TimeRun& run = runs[r];
        if (run.count == 0) continue;
        if (r > 0 && run.joined && runs[r - 1].count > 0 && run.time > c0 && runs[r - 1].last() < c1) {
            if (!values.coarse()) cross(values, run.row, runs[r - 1].last(), run.time, c0, c1, &range);
        }
        if (run.time >= c1) break;
        const uint64_t i0 = run.first_at(c0);
        const uint64_t i1 = run.first_at(c1);
        if (i1 > i0) values.range(run.row + i0, run.row + i1, &range.min, &range.max);
        if (values.coarse()) {
            // Finer than the samples or the bins: the column shows the row it starts in.
            if (i1 == i0 && i0 > 0 && i0 < run.count)
                values.range(run.row + i0 - 1, run.row + i0, &range.min, &range.max);
            continue;
        }
        if (i0 > 0 && i0 < run.count) cross(values, run.row + i0, run.at(i0 - 1), run.at(i0), c0, c1, &range);
        if (i1 > 0 && i1 < run.count && i1 != i0)
            cross(values, run.row + i1, run.at(i1 - 1), run.at(i1), c0, c1, &range);
    }
    return range;
}

}  // namespace

uint64_t TimeRun::first_at(double t) const {
    if (t <= time) return 0;
    const double guess = std::ceil((t - time) / dt);
    if (guess >= double(count) + 1) return count;
    uint64_t i = std::min(uint64_t(guess), count);
    while (i > 0 && at(i - 1) >= t)
        --i;
    while (i < count && at(i) < t)
        ++i;
    return i;
}

void column_extents(const std::vector<TimeRun>& runs, const RowValues& values, double t0, double t1,
                    int columns, Extent* out) {
    const double width = (t1 - t0) / columns;
    // The first run that can touch the first column, or the one before it.
    auto it = std::partition_point(runs.begin(), runs.end(),
                                   [&](const TimeRun& run) { return run.last() < t0 - width; });
    size_t hint = size_t(it - runs.begin());
    if (hint > 0) --hint;
    Range before;
    if (values.coarse()) {
        size_t own = hint;
        before = column(runs, &own, values, t0 - width, t0);
    }
    for (int c = 0; c < columns; ++c) {
        Range range = column(runs, &hint, values, t0 + c * width, t0 + (c + 1) * width);
        const Range plain = range;
        if (values.coarse() && range.min <= range.max && before.min <= before.max) {
            // Without the samples at the edge, neighbours at least touch.
            range.min = std::min(range.min, before.max);
            range.max = std::max(range.max, before.min);
        }
        before = plain;
        out[c].valid = range.min <= range.max;
        out[c].min = out[c].valid ? range.min : 0;
        out[c].max = out[c].valid ? range.max : 0;
    }
}

}  // namespace lockstep
