#include "acquisition/display_filter.h"

#include <algorithm>
#include <cmath>

namespace lockstep {

namespace {

constexpr double kChunk = 4;   // s
constexpr double kWarmUp = 4;  // s: a 0.5 Hz high-pass has forgotten its start
constexpr size_t kMaxKept = 2000000;
constexpr double kPi = 3.14159265358979323846;

enum class Kind { highpass, lowpass, notch };

// The bilinear second-order forms of the Audio EQ Cookbook (R. Bristow-Johnson).
Section section(Kind kind, double hz, double rate, double q) {
    const double w = 2 * kPi * hz / rate;
    const double c = std::cos(w);
    const double alpha = std::sin(w) / (2 * q);
    const double a0 = 1 + alpha;
    Section s;
    switch (kind) {
        case Kind::highpass:
            s.b0 = (1 + c) / 2, s.b1 = -(1 + c), s.b2 = (1 + c) / 2;
            break;
        case Kind::lowpass:
            s.b0 = (1 - c) / 2, s.b1 = 1 - c, s.b2 = (1 - c) / 2;
            break;
        case Kind::notch:
            s.b0 = 1, s.b1 = -2 * c, s.b2 = 1;
            break;
    }
    s.b0 /= a0, s.b1 /= a0, s.b2 /= a0;
    s.a1 = -2 * c / a0;
    s.a2 = (1 - alpha) / a0;
    return s;
}

}  // namespace

std::vector<Section> design(const FilterSpec& spec, double rate) {
    std::vector<Section> sections;
    const double limit = 0.45 * rate;
    if (spec.highpass > 0 && spec.highpass < limit)
        sections.push_back(section(Kind::highpass, spec.highpass, rate, 0.7071));
    if (spec.notch > 0 && spec.notch < limit) {
        sections.push_back(section(Kind::notch, spec.notch, rate, 8));
        if (2 * spec.notch < limit) sections.push_back(section(Kind::notch, 2 * spec.notch, rate, 8));
    }
    if (spec.lowpass > 0 && spec.lowpass < limit) {  // Butterworth of order 4
        sections.push_back(section(Kind::lowpass, spec.lowpass, rate, 0.5412));
        sections.push_back(section(Kind::lowpass, spec.lowpass, rate, 1.3066));
    }
    return sections;
}

void FilteredSource::set_filter(int stream, const FilterSpec& spec) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (specs_[stream] == spec) return;
    specs_[stream] = spec;
    chunks_.clear();
    kept_ = 0;
}

FilterSpec FilteredSource::filter(int stream) const {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = specs_.find(stream);
    return found == specs_.end() ? FilterSpec{} : found->second;
}

const FilteredSource::Chunk& FilteredSource::chunk(int stream, int channel, int64_t index,
                                                   const StreamInfo& info) const {
    Chunk& chunk = chunks_[{stream, channel, index}];
    if (chunk.complete) return chunk;
    const double start = double(index) * kChunk;
    const double stop = start + kChunk;
    const double end = raw_->end_time(stream);
    if (chunk.sections.empty()) chunk.sections = design(specs_.at(stream), info.rate());
    const double from = chunk.last > -1e299 ? chunk.last + 0.25 / info.rate() : start - kWarmUp;
    const double until = std::min(stop, end + 1e-9);
    if (until <= from) return chunk;
    const size_t limit = size_t((until - from) * info.rate() * 1.2) + 64;
    std::vector<double> time(limit);
    std::vector<float> value(limit);
    const size_t n = raw_->samples(stream, channel, from, until, limit, time.data(), value.data());
    for (size_t i = 0; i < n; ++i) {
        if (time[i] - chunk.last > 1.5 / info.rate()) {
            chunk.sections = design(specs_.at(stream), info.rate());
            chunk.origin = double(value[i]);
        }
        double v = double(value[i]) - chunk.origin;
        for (Section& s : chunk.sections)
            v = s.step(v);
        if (specs_.at(stream).highpass <= 0) v += chunk.origin;
        chunk.last = time[i];
        if (time[i] < start) continue;
        chunk.time.push_back(time[i]);
        chunk.value.push_back(float(v));
        ++kept_;
    }
    chunk.complete = end > stop;
    return chunk;
}

void FilteredSource::gather(int stream, int channel, double t0, double t1, const StreamInfo& info,
                            std::vector<double>* time, std::vector<float>* value) const {
    const double margin = 1.6 / info.rate();
    const double begin = std::max(t0 - margin, raw_->begin_time(stream) - margin);
    const double end = std::min(t1 + margin, raw_->end_time(stream) + margin);
    if (kept_ > kMaxKept) {
        chunks_.clear();
        kept_ = 0;
    }
    for (auto k = int64_t(std::floor(begin / kChunk)); double(k) * kChunk < end; ++k) {
        const Chunk& c = chunk(stream, channel, k, info);
        const auto a = std::lower_bound(c.time.begin(), c.time.end(), begin);
        const auto b = std::lower_bound(a, c.time.end(), end);
        time->insert(time->end(), a, b);
        value->insert(value->end(), c.value.begin() + (a - c.time.begin()),
                      c.value.begin() + (b - c.time.begin()));
    }
}

void FilteredSource::extent(int stream, int channel, double t0, double t1, int columns, Extent* out) const {
    const std::vector<StreamInfo> infos = raw_->streams();
    std::unique_lock<std::mutex> lock(mutex_);
    auto spec = specs_.find(stream);
    const bool known = stream >= 0 && size_t(stream) < infos.size();
    if (!known || spec == specs_.end() || !spec->second.any() ||
        (t1 - t0) * infos[size_t(stream)].rate() > kMaxSamples) {
        lock.unlock();
        raw_->extent(stream, channel, t0, t1, columns, out);
        return;
    }
    std::fill(out, out + columns, Extent{});
    std::vector<double> time;
    std::vector<float> value;
    const StreamInfo& info = infos[size_t(stream)];
    gather(stream, channel, t0, t1, info, &time, &value);
    const double width = (t1 - t0) / columns;
    const double longest = 1.5 / info.rate();
    auto widen = [&](int c, float v) {
        if (c < 0 || c >= columns) return;
        out[c].min = out[c].valid ? std::min(out[c].min, v) : v;
        out[c].max = out[c].valid ? std::max(out[c].max, v) : v;
        out[c].valid = true;
    };
    // The same grid of edges as the unfiltered query: t0 + c * width.
    auto column_of = [&](double t) {
        int c = int(std::floor((t - t0) / width));
        while (t < t0 + c * width)
            --c;
        while (t >= t0 + (c + 1) * width)
            ++c;
        return c;
    };
    for (size_t i = 0; i < time.size(); ++i) {
        const int own = column_of(time[i]);
        widen(own, value[i]);
        if (i == 0 || time[i] - time[i - 1] > longest) continue;
        const int first = std::max(column_of(time[i - 1]) + 1, 0);
        for (int c = first; c <= std::min(own, columns); ++c) {
            const double edge = t0 + c * width;
            const float v = value[i - 1] +
                            (value[i] - value[i - 1]) * float((edge - time[i - 1]) / (time[i] - time[i - 1]));
            widen(c - 1, v);
            widen(c, v);
        }
    }
}

size_t FilteredSource::samples(int stream, int channel, double t0, double t1, size_t limit, double* time,
                               float* value) const {
    return raw_->samples(stream, channel, t0, t1, limit, time, value);
}

}  // namespace lockstep
