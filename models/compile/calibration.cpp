#include "models/compile/calibration.h"

#include <algorithm>
#include <cmath>

#include "models/network/float_executor.h"

namespace lockstep::model {
namespace {

constexpr size_t kBins = 2048;

struct Histogram {
    ValueRange range;
    std::vector<uint64_t> bins = std::vector<uint64_t>(kBins, 0);
    uint64_t count = 0;

    double width() const { return (double(range.high) - double(range.low)) / double(kBins); }
    double centre(size_t bin) const { return double(range.low) + (double(bin) + 0.5) * width(); }
    void add(float v) {
        if (!(width() > 0)) return;
        const double at = (double(v) - double(range.low)) / width();
        ++bins[size_t(std::min(std::max(at, 0.0), double(kBins - 1)))];
        ++count;
    }
};

ValueRange percentile(const Histogram& h, double clip) {
    const auto skip = uint64_t(clip * double(h.count));
    size_t low = 0, high = kBins - 1;
    for (uint64_t seen = 0; low < high && seen + h.bins[low] <= skip; ++low)
        seen += h.bins[low];
    for (uint64_t seen = 0; high > low && seen + h.bins[high] <= skip; --high)
        seen += h.bins[high];
    ValueRange r;
    r.include(float(double(h.range.low) + double(low) * h.width()));
    r.include(float(double(h.range.low) + double(high + 1) * h.width()));
    return r;
}

// Mean squared error of the histogram's values in int8 over [low, high].
double error_of(const Histogram& h, double low, double high) {
    const double step = (high - low) / 255.0;
    double sum = 0;
    for (size_t b = 0; b < kBins; ++b) {
        if (h.bins[b] == 0) continue;
        const double v = h.centre(b);
        const double q = std::min(std::max(std::round((v - low) / step), 0.0), 255.0);
        const double e = v - (low + q * step);
        sum += e * e * double(h.bins[b]);
    }
    return sum;
}

ValueRange least_error(const Histogram& h) {
    ValueRange best = h.range;
    double least = error_of(h, double(best.low), double(best.high));
    for (int i = 39; i >= 8; --i)
        for (int k = 40; k >= 8; --k) {
            // Both ends move; a value that has one sign only keeps the other end at 0.
            const double low = double(h.range.low) * (h.range.low < 0 ? double(i) / 40 : 1);
            const double high = double(h.range.high) * double(k) / 40;
            if (!(high > low)) continue;
            const double e = error_of(h, low, high);
            if (e < least) {
                least = e;
                best = {float(low), float(high)};
            }
        }
    return best;
}

}  // namespace

const char* range_method_name(RangeMethod method) {
    switch (method) {
        case RangeMethod::minmax:
            return "minmax";
        case RangeMethod::percentile:
            return "percentile";
        case RangeMethod::mse:
            return "mse";
    }
    return "";
}

void ValueRange::include(float v) {
    low = std::min(low, v);
    high = std::max(high, v);
}

void ValueRange::include(const ValueRange& r) {
    include(r.low);
    include(r.high);
}

Result<Calibration> calibrate(const Graph& g, const std::vector<std::vector<float>>& windows,
                              RangeMethod method, double clip) {
    Calibration c;
    c.range.resize(g.values.size());
    for (const Value& v : g.values)
        c.mean.emplace_back(v.shape.size() == 2 ? v.elements() : size_t(v.shape.back()), 0.0);
    for (size_t w = 0; w < windows.size(); ++w) {
        const std::vector<std::vector<float>> values = run_float(g, windows[w]);
        for (size_t v = 0; v < values.size(); ++v) {
            const size_t rows = values[v].size() / std::max<size_t>(c.mean[v].size(), 1);
            for (size_t i = 0; i < values[v].size(); ++i) {
                const float x = values[v][i];
                if (!std::isfinite(x))
                    return fail(ErrorKind::usage,
                                "not a finite number in calibration window " + std::to_string(w),
                                g.values[v].name, "leave such windows out");
                c.range[v].include(x);
                c.mean[v][i % c.mean[v].size()] += double(x) / double(rows * windows.size());
            }
        }
    }
    c.whole = c.range;
    if (method == RangeMethod::minmax) return c;
    std::vector<Histogram> histograms(g.values.size());
    for (size_t v = 0; v < histograms.size(); ++v)
        histograms[v].range = c.range[v];
    for (const std::vector<float>& window : windows) {
        const std::vector<std::vector<float>> values = run_float(g, window);
        for (size_t v = 0; v < values.size(); ++v)
            for (const float x : values[v])
                histograms[v].add(x);
    }
    for (size_t v = 0; v < histograms.size(); ++v)
        if (histograms[v].count != 0)
            c.range[v] =
                method == RangeMethod::mse ? least_error(histograms[v]) : percentile(histograms[v], clip);
    return c;
}

}  // namespace lockstep::model
