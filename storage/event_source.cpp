#include "storage/event_source.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "storage/row_cursor.h"

namespace lockstep::storage {
namespace {

using h5::Id;

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

}  // namespace

Gap gap_of(const GapRow& r, int stream) {
    return {stream, r.segment, r.first, r.missing, GapCause(r.cause), r.host_ns};
}

void add_segments(const SessionTables& t, Sources* out) {
    out->push_back(std::make_unique<ListSource<SegmentStarted>>(t.starts));
    out->push_back(std::make_unique<ListSource<SegmentEnded>>(t.ends));
}

void add_stream(const SessionTables& t, int index, Sources* out) {
    const Id group = h5::open_group(t.file.get(), "acquisition/" + t.groups[size_t(index)]);
    const StreamInfo& info = t.streams[size_t(index)].info;
    const size_t channels = info.channels.size();
    auto rows =
        std::make_shared<Ahead>(h5::open_dataset(group.get(), "data"), channels, t.memory_type(index),
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
                                      [=](const GapRow& r, uint64_t) { return Event(gap_of(r, index)); }));
}

void add_predictions(const SessionTables& t, Sources* out) {
    const Id all = h5::open_group(t.file.get(), "predictions");
    for (const std::string& model : h5::children(all.get())) {
        const Id group = h5::open_group(all.get(), model);
        for (const std::string& origin : h5::children(group.get())) {
            const Id g = h5::open_group(group.get(), origin);
            auto predictions =
                std::make_shared<PredictionGroup>(g, t.path + ": /predictions/" + model + "/" + origin);
            out->push_back(row_source<PredictionRow>(
                g.get(), "table",
                [=](const PredictionRow& r, uint64_t row) -> Event { return predictions->read(r, row); }));
        }
    }
}

void add_verdicts(const SessionTables& t, Sources* out) {
    const Id group = h5::open_group(t.file.get(), "comparison");
    out->push_back(row_source<VerdictRow>(
        group.get(), "verdicts", [](const VerdictRow& r, uint64_t) -> Event { return verdict_of(r); }));
}

void add_link(const SessionTables& t, Sources* out) {
    const h5::Table table(h5::open_group(t.file.get(), "events").get(), "link");
    std::vector<std::pair<uint64_t, LinkEvent>> events;
    for (size_t i = 0; i < table.size(); ++i)
        events.emplace_back(table.number<uint64_t>(i, "order"),
                            LinkEvent{table.number<int32_t>(i, "device"),
                                      LinkEventKind(std::clamp<int>(table.number<uint8_t>(i, "kind"), 1, 8)),
                                      table.number<uint64_t>(i, "count"), table.number<int64_t>(i, "host_ns"),
                                      table.text(i, "text")});
    out->push_back(std::make_unique<ListSource<LinkEvent>>(std::move(events)));
}

void add_markers(const SessionTables& t, Sources* out) {
    const h5::Table table(h5::open_group(t.file.get(), "events").get(), "markers");
    std::vector<std::pair<uint64_t, DeviceMarker>> events;
    for (size_t i = 0; i < table.size(); ++i)
        events.emplace_back(
            table.number<uint64_t>(i, "order"),
            DeviceMarker{table.number<int32_t>(i, "device"), table.number<uint64_t>(i, "device_us"),
                         table.number<int64_t>(i, "host_ns"), table.number<uint32_t>(i, "code"),
                         table.text(i, "text")});
    out->push_back(std::make_unique<ListSource<DeviceMarker>>(std::move(events)));
}

void add_clock(const SessionTables& t, Sources* out) {
    const Id group = h5::open_group(t.file.get(), "clock");
    out->push_back(row_source<ClockRow>(
        group.get(), "observations", [](const ClockRow& r, uint64_t) -> Event { return observation_of(r); }));
}

void add_health(const SessionTables& t, Sources* out) {
    const Id group = h5::open_group(t.file.get(), "events");
    out->push_back(row_source<HealthRow>(group.get(), "health",
                                         [](const HealthRow& r, uint64_t) -> Event { return health_of(r); }));
}

void add_labels(const SessionTables& t, Sources* out) {
    out->push_back(std::make_unique<ListSource<LabelEdit>>(t.history()));
}

void add_everything(const SessionTables& t, Sources* out) {
    add_segments(t, out);
    for (size_t i = 0; i < t.streams.size(); ++i)
        add_stream(t, int(i), out);
    add_predictions(t, out);
    add_verdicts(t, out);
    add_link(t, out);
    add_clock(t, out);
    add_health(t, out);
    add_markers(t, out);
    add_labels(t, out);
}

bool next_event(const Sources& sources, Event* event) {
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

}  // namespace lockstep::storage
