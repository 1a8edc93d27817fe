#include "storage/reader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>

#include "storage/file.h"
#include "storage/label_editor.h"
#include "storage/layout.h"
#include "storage/recorder.h"

namespace lockstep::storage {
namespace {

using h5::Id;

template <size_t N>
std::string text_of(const char (&bytes)[N]) {
    return std::string(bytes, strnlen(bytes, N));
}

// Reads a table's rows in order, a buffer at a time.
template <typename Row>
class RowCursor {
  public:
    RowCursor() = default;
    RowCursor(hid_t group, const std::string& name)
        : dataset_(h5::open_dataset(group, name)), type_(row_type<Row>()) {
        const auto size = h5::dimensions(dataset_.get());
        if (size.size() != 1) h5::refuse(name + " is not a table", {});
        rows_ = size[0];
    }
    uint64_t size() const { return rows_; }
    // The current row, nothing at the end.
    const Row* get() {
        if (at_ >= rows_) return nullptr;
        if (at_ >= begin_ + buffer_.size() || at_ < begin_) {
            begin_ = at_;
            buffer_.resize(size_t(std::min<uint64_t>(4096, rows_ - at_)));
            h5::read_rows(dataset_.get(), type_.get(), begin_, buffer_.size(), buffer_.data());
        }
        return &buffer_[size_t(at_ - begin_)];
    }
    void next() { ++at_; }
    uint64_t at() const { return at_; }

  private:
    Id dataset_, type_;
    uint64_t rows_ = 0, at_ = 0, begin_ = 0;
    std::vector<Row> buffer_;
};

// All rows of a table whose size is bounded by the file's.
template <typename Row>
std::vector<Row> read_table(hid_t group, const std::string& name) {
    const Id dataset = h5::open_dataset(group, name);
    const auto size = h5::dimensions(dataset.get());
    if (size.size() != 1) h5::refuse(name + " is not a table", {});
    if (size[0] > (2ull << 30) / sizeof(Row)) h5::refuse(name + " is absurdly large", {});
    std::vector<Row> rows(static_cast<size_t>(size[0]));
    h5::read_rows(dataset.get(), row_type<Row>().get(), 0, size[0], rows.data());
    return rows;
}

// One kind of event in the order it was received.
class Source {
  public:
    virtual ~Source() = default;
    static constexpr uint64_t kEnd = UINT64_MAX;
    virtual uint64_t order() = 0;  // of the next event, kEnd when there is none
    virtual Event take() = 0;      // the next event; REQUIRES: order() != kEnd
};

template <typename T>
class ListSource : public Source {
  public:
    explicit ListSource(std::vector<std::pair<uint64_t, T>> events) : events_(std::move(events)) {
        std::stable_sort(events_.begin(), events_.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    uint64_t order() override { return at_ < events_.size() ? events_[at_].first : kEnd; }
    Event take() override { return events_[at_++].second; }

  private:
    std::vector<std::pair<uint64_t, T>> events_;
    size_t at_ = 0;
};

template <typename Row, typename F>
class RowSource : public Source {
  public:
    RowSource(hid_t group, const std::string& name, F make) : cursor_(group, name), make_(std::move(make)) {}
    uint64_t order() override {
        const Row* row = cursor_.get();
        return row == nullptr ? kEnd : row->order;
    }
    Event take() override {
        Event event = make_(*cursor_.get(), cursor_.at());
        cursor_.next();
        return event;
    }

  private:
    RowCursor<Row> cursor_;
    F make_;
};
template <typename Row, typename F>
std::unique_ptr<Source> row_source(hid_t group, const std::string& name, F make) {
    return std::make_unique<RowSource<Row, F>>(group, name, std::move(make));
}

// Reads a dataset's rows ahead, in stretches, for a caller that goes through them in order.
class Ahead {
  public:
    Ahead(Id dataset, size_t channels, hid_t type, uint64_t stretch)
        : dataset_(std::move(dataset)),
          channels_(channels),
          type_(type),
          stretch_(std::max<uint64_t>(stretch, 1)) {
        rows_ = h5::dimensions(dataset_.get())[0];
    }
    void read(uint64_t row, uint64_t count, int32_t* out) {
        if (row > rows_ || count > rows_ - row)
            h5::refuse("the block table names rows that do not exist", {});
        while (count != 0) {
            if (row < begin_ || row >= begin_ + have_) {
                begin_ = row;
                have_ = std::min(std::max<uint64_t>(stretch_, 1), rows_ - row);
                buffer_.resize(size_t(have_) * channels_);
                h5::read_rows(dataset_.get(), type_, begin_, have_, buffer_.data());
            }
            const uint64_t n = std::min(count, begin_ + have_ - row);
            memcpy(out, buffer_.data() + size_t(row - begin_) * channels_,
                   size_t(n) * channels_ * sizeof(int32_t));
            out += n * channels_;
            row += n;
            count -= n;
        }
    }

  private:
    Id dataset_;
    size_t channels_;
    hid_t type_;
    uint64_t stretch_, rows_ = 0, begin_ = 0, have_ = 0;
    std::vector<int32_t> buffer_;
};

Event event_of(const GapRow& r, int stream) {
    return Gap{stream, r.segment, r.first, r.missing, GapCause(r.cause), r.host_ns};
}
ClockObservation observation_of(const ClockRow& r) {
    return {r.device, r.segment, r.sent_ns, r.device_received_us, r.device_sent_us, r.received_ns};
}
HealthReport health_of(const HealthRow& r) {
    HealthReport report{r.device, r.host_ns, {}};
    wire::Health& h = report.health;
    h.uptime_us = r.uptime_us;
    h.tx_queue_high = r.tx_queue_high;
    h.rx_queue_high = r.rx_queue_high;
    h.stack_size = r.stack_size;
    h.stack_high = r.stack_high;
    h.bad_frames = r.bad_frames;
    h.late_samples = r.late_samples;
    h.windows_skipped = r.windows_skipped;
    h.streams = uint8_t(std::min<size_t>(r.streams, wire::kMaxStreams));
    for (size_t i = 0; i < h.streams; ++i)
        h.stream[i] = {r.produced[i], r.dropped[i]};
    return report;
}
WindowVerdict verdict_of(const VerdictRow& r) {
    WindowVerdict v;
    v.segment = r.segment;
    v.model = r.model;
    v.window = r.window;
    v.verdict = Verdict(std::clamp<int>(r.verdict, 1, 4));
    v.difference = Difference(std::clamp<int>(r.difference, 0, 4));
    v.stage = r.stage;
    v.reason = text_of(r.reason);
    return v;
}
Label label_of(const h5::Table& t, size_t i, const std::string& side) {
    Label label;
    label.id = t.number<uint64_t>(i, side + "id");
    label.start = t.number<double>(i, side + "start");
    label.stop = t.number<double>(i, side + "stop");
    label.stream = t.number<int32_t>(i, side + "stream");
    label.channel = t.number<int32_t>(i, side + "channel");
    label.confidence = t.number<double>(i, side + "confidence");
    label.label_class = t.text(i, side + "class");
    label.source = t.text(i, side + "source");
    label.note = t.text(i, side + "note");
    return label;
}

// One origin's predictions of one model: a table and its matrices, row by row.
struct PredictionGroup {
    PredictionGroup(const Id& group, const std::string& where) {
        const std::string origin_text = h5::read_text_attribute(group.get(), "origin");
        if (origin_text != "device" && origin_text != "host")
            h5::refuse("predictions of an unknown origin", where);
        origin = origin_text == "device" ? Origin::device : Origin::host;
        table = RowCursor<PredictionRow>(group.get(), "table");
        for (auto [name, dataset, width] : {std::tuple{"first", &first, &firsts},
                                            {"scores", &scores, &score_count},
                                            {"stages", &stages, &stage_count}}) {
            if (!h5::has(group.get(), name)) continue;
            *dataset = h5::open_dataset(group.get(), name);
            const auto size = h5::dimensions(dataset->get());
            if (size.size() != 2 || size[0] != table.size() || size[1] > 65536)
                h5::refuse(std::string(name) + " does not match its table", where);
            *width = size_t(size[1]);
        }
    }
    Prediction read(const PredictionRow& r, uint64_t row) const {
        Prediction p;
        p.origin = origin;
        p.segment = r.segment;
        p.model = r.model;
        p.plan_id = text_of(r.plan_id);
        p.window = r.window;
        p.input_hash = r.input_hash;
        p.output_hash = r.output_hash;
        p.cost_kind = wire::CostKind(std::min<int>(r.cost_kind, 3));
        p.cost = r.cost;
        p.device_us = r.device_us;
        p.host_ns = r.host_ns;
        p.first.resize(firsts);
        p.scores.resize(score_count);
        p.stages.resize(stage_count);
        fill(first, H5T_NATIVE_UINT64, row, firsts, sizeof(uint64_t), &first_cache, p.first.data());
        fill(scores, H5T_NATIVE_FLOAT, row, score_count, sizeof(float), &score_cache, p.scores.data());
        fill(stages, H5T_NATIVE_UINT32, row, stage_count, sizeof(uint32_t), &stage_cache, p.stages.data());
        return p;
    }

    Origin origin = Origin::host;
    RowCursor<PredictionRow> table;

  private:
    struct Cache {
        uint64_t begin = 0, rows = 0;
        std::vector<uint8_t> bytes;
    };
    void fill(const Id& dataset, hid_t type, uint64_t row, size_t width, size_t size, Cache* cache,
              void* out) const {
        if (width == 0) return;
        if (row < cache->begin || row >= cache->begin + cache->rows) {
            cache->begin = row;
            cache->rows = std::min<uint64_t>(1024, table.size() - row);
            cache->bytes.resize(size_t(cache->rows) * width * size);
            h5::read_rows(dataset.get(), type, row, cache->rows, cache->bytes.data());
        }
        memcpy(out, cache->bytes.data() + size_t(row - cache->begin) * width * size, width * size);
    }
    Id first, scores, stages;
    size_t firsts = 0, score_count = 0, stage_count = 0;
    mutable Cache first_cache, score_cache, stage_cache;
};

class Reader : public SessionReader {
  public:
    explicit Reader(const std::string& path) : path_(path) {
        file_ = h5::open_file(path);
        h5::check_structure(file_.get(), path);
        load_header();
        load_segments();
        load_streams();
        load_models();
        load_classes();
        load_clocks();
    }
    ~Reader() override {
        const auto held = h5::lock();
        data_.clear();
        overviews_.clear();
        file_.reset();
    }

    const std::string& path() const override { return path_; }
    const SessionHeader& header() const override { return header_; }
    const std::string& state() const override { return state_; }
    double duration() const override { return duration_; }
    const std::vector<SegmentInfo>& segments() const override { return segments_; }
    const std::vector<SessionStream>& streams() const override { return streams_; }
    const std::vector<SessionModel>& models() const override { return models_; }
    const std::vector<LabelClass>& classes() const override { return classes_; }
    const std::vector<ClockFit>& clocks() const override { return clocks_; }
    const std::vector<uint32_t>& overview_levels() const override { return levels_; }

    Status read(int stream, uint64_t row, uint64_t count, int32_t* out) override {
        return h5::guard(path_, [&] { h5::read_rows(data(stream), memory_type(stream), row, count, out); });
    }

    Status read_overview(int stream, uint32_t bin, uint64_t first_bin, uint64_t bins, MinMax* out) override {
        return h5::guard(path_, [&] {
            check_stream(stream);
            auto& opened = overviews_[{stream, bin}];
            if (!opened) {
                const Id group =
                    h5::open_group(file_.get(), "acquisition/" + groups_[size_t(stream)] + "/overview");
                if (!h5::has(group.get(), std::to_string(bin)))
                    h5::refuse("there is no overview of " + std::to_string(bin) + " rows a bin",
                               groups_[size_t(stream)]);
                opened = h5::open_dataset(group.get(), std::to_string(bin));
                const auto size = h5::dimensions(opened.get());
                if (size.size() != 3 || size[1] != streams_[size_t(stream)].info.channels.size() ||
                    size[2] != 2)
                    h5::refuse("an overview has another shape", groups_[size_t(stream)]);
            }
            static_assert(sizeof(MinMax) == 2 * sizeof(int32_t));
            h5::read_rows(opened.get(), memory_type(stream), first_bin, bins, out);
        });
    }

    Result<std::vector<LabelEdit>> label_history() override {
        return h5::guard(path_, [&] {
            std::vector<LabelEdit> edits;
            for (auto& [order, edit] : history())
                edits.push_back(std::move(edit));
            return edits;
        });
    }
    Result<std::vector<Prediction>> predictions() override {
        return collect<Prediction>(&Reader::add_predictions);
    }
    Result<std::vector<WindowVerdict>> verdicts() override {
        return collect<WindowVerdict>(&Reader::add_verdicts);
    }
    Result<std::vector<LinkEvent>> link_events() override { return collect<LinkEvent>(&Reader::add_link); }
    Result<std::vector<ClockObservation>> clock_observations() override {
        return collect<ClockObservation>(&Reader::add_clock);
    }
    Result<std::vector<HealthReport>> health() override { return collect<HealthReport>(&Reader::add_health); }

    Status replay(const std::function<bool(const Event&)>& visit) override {
        std::vector<std::unique_ptr<Source>> sources;
        auto made = h5::guard(path_, [&] {
            add_segments(&sources);
            for (size_t i = 0; i < streams_.size(); ++i)
                add_stream(int(i), &sources);
            add_predictions(&sources);
            add_verdicts(&sources);
            add_link(&sources);
            add_clock(&sources);
            add_health(&sources);
            add_markers(&sources);
            sources.push_back(std::make_unique<ListSource<LabelEdit>>(history()));
        });
        if (!made) return made;
        for (;;) {
            Event event;
            auto more = h5::guard(path_, [&] { return merge(sources, &event); });
            if (!more) return tl::make_unexpected(more.error());
            if (!*more || !visit(event)) return {};  // without the lock: the visitor takes its time
        }
    }

  private:
    using Sources = std::vector<std::unique_ptr<Source>>;

    static bool merge(const Sources& sources, Event* event) {
        Source* next = nullptr;
        uint64_t least = Source::kEnd;
        for (const auto& source : sources) {
            const uint64_t order = source->order();
            if (order < least) {
                least = order;
                next = source.get();
            }
        }
        if (next == nullptr) return false;
        *event = next->take();
        return true;
    }

    template <typename T>
    Result<std::vector<T>> collect(void (Reader::*add)(Sources*)) {
        return h5::guard(path_, [&] {
            Sources sources;
            (this->*add)(&sources);
            std::vector<T> all;
            for (Event event; merge(sources, &event);)
                all.push_back(std::get<T>(event));
            return all;
        });
    }

    void load_header() {
        const Id root = h5::open_group(file_.get(), "/");
        if (h5::read_text_attribute(root.get(), "format") != kFormat)
            h5::refuse("this is an HDF5 file, but not a Lockstep session", path_);
        const auto version = h5::read_number<uint32_t>(root.get(), "format_version", 0);
        if (version > kFormatVersion)
            throw h5::Failure(Error{ErrorKind::usage,
                                    "the session has format " + std::to_string(version) +
                                        ", this program knows " + std::to_string(kFormatVersion),
                                    path_, "use a newer lockstep"});
        if (version == 0) h5::refuse("the session names no format version", path_);
        state_ = h5::read_text_attribute(root.get(), "state");
        if (state_ == "recording")
            throw h5::Failure(Error{ErrorKind::usage, "the session is still being written or was cut short",
                                    path_, "finish the recording, or run: lockstep session repair " + path_});
        header_.identifier = h5::read_text_attribute(root.get(), "identifier");
        header_.start_utc_ns = h5::read_number<int64_t>(root.get(), "start_utc_ns", 0);
        header_.start_host_ns = h5::read_number<int64_t>(root.get(), "start_host_ns", 0);
        header_.software = h5::read_text_attribute(root.get(), "software");
        header_.git_commit = h5::read_text_attribute(root.get(), "git_commit");
        header_.composite = h5::read_number<uint8_t>(root.get(), "composite", 0) != 0;
        header_.mains_hz = h5::read_number<double>(root.get(), "mains_hz", 50);
        duration_ = h5::read_number<double>(root.get(), "duration", 0);
        const Id general = h5::open_group(file_.get(), "general");
        header_.task = h5::read_text_attribute(general.get(), "task");
        if (h5::has(general.get(), "subject"))
            header_.subject = h5::read_text_attribute(h5::open_group(general.get(), "subject").get(), "id");
        if (h5::has(file_.get(), "provenance")) {
            const h5::Table settings(h5::open_group(file_.get(), "provenance").get(), "settings");
            for (size_t i = 0; i < settings.size(); ++i)
                header_.settings[settings.text(i, "key")] = settings.text(i, "value");
        }
    }

    void load_segments() {
        const Id all = h5::open_group(file_.get(), "segments");
        for (const std::string& name : h5::children(all.get())) {
            const Id group = h5::open_group(all.get(), name);
            const hid_t g = group.get();
            const auto segment = h5::read_number<int32_t>(g, "segment", 0);
            SegmentInfo info;
            if (h5::read_number<uint8_t>(g, "started", 0) != 0) {
                SegmentStarted& s = info.started;
                s.segment = segment;
                s.device = h5::read_number<int32_t>(g, "device", 0);
                s.epoch = h5::read_number<uint8_t>(g, "epoch", 0);
                s.host_ns = h5::read_number<int64_t>(g, "host_ns", 0);
                s.reason = h5::read_text_attribute(g, "reason");
                const auto streams = h5::read_numbers<int32_t>(g, "streams");
                s.streams.assign(streams.begin(), streams.end());
                s.info = device_from_json(h5::read_text(g, "device_json"));
                starts_.emplace_back(h5::read_number<uint64_t>(g, "order", 0), s);
            }
            if (h5::read_number<uint8_t>(g, "ended", 0) != 0) {
                SegmentEnded e;
                e.segment = segment;
                e.host_ns = h5::read_number<int64_t>(g, "end_host_ns", 0);
                e.reason = h5::read_text_attribute(g, "end_reason");
                e.counted = h5::read_number<uint8_t>(g, "counted", 0) != 0;
                const auto produced = h5::read_numbers<uint32_t>(g, "produced"),
                           dropped = h5::read_numbers<uint32_t>(g, "dropped");
                for (size_t i = 0; i < produced.size() && i < dropped.size(); ++i)
                    e.sent.push_back({produced[i], dropped[i]});
                ends_.emplace_back(h5::read_number<uint64_t>(g, "end_order", 0), e);
                info.ended = e;
            }
            if (h5::read_number<uint8_t>(g, "started", 0) != 0) segments_.push_back(info);
        }
    }

    void load_streams() {
        const Id all = h5::open_group(file_.get(), "acquisition");
        std::map<int, std::string> names;
        for (const std::string& name : h5::children(all.get())) {
            const Id group = h5::open_group(all.get(), name);
            names[h5::read_number<int32_t>(group.get(), "index", -1)] = name;
        }
        for (const auto& [index, name] : names) {
            if (index != int(streams_.size()))
                h5::refuse("stream numbers have a hole", path_ + ": /acquisition/" + name);
            groups_.push_back(name);
            streams_.push_back(load_stream(all.get(), name, index));
        }
        data_.resize(streams_.size());
    }

    SessionStream load_stream(hid_t parent, const std::string& name, int index) {
        const std::string where = path_ + ": /acquisition/" + name;
        const Id group = h5::open_group(parent, name);
        const hid_t g = group.get();
        SessionStream s;
        s.device = h5::read_number<int32_t>(g, "device", 0);
        s.rate_measured = h5::read_number<double>(g, "rate_measured", 0);
        s.info.name = h5::read_text_attribute(g, "name", name);
        s.info.kind = h5::read_text_attribute(g, "kind");
        const auto type = h5::read_number<uint8_t>(g, "sample_type", 0);
        if (type < 1 || type > 4) h5::refuse("the stream has a sample type that does not exist", where);
        s.info.type = SampleType(type);
        s.info.rate_num = h5::read_number<uint32_t>(g, "rate_num", 0);
        s.info.rate_den = h5::read_number<uint32_t>(g, "rate_den", 0);
        if (s.info.rate_num == 0 || s.info.rate_den == 0) h5::refuse("the stream's rate is zero", where);
        // What the device said last of the stream: batch and the like.
        for (const auto& [order, started] : starts_)
            for (size_t i = 0; i < started.streams.size() && i < started.info.streams.size(); ++i)
                if (started.streams[i] == index) {
                    s.info.batch = started.info.streams[i].batch;
                    s.info.enabled = started.info.streams[i].enabled;
                }
        const h5::Table channels(g, "channels");
        if (channels.size() == 0 || channels.size() > 65535)
            h5::refuse("the stream has no usable number of channels", where);
        for (size_t i = 0; i < channels.size(); ++i)
            s.info.channels.push_back({channels.text(i, "name"), channels.text(i, "units"),
                                       channels.number<float>(i, "scale"),
                                       channels.number<float>(i, "offset")});
        const auto size = h5::dimensions(h5::open_dataset(g, "data").get());
        if (size.size() != 2 || size[1] != channels.size())
            h5::refuse("data do not have one column per channel", where);
        s.rows = size[0];
        uint64_t next = 0;
        for (const RunRow& r : read_table<RunRow>(g, "runs")) {
            if (r.row != next || r.count > s.rows - r.row)
                h5::refuse("the runs do not match the rows", where);
            next = r.row + r.count;
            s.runs.push_back({r.row, r.count, r.segment, r.first, r.device_us, r.time});
        }
        if (next != s.rows) h5::refuse("the runs do not match the rows", where);
        for (const GapRow& r : read_table<GapRow>(g, "gaps"))
            s.gaps.push_back(std::get<Gap>(event_of(r, index)));
        return s;
    }

    void load_models() {
        const Id all = h5::open_group(file_.get(), "models");
        const size_t count = h5::children(all.get()).size();
        for (size_t i = 0; i < count; ++i) {
            const Id group = h5::open_group(all.get(), std::to_string(i));
            SessionModel model;
            model.name = h5::read_text_attribute(group.get(), "name");
            model.plan_id = h5::read_text_attribute(group.get(), "plan_id");
            const Id plan = h5::open_dataset(group.get(), "plan");
            const auto size = h5::dimensions(plan.get());
            if (size.size() != 1 || size[0] > (64u << 20))
                h5::refuse("the plan has an absurd size", path_ + ": /models");
            model.plan.resize(size_t(size[0]));
            h5::read_rows(plan.get(), H5T_NATIVE_UINT8, 0, size[0], model.plan.data());
            models_.push_back(std::move(model));
        }
    }

    void load_classes() {
        const Id group = h5::open_group(file_.get(), "intervals");
        const h5::Table t(group.get(), "classes");
        for (size_t i = 0; i < t.size(); ++i) {
            const std::string hotkey = t.text(i, "hotkey");
            classes_.push_back({t.text(i, "name"), t.text(i, "color"), hotkey.empty() ? char(0) : hotkey[0],
                                t.text(i, "HED")});
        }
        for (const LabelClass& added : pending_edits(path_).classes) {
            const auto same = std::find_if(classes_.begin(), classes_.end(),
                                           [&](const LabelClass& c) { return c.name == added.name; });
            if (same == classes_.end())
                classes_.push_back(added);
            else
                *same = added;
        }
    }

    void load_clocks() {
        const Id all = h5::open_group(file_.get(), "clock");
        for (const std::string& name : h5::children(all.get())) {
            if (name.rfind("fit_", 0) != 0) continue;
            const Id fit = h5::open_group(all.get(), name);
            clocks_.push_back({h5::read_number<int32_t>(fit.get(), "device", 0),
                               h5::read_number<double>(fit.get(), "offset_ms", 0),
                               h5::read_number<double>(fit.get(), "drift_ppm", 0),
                               h5::read_number<double>(fit.get(), "error_ms", 0)});
        }
    }

    void check_stream(int stream) const {
        if (stream < 0 || size_t(stream) >= streams_.size())
            h5::refuse("the session has no stream " + std::to_string(stream), path_);
    }
    hid_t data(int stream) {
        check_stream(stream);
        Id& opened = data_[size_t(stream)];
        if (!opened)
            opened = h5::open_dataset(file_.get(), "acquisition/" + groups_[size_t(stream)] + "/data");
        return opened.get();
    }
    // Float streams are read as floats, into the same four bytes.
    hid_t memory_type(int stream) const {
        check_stream(stream);
        return streams_[size_t(stream)].info.type == SampleType::float32 ? H5T_NATIVE_FLOAT
                                                                         : H5T_NATIVE_INT32;
    }

    std::vector<std::pair<uint64_t, LabelEdit>> history() {
        std::vector<std::pair<uint64_t, LabelEdit>> edits;
        const h5::Table t(h5::open_group(file_.get(), "intervals").get(), "history");
        for (size_t i = 0; i < t.size(); ++i) {
            LabelEdit e;
            e.operation = LabelOperation(std::clamp<int>(t.number<uint8_t>(i, "operation"), 1, 3));
            e.revision = t.number<uint64_t>(i, "revision");
            e.utc_ns = t.number<int64_t>(i, "utc_ns");
            e.author = t.text(i, "author");
            e.reason = t.text(i, "reason");
            e.before = label_of(t, i, "old_");
            e.after = label_of(t, i, "new_");
            edits.emplace_back(t.number<uint64_t>(i, "order"), std::move(e));
        }
        // Edits that wait beside the file; one that a cut-short merge already wrote is there twice.
        const uint64_t last = edits.empty() ? 0 : edits.back().second.revision;
        for (LabelEdit& e : pending_edits(path_).edits)
            if (e.revision > last) edits.emplace_back(UINT64_MAX - 1, std::move(e));
        return edits;
    }

    void add_segments(Sources* out) {
        out->push_back(std::make_unique<ListSource<SegmentStarted>>(starts_));
        out->push_back(std::make_unique<ListSource<SegmentEnded>>(ends_));
    }
    void add_stream(int index, Sources* out) {
        const Id group = h5::open_group(file_.get(), "acquisition/" + groups_[size_t(index)]);
        const StreamInfo& info = streams_[size_t(index)].info;
        const size_t channels = info.channels.size();
        auto rows = std::make_shared<Ahead>(
            h5::open_dataset(group.get(), "data"), channels, memory_type(index),
            std::max<uint64_t>(256, std::min<uint64_t>(16384, (1u << 20) / channels)));
        out->push_back(row_source<BlockRow>(group.get(), "blocks", [=](const BlockRow& r, uint64_t) -> Event {
            auto block = std::make_shared<Block>();
            block->stream = index;
            block->segment = r.segment;
            block->first = r.first;
            block->device_us = r.device_us;
            block->host_ns = r.host_ns;
            block->sequence = r.sequence;
            block->discontinuity = (r.flags & kFlagDiscontinuity) != 0;
            block->count = r.count;
            block->channels = uint16_t(channels);
            if (uint64_t(r.count) * channels > (64u << 20)) h5::refuse("a block claims an absurd size", {});
            block->counts.resize(size_t(r.count) * channels);
            rows->read(r.row, r.count, block->counts.data());
            return std::shared_ptr<const Block>(std::move(block));
        }));
        out->push_back(row_source<GapRow>(group.get(), "gaps",
                                          [=](const GapRow& r, uint64_t) { return event_of(r, index); }));
    }
    void add_predictions(Sources* out) {
        const Id all = h5::open_group(file_.get(), "predictions");
        for (const std::string& model : h5::children(all.get())) {
            const Id group = h5::open_group(all.get(), model);
            for (const std::string& origin : h5::children(group.get())) {
                const Id g = h5::open_group(group.get(), origin);
                auto predictions =
                    std::make_shared<PredictionGroup>(g, path_ + ": /predictions/" + model + "/" + origin);
                out->push_back(row_source<PredictionRow>(g.get(), "table",
                                                         [=](const PredictionRow& r, uint64_t row) -> Event {
                                                             return predictions->read(r, row);
                                                         }));
            }
        }
    }
    void add_verdicts(Sources* out) {
        const Id group = h5::open_group(file_.get(), "comparison");
        out->push_back(row_source<VerdictRow>(
            group.get(), "verdicts", [](const VerdictRow& r, uint64_t) -> Event { return verdict_of(r); }));
    }
    void add_link(Sources* out) {
        const h5::Table t(h5::open_group(file_.get(), "events").get(), "link");
        std::vector<std::pair<uint64_t, LinkEvent>> events;
        for (size_t i = 0; i < t.size(); ++i)
            events.emplace_back(t.number<uint64_t>(i, "order"),
                                LinkEvent{t.number<int32_t>(i, "device"),
                                          LinkEventKind(std::clamp<int>(t.number<uint8_t>(i, "kind"), 1, 8)),
                                          t.number<uint64_t>(i, "count"), t.number<int64_t>(i, "host_ns"),
                                          t.text(i, "text")});
        out->push_back(std::make_unique<ListSource<LinkEvent>>(std::move(events)));
    }
    void add_markers(Sources* out) {
        const h5::Table t(h5::open_group(file_.get(), "events").get(), "markers");
        std::vector<std::pair<uint64_t, DeviceMarker>> events;
        for (size_t i = 0; i < t.size(); ++i)
            events.emplace_back(
                t.number<uint64_t>(i, "order"),
                DeviceMarker{t.number<int32_t>(i, "device"), t.number<uint64_t>(i, "device_us"),
                             t.number<int64_t>(i, "host_ns"), t.number<uint32_t>(i, "code"),
                             t.text(i, "text")});
        out->push_back(std::make_unique<ListSource<DeviceMarker>>(std::move(events)));
    }
    void add_clock(Sources* out) {
        const Id group = h5::open_group(file_.get(), "clock");
        out->push_back(
            row_source<ClockRow>(group.get(), "observations",
                                 [](const ClockRow& r, uint64_t) -> Event { return observation_of(r); }));
    }
    void add_health(Sources* out) {
        const Id group = h5::open_group(file_.get(), "events");
        out->push_back(row_source<HealthRow>(
            group.get(), "health", [](const HealthRow& r, uint64_t) -> Event { return health_of(r); }));
    }

    std::string path_;
    Id file_;
    SessionHeader header_;
    std::string state_;
    double duration_ = 0;
    std::vector<SegmentInfo> segments_;
    std::vector<std::pair<uint64_t, SegmentStarted>> starts_;
    std::vector<std::pair<uint64_t, SegmentEnded>> ends_;
    std::vector<std::string> groups_;  // by stream
    std::vector<SessionStream> streams_;
    std::vector<SessionModel> models_;
    std::vector<LabelClass> classes_;
    std::vector<ClockFit> clocks_;
    std::vector<uint32_t> levels_{std::begin(kLevels), std::end(kLevels)};
    std::vector<Id> data_;
    std::map<std::pair<int, uint32_t>, Id> overviews_;
};

}  // namespace

Result<std::unique_ptr<SessionReader>> open_session(const std::string& path) {
    if (!exists(path)) {
        if (exists(journal_path(path)))
            return fail(ErrorKind::usage, "the recording was cut short; only its journal is there", path,
                        "run: lockstep session repair " + path);
        return fail(ErrorKind::usage, "there is no such file", path);
    }
    auto opened =
        h5::guard(path, [&]() -> std::unique_ptr<SessionReader> { return std::make_unique<Reader>(path); });
    if (!opened) {
        Error error = opened.error();
        error.kind = ErrorKind::usage;  // bad input
        return tl::make_unexpected(error);
    }
    return opened;
}

}  // namespace lockstep::storage
