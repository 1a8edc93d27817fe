#include "acquisition/review_source.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <map>
#include <tuple>
#include <utility>

#include "acquisition/trace_columns.h"

namespace lockstep {

namespace {

constexpr uint64_t kPageRows = 4096;  // of samples or of bins
constexpr size_t kPagesBytes = size_t(24) << 20;

float physical(const StreamInfo& info, size_t channel, int32_t count) {
    float v = float(count);
    if (info.type == SampleType::float32) std::memcpy(&v, &count, sizeof v);
    v = v * info.channels[channel].scale + info.channels[channel].offset;
    return std::isfinite(v) ? v : 0;
}

// What a page is of: bin 1 = samples.
struct PageKey {
    int stream = 0;
    uint32_t bin = 1;
    uint64_t page = 0;
    bool operator<(const PageKey& o) const {
        return std::tie(stream, bin, page) < std::tie(o.stream, o.bin, o.page);
    }
};

struct Page {
    std::vector<int32_t> samples;  // [row][channel]
    std::vector<MinMax> bins;      // [bin][channel]
    std::list<PageKey>::iterator used;
    size_t bytes() const { return samples.size() * sizeof(int32_t) + bins.size() * sizeof(MinMax); }
};

}  // namespace

struct ReviewSource::Impl {
    std::shared_ptr<SessionReader> reader;
    std::shared_ptr<std::mutex> mutex;
    std::vector<std::vector<TimeRun>> runs;
    std::vector<StreamInfo> infos;
    std::vector<uint64_t> rows;
    std::vector<uint32_t> levels;
    mutable std::map<PageKey, Page> pages;
    mutable std::list<PageKey> recent;  // newest first
    mutable size_t bytes = 0;
    mutable std::string error;

    // Null when it cannot be read. REQUIRES: the lock.
    const Page* page(const PageKey& key) const {
        auto found = pages.find(key);
        if (found != pages.end()) {
            recent.splice(recent.begin(), recent, found->second.used);
            return &found->second;
        }
        Page page;
        const size_t channels = infos[size_t(key.stream)].channels.size();
        const uint64_t total = (rows[size_t(key.stream)] + key.bin - 1) / key.bin;
        const uint64_t first = key.page * kPageRows;
        if (first >= total) return nullptr;
        const uint64_t count = std::min(kPageRows, total - first);
        Status status;
        if (key.bin == 1) {
            page.samples.resize(count * channels);
            status = reader->read(key.stream, first, count, page.samples.data());
        } else {
            page.bins.resize(count * channels);
            status = reader->read_overview(key.stream, key.bin, first, count, page.bins.data());
        }
        if (!status) {
            // Kept empty, so that a damaged page is tried (and told) once.
            error = status.error().message();
            page.samples.clear();
            page.bins.clear();
        }
        bytes += page.bytes();
        recent.push_front(key);
        page.used = recent.begin();
        const Page* kept = &pages.emplace(key, std::move(page)).first->second;
        while (bytes > kPagesBytes && recent.size() > 1) {
            auto oldest = pages.find(recent.back());
            bytes -= oldest->second.bytes();
            pages.erase(oldest);
            recent.pop_back();
        }
        return kept;
    }
};

namespace {

// The page last used is remembered, for rows come in order.
template <typename Impl>
class StoredValues : public RowValues {
  public:
    StoredValues(const Impl& impl, int stream, int channel, uint32_t bin)
        : impl_(impl),
          info_(impl.infos[size_t(stream)]),
          channel_(size_t(channel)),
          key_{stream, bin, ~uint64_t(0)} {}

    bool value(uint64_t row, float* out) const override {
        if (key_.bin != 1) return false;
        const size_t channels = info_.channels.size();
        const size_t at = size_t(row % kPageRows) * channels + channel_;
        if (!turn_to(row / kPageRows) || at >= page_->samples.size()) return false;
        *out = physical(info_, channel_, page_->samples[at]);
        return true;
    }
    void range(uint64_t row0, uint64_t row1, float* min, float* max) const override {
        if (key_.bin == 1) {
            for (uint64_t row = row0; row < row1; ++row) {
                float v = 0;
                if (!value(row, &v)) continue;
                *min = std::min(*min, v);
                *max = std::max(*max, v);
            }
            return;
        }
        // A bin belongs to the column in which it starts; a column without a start shows the bin it is in.
        uint64_t bin = (row0 + key_.bin - 1) / key_.bin;
        uint64_t stop = (row1 + key_.bin - 1) / key_.bin;
        if (bin == stop) bin = stop - 1;
        for (; bin < stop; ++bin) {
            const size_t at = size_t(bin % kPageRows) * info_.channels.size() + channel_;
            if (!turn_to(bin / kPageRows) || at >= page_->bins.size()) continue;
            const float a = physical(info_, channel_, page_->bins[at].min);
            const float b = physical(info_, channel_, page_->bins[at].max);
            *min = std::min({*min, a, b});  // a negative scale turns them round
            *max = std::max({*max, a, b});
        }
    }
    bool coarse() const override { return key_.bin != 1; }

  private:
    bool turn_to(uint64_t page) const {
        if (page != key_.page) {
            key_.page = page;
            page_ = impl_.page(key_);
        }
        return page_ != nullptr;
    }
    const Impl& impl_;
    const StreamInfo& info_;
    size_t channel_;
    mutable PageKey key_;
    mutable const Page* page_ = nullptr;
};

}  // namespace

ReviewSource::ReviewSource(std::shared_ptr<SessionReader> reader, std::shared_ptr<std::mutex> reader_mutex)
    : impl_(std::make_unique<Impl>()) {
    impl_->reader = std::move(reader);
    impl_->mutex = std::move(reader_mutex);
    impl_->levels = impl_->reader->overview_levels();
    std::sort(impl_->levels.begin(), impl_->levels.end());
    for (const SessionStream& stream : impl_->reader->streams()) {
        impl_->infos.push_back(stream.info);
        impl_->rows.push_back(stream.rows);
        std::vector<TimeRun> runs;
        const double nominal = 1.0 / std::max(stream.info.rate(), 1e-9);
        const double dt = stream.rate_measured > 0 ? 1.0 / stream.rate_measured : nominal;
        for (size_t i = 0; i < stream.runs.size(); ++i) {
            const RowRun& run = stream.runs[i];
            if (run.count == 0) continue;
            TimeRun own{run.row, run.count, run.time, dt, false};
            if (i > 0) {
                const RowRun& before = stream.runs[i - 1];
                own.joined = before.segment == run.segment && before.first + before.count == run.first;
            }
            // A run must not reach into the next: its own pace is then the better estimate.
            if (i + 1 < stream.runs.size() && own.at(run.count) > stream.runs[i + 1].time &&
                stream.runs[i + 1].time > run.time) {
                own.dt = (stream.runs[i + 1].time - run.time) / double(run.count);
            }
            runs.push_back(own);
        }
        impl_->runs.push_back(std::move(runs));
    }
}

ReviewSource::~ReviewSource() = default;

std::vector<StreamInfo> ReviewSource::streams() const {
    return impl_->infos;
}

double ReviewSource::begin_time() const {
    return 0;
}

double ReviewSource::end_time() const {
    double end = 0;
    for (const auto& runs : impl_->runs) {
        if (!runs.empty()) end = std::max(end, runs.back().last());
    }
    return end;
}

double ReviewSource::begin_time(int stream) const {
    if (stream < 0 || size_t(stream) >= impl_->runs.size() || impl_->runs[size_t(stream)].empty()) return 0;
    return impl_->runs[size_t(stream)].front().time;
}

double ReviewSource::end_time(int stream) const {
    if (stream < 0 || size_t(stream) >= impl_->runs.size() || impl_->runs[size_t(stream)].empty()) return -1;
    return impl_->runs[size_t(stream)].back().last();
}

void ReviewSource::extent(int stream, int channel, double t0, double t1, int columns, Extent* out) const {
    if (columns <= 0) return;
    std::fill(out, out + columns, Extent{});
    if (stream < 0 || size_t(stream) >= impl_->infos.size() || !(t1 > t0)) return;
    const StreamInfo& info = impl_->infos[size_t(stream)];
    if (channel < 0 || size_t(channel) >= info.channels.size()) return;
    // The largest stored bin of which a column still holds two.
    const double rows_per_column = (t1 - t0) / columns * info.rate();
    uint32_t bin = 1;
    for (uint32_t level : impl_->levels) {
        if (rows_per_column >= 2.0 * level) bin = level;
    }
    std::lock_guard<std::mutex> lock(*impl_->mutex);
    column_extents(impl_->runs[size_t(stream)], StoredValues<Impl>(*impl_, stream, channel, bin), t0, t1,
                   columns, out);
}

size_t ReviewSource::samples(int stream, int channel, double t0, double t1, size_t limit, double* time,
                             float* value) const {
    if (stream < 0 || size_t(stream) >= impl_->infos.size()) return 0;
    if (channel < 0 || size_t(channel) >= impl_->infos[size_t(stream)].channels.size()) return 0;
    std::lock_guard<std::mutex> lock(*impl_->mutex);
    const StoredValues<Impl> values(*impl_, stream, channel, 1);
    const auto& runs = impl_->runs[size_t(stream)];
    size_t n = 0;
    auto run =
        std::partition_point(runs.begin(), runs.end(), [&](const TimeRun& r) { return r.last() < t0; });
    for (; run != runs.end() && run->time < t1; ++run) {
        for (uint64_t i = run->first_at(t0); i < run->count && run->at(i) < t1 && n < limit; ++i) {
            if (values.value(run->row + i, &value[n])) time[n++] = run->at(i);
        }
    }
    return n;
}

std::string ReviewSource::take_error() const {
    std::lock_guard<std::mutex> lock(*impl_->mutex);
    return std::exchange(impl_->error, {});
}

}  // namespace lockstep
