#include "acquisition/trace_store.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include "acquisition/clock_map.h"
#include "acquisition/hub.h"
#include "acquisition/trace_columns.h"

namespace lockstep {

namespace {

constexpr uint64_t kBaseBin = 64;
constexpr uint64_t kFactor = 4;
constexpr int kLevels = 8;  // bins of 64, 256 ... 1,048,576 samples
constexpr size_t kMaxRuns = 65536;
constexpr double kTolerance = 0.002;  // s a stamp may stray before a new run begins
constexpr double kSlew = 0.1;         // of a block's length, by which a correction of the clock moves it,
constexpr double kMaxSlew = 0.4;      // of a sample's: neighbours 1.5 samples apart would pass for a loss

struct Bin {
    float min = 0;
    float max = 0;
};

// A channel's newest samples and, per level, its newest bins; both rings by absolute index.
class ChannelTrace : public RowValues {
  public:
    void limit(size_t rows, size_t bins) {
        raw_limit_ = std::max<size_t>(rows, 2 * kBaseBin);
        bin_limit_ = std::max<size_t>(bins, 16);
    }
    void append(float v) {
        put(&raw_, raw_limit_, rows_, v);
        ++rows_;
        if (rows_ % kBaseBin == 0) finish_bins();
    }
    bool value(uint64_t row, float* out) const override {
        if (!has_raw(row)) return false;
        *out = raw_[row % raw_limit_];
        return true;
    }
    // Largest finished bins first to leap, samples at the edges; a bin stands in for lost samples.
    void range(uint64_t row0, uint64_t row1, float* min, float* max) const override {
        const uint64_t stop = std::min(row1, rows_);
        for (uint64_t row = row0; row < stop;) {
            const int level = row % kBaseBin == 0 ? leap(row, stop) : -1;
            if (level >= 0) {
                widen(bins_[level][(row / bin_rows(level)) % bin_limit_], min, max);
                row += bin_rows(level);
                continue;
            }
            if (has_raw(row)) {
                const float v = raw_[row % raw_limit_];
                *min = std::min(*min, v);
                *max = std::max(*max, v);
                ++row;
                continue;
            }
            const int cover = covering(row);
            if (cover < 0) return;
            widen(bins_[cover][(row / bin_rows(cover)) % bin_limit_], min, max);
            row = (row / bin_rows(cover) + 1) * bin_rows(cover);
        }
    }
    bool has_raw(uint64_t row) const { return row < rows_ && row + raw_limit_ >= rows_; }

  private:
    static uint64_t bin_rows(int level) {
        uint64_t rows = kBaseBin;
        for (int i = 0; i < level; ++i)
            rows *= kFactor;
        return rows;
    }
    template <typename T>
    static void put(std::vector<T>* ring, size_t limit, uint64_t index, T value) {
        if (ring->size() < limit) {
            ring->push_back(value);
        } else {
            (*ring)[index % limit] = value;
        }
    }
    static void widen(const Bin& bin, float* min, float* max) {
        *min = std::min(*min, bin.min);
        *max = std::max(*max, bin.max);
    }
    bool has_bin(int level, uint64_t bin) const {
        return bin < finished_[level] && bin + bin_limit_ >= finished_[level];
    }
    int leap(uint64_t row, uint64_t stop) const {
        for (int level = kLevels - 1; level >= 0; --level) {
            const uint64_t rows = bin_rows(level);
            if (row % rows == 0 && row + rows <= stop && has_bin(level, row / rows)) return level;
        }
        return -1;
    }
    int covering(uint64_t row) const {
        for (int level = 0; level < kLevels; ++level) {
            if (has_bin(level, row / bin_rows(level))) return level;
        }
        return -1;
    }
    void finish_bins() {
        Bin bin = {raw_[(rows_ - 1) % raw_limit_], raw_[(rows_ - 1) % raw_limit_]};
        for (uint64_t row = rows_ - kBaseBin; row < rows_; ++row) {
            bin.min = std::min(bin.min, raw_[row % raw_limit_]);
            bin.max = std::max(bin.max, raw_[row % raw_limit_]);
        }
        put(&bins_[0], bin_limit_, finished_[0]++, bin);
        for (int level = 1; level < kLevels && finished_[level - 1] % kFactor == 0; ++level) {
            Bin wide = bins_[level - 1][(finished_[level - 1] - 1) % bin_limit_];
            for (uint64_t i = finished_[level - 1] - kFactor; i < finished_[level - 1]; ++i) {
                widen(bins_[level - 1][i % bin_limit_], &wide.min, &wide.max);
            }
            put(&bins_[level], bin_limit_, finished_[level]++, wide);
        }
    }

    uint64_t rows_ = 0;
    size_t raw_limit_ = 2 * kBaseBin;
    size_t bin_limit_ = 16;
    std::vector<float> raw_;
    std::vector<Bin> bins_[kLevels];
    uint64_t finished_[kLevels] = {};
};

struct StreamTrace {
    StreamInfo info;
    int device = 0;
    int segment = -1;
    uint64_t next = 0;  // sample counter expected in this segment
    uint64_t rows = 0;
    std::vector<TimeRun> runs;
    std::vector<ChannelTrace> channels;

    bool empty() const { return rows == 0; }
};

struct DeviceTime {
    ClockMap clock;
    uint64_t boot_id = 0;
    bool anchored = false;
    int64_t anchor_ns = 0;
    uint64_t anchor_us = 0;

    // Through the clock map; until that is ready, the device's own pace from its first arrival on.
    int64_t host_ns(uint64_t device_us, int64_t arrival_ns) {
        if (clock.ready()) return clock.host_ns(device_us);
        if (!anchored) {
            anchored = true;
            anchor_ns = arrival_ns;
            anchor_us = device_us;
        }
        return anchor_ns + (int64_t(device_us) - int64_t(anchor_us)) * 1000;
    }
};

float physical(const StreamInfo& info, size_t channel, int32_t count) {
    float v = float(count);
    if (info.type == SampleType::float32) std::memcpy(&v, &count, sizeof v);
    const ChannelInfo& c = info.channels[channel];
    v = v * c.scale + c.offset;
    return std::isfinite(v) ? v : 0;
}

}  // namespace

struct TraceStore::Impl {
    mutable std::mutex mutex;
    TraceLimits limits;
    int64_t origin = -1;
    std::vector<StreamTrace> streams;
    mutable std::vector<DeviceTime> devices;
    std::shared_ptr<Subscription> events;
    std::atomic<bool> stopping{false};
    std::thread thread;

    DeviceTime& device(int index) const {
        if (devices.size() <= size_t(index)) devices.resize(size_t(index) + 1);
        return devices[size_t(index)];
    }
    const StreamTrace* stream(int index) const {
        return index >= 0 && size_t(index) < streams.size() ? &streams[size_t(index)] : nullptr;
    }
    double seconds(int64_t host_ns) const { return double(host_ns - origin) * 1e-9; }

    void on(const SegmentStarted& start) {
        if (start.device < 0) return;
        if (origin < 0) origin = start.host_ns;
        DeviceTime& time = device(start.device);
        if (time.boot_id != start.info.boot_id) time = DeviceTime{};
        time.boot_id = start.info.boot_id;
        time.anchored = false;
        for (size_t i = 0; i < start.streams.size() && i < start.info.streams.size(); ++i) {
            if (start.streams[i] < 0) continue;
            const size_t index = size_t(start.streams[i]);
            if (streams.size() <= index) streams.resize(index + 1);
            StreamTrace& stream = streams[index];
            if (stream.info.channels.size() != start.info.streams[i].channels.size()) stream = StreamTrace{};
            stream.info = start.info.streams[i];
            stream.device = start.device;
        }
        share_memory();
    }

    // Only streams without samples get their ring's size; a ring in use keeps it.
    void share_memory() {
        double bytes_per_second = 0;
        for (const StreamTrace& s : streams)
            bytes_per_second += s.info.rate() * double(s.info.channels.size()) * sizeof(float);
        const double kept =
            std::min(limits.raw_seconds, double(limits.raw_bytes) / std::max(bytes_per_second, 1.0));
        for (StreamTrace& s : streams) {
            if (!s.empty() || s.info.channels.empty()) continue;
            s.channels.resize(s.info.channels.size());
            for (ChannelTrace& c : s.channels) {
                c.limit(size_t(std::ceil(kept * s.info.rate())), limits.level_entries / s.channels.size());
            }
        }
    }

    void on(const Block& block) {
        if (block.stream < 0 || size_t(block.stream) >= streams.size() || block.count == 0) return;
        StreamTrace& stream = streams[size_t(block.stream)];
        const size_t channels = stream.channels.size();
        if (channels == 0 || block.channels != channels || block.counts.size() < block.count * channels)
            return;
        if (origin < 0) origin = block.host_ns;
        place(&stream, block);
        for (uint32_t i = 0; i < block.count; ++i) {
            for (size_t c = 0; c < channels; ++c) {
                stream.channels[c].append(physical(stream.info, c, block.counts[i * channels + c]));
            }
        }
        stream.rows += block.count;
        stream.next = block.first + block.count;
        stream.segment = block.segment;
    }

    // Extends the last run when the block goes on where it ended, else begins a new one.
    void place(StreamTrace* stream, const Block& block) {
        const double dt = 1.0 / stream->info.rate();
        double time = seconds(device(stream->device).host_ns(block.device_us, block.host_ns));
        if (stream->runs.empty()) {
            stream->runs.push_back({stream->rows, block.count, time, dt, false});
            return;
        }
        TimeRun& run = stream->runs.back();
        const bool follows =
            block.segment == stream->segment && block.first == stream->next && !block.discontinuity;
        const double expected = run.at(run.count);
        if (follows && run.dt == dt && std::abs(time - expected) <= std::max(kTolerance, 0.5 * dt)) {
            run.count += block.count;
            return;
        }
        if (follows) {
            const double slew = dt * std::min(kSlew * block.count, kMaxSlew);
            time = expected + std::clamp(time - expected, -slew, slew);
        }
        time = std::max(time, run.last() + 0.5 * dt);
        stream->runs.push_back({stream->rows, block.count, time, dt, follows});
        if (stream->runs.size() > kMaxRuns)
            stream->runs.erase(stream->runs.begin(), stream->runs.begin() + kMaxRuns / 4);
    }
};

TraceStore::TraceStore(int64_t origin_host_ns, TraceLimits limits) : impl_(std::make_unique<Impl>()) {
    impl_->origin = origin_host_ns;
    impl_->limits = limits;
}

TraceStore::~TraceStore() {
    impl_->stopping = true;
    if (impl_->thread.joinable()) impl_->thread.join();
}

void TraceStore::on_event(const Event& event) {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    if (const auto* start = std::get_if<SegmentStarted>(&event)) {
        impl_->on(*start);
    } else if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&event)) {
        if (*block) impl_->on(**block);
    } else if (const auto* ping = std::get_if<ClockObservation>(&event)) {
        if (ping->device >= 0) impl_->device(ping->device).clock.observe(*ping);
    }
}

void TraceStore::follow(std::shared_ptr<Subscription> events) {
    if (impl_->thread.joinable()) return;
    impl_->events = std::move(events);
    impl_->thread = std::thread([this] {
        Event event;
        while (!impl_->stopping) {
            if (impl_->events->pop(&event, std::chrono::milliseconds(100))) {
                on_event(event);
            } else if (impl_->events->closed()) {
                return;
            }
        }
    });
}

int64_t TraceStore::origin_host_ns() const {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    return impl_->origin;
}

double TraceStore::session_seconds(int device, uint64_t device_us, int64_t host_ns) const {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    return impl_->seconds(device < 0 ? host_ns : impl_->device(device).host_ns(device_us, host_ns));
}

std::vector<StreamInfo> TraceStore::streams() const {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    std::vector<StreamInfo> infos;
    for (const StreamTrace& s : impl_->streams)
        infos.push_back(s.info);
    return infos;
}

double TraceStore::begin_time() const {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    double begin = 0;
    bool any = false;
    for (const StreamTrace& s : impl_->streams) {
        if (s.empty()) continue;
        begin = any ? std::min(begin, s.runs.front().time) : s.runs.front().time;
        any = true;
    }
    return begin;
}

double TraceStore::end_time() const {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    double end = 0;
    for (const StreamTrace& s : impl_->streams) {
        if (!s.empty()) end = std::max(end, s.runs.back().last());
    }
    return end;
}

double TraceStore::begin_time(int stream) const {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    const StreamTrace* s = impl_->stream(stream);
    return s && !s->empty() ? s->runs.front().time : 0;
}

double TraceStore::end_time(int stream) const {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    const StreamTrace* s = impl_->stream(stream);
    return s && !s->empty() ? s->runs.back().last() : -1;
}

void TraceStore::extent(int stream, int channel, double t0, double t1, int columns, Extent* out) const {
    if (columns <= 0) return;
    std::fill(out, out + columns, Extent{});
    std::lock_guard<std::mutex> lock(impl_->mutex);
    const StreamTrace* s = impl_->stream(stream);
    if (!s || s->empty() || channel < 0 || size_t(channel) >= s->channels.size() || !(t1 > t0)) return;
    column_extents(s->runs, s->channels[size_t(channel)], t0, t1, columns, out);
}

size_t TraceStore::samples(int stream, int channel, double t0, double t1, size_t limit, double* time,
                           float* value) const {
    std::lock_guard<std::mutex> lock(impl_->mutex);
    const StreamTrace* s = impl_->stream(stream);
    if (!s || channel < 0 || size_t(channel) >= s->channels.size()) return 0;
    size_t n = 0;
    auto run =
        std::partition_point(s->runs.begin(), s->runs.end(), [&](const TimeRun& r) { return r.last() < t0; });
    for (; run != s->runs.end() && run->time < t1; ++run) {
        for (uint64_t i = run->first_at(t0); i < run->count && run->at(i) < t1 && n < limit; ++i) {
            if (!s->channels[size_t(channel)].value(run->row + i, &value[n])) continue;
            time[n++] = run->at(i);
        }
    }
    return n;
}

}  // namespace lockstep
