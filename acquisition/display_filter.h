// A display filter over any trace source: high-pass, low-pass and mains notch for the eye only; stores
// and files stay raw. Computed in chunks fixed in absolute time, each warmed up before it starts, so
// that what was drawn once never changes. Works on spans of up to a minute or two; see extent().
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "acquisition/trace_store.h"

namespace lockstep {

struct FilterSpec {
    double highpass = 0;  // Hz, 0 = none
    double lowpass = 0;
    double notch = 0;
    bool any() const { return highpass > 0 || lowpass > 0 || notch > 0; }
    bool operator==(const FilterSpec& o) const {
        return highpass == o.highpass && lowpass == o.lowpass && notch == o.notch;
    }
};

// Second-order section, direct form II transposed.
struct Section {
    double b0 = 1, b1 = 0, b2 = 0, a1 = 0, a2 = 0;
    double s1 = 0, s2 = 0;
    double step(double x) {
        const double y = b0 * x + s1;
        s1 = b1 * x - a1 * y + s2;
        s2 = b2 * x - a2 * y;
        return y;
    }
};

// Sections for a rate; corners at or above 45 % of the rate are left out.
std::vector<Section> design(const FilterSpec& spec, double rate);

// Thread: any.
class FilteredSource : public TraceSource {
  public:
    explicit FilteredSource(std::shared_ptr<const TraceSource> raw) : raw_(std::move(raw)) {}
    void set_filter(int stream, const FilterSpec& spec);
    FilterSpec filter(int stream) const;

    std::vector<StreamInfo> streams() const override { return raw_->streams(); }
    double begin_time() const override { return raw_->begin_time(); }
    double end_time() const override { return raw_->end_time(); }
    double begin_time(int stream) const override { return raw_->begin_time(stream); }
    double end_time(int stream) const override { return raw_->end_time(stream); }
    // Unfiltered for streams without a filter and for spans with more samples than kMaxSamples.
    void extent(int stream, int channel, double t0, double t1, int columns, Extent* out) const override;
    size_t samples(int stream, int channel, double t0, double t1, size_t limit, double* time,
                   float* value) const override;

    static constexpr double kMaxSamples = 60000;  // of one channel in one query

  private:
    struct Chunk {
        std::vector<double> time;
        std::vector<float> value;
        std::vector<Section> sections;
        double origin = 0;  // first value after a gap: filtered relative to it
        double last = -1e300;
        bool complete = false;
    };
    const Chunk& chunk(int stream, int channel, int64_t index, const StreamInfo& info) const;
    // Filtered samples of [t0, t1) with one neighbour on each side.
    void gather(int stream, int channel, double t0, double t1, const StreamInfo& info,
                std::vector<double>* time, std::vector<float>* value) const;

    std::shared_ptr<const TraceSource> raw_;
    mutable std::mutex mutex_;
    std::map<int, FilterSpec> specs_;
    mutable std::map<std::tuple<int, int, int64_t>, Chunk> chunks_;
    mutable size_t kept_ = 0;  // samples in chunks_
};

}  // namespace lockstep
