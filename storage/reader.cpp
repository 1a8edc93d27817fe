#include "storage/reader.h"

#include <map>

#include "storage/event_source.h"
#include "storage/file.h"
#include "storage/origin.h"
#include "storage/recorder.h"
#include "storage/session_tables.h"
#include "storage/worker.h"

namespace lockstep::storage {
namespace {

using h5::Id;

class Reader : public SessionReader {
  public:
    explicit Reader(const std::string& path) : t_(path), data_(t_.streams.size()) {}
    ~Reader() override {
        const auto held = h5::lock();
        data_.clear();
        overviews_.clear();
        t_.file.reset();
    }

    const std::string& path() const override { return t_.path; }
    const SessionHeader& header() const override { return t_.header; }
    const std::string& state() const override { return t_.state; }
    double duration() const override { return t_.duration; }
    const std::vector<SegmentInfo>& segments() const override { return t_.segments; }
    const std::vector<SessionStream>& streams() const override { return t_.streams; }
    const std::vector<SessionModel>& models() const override { return t_.models; }
    const std::vector<LabelClass>& classes() const override { return t_.classes; }
    const std::vector<ClockFit>& clocks() const override { return t_.clocks; }
    const std::vector<uint32_t>& overview_levels() const override { return levels_; }

    Status read(int stream, uint64_t row, uint64_t count, int32_t* out) override {
        return h5::guard(t_.path,
                         [&] { h5::read_rows(data(stream), t_.memory_type(stream), row, count, out); });
    }

    Status read_overview(int stream, uint32_t bin, uint64_t first_bin, uint64_t bins, MinMax* out) override {
        return h5::guard(t_.path, [&] {
            static_assert(sizeof(MinMax) == 2 * sizeof(int32_t));
            h5::read_rows(overview(stream, bin), t_.memory_type(stream), first_bin, bins, out);
        });
    }

    Result<std::vector<LabelEdit>> label_history() override { return collect<LabelEdit>(add_labels); }
    Result<std::vector<Prediction>> predictions() override { return collect<Prediction>(add_predictions); }
    Result<std::vector<WindowVerdict>> verdicts() override { return collect<WindowVerdict>(add_verdicts); }
    Result<std::vector<LinkEvent>> link_events() override { return collect<LinkEvent>(add_link); }
    Result<std::vector<ClockObservation>> clock_observations() override {
        return collect<ClockObservation>(add_clock);
    }
    Result<std::vector<HealthReport>> health() override { return collect<HealthReport>(add_health); }

    Status replay(const std::function<bool(const Event&)>& visit) override {
        Sources sources;
        auto made = h5::guard(t_.path, [&] { add_everything(t_, &sources); });
        if (!made) return made;
        for (;;) {
            Event event;
            auto more = h5::guard(t_.path, [&] { return next_event(sources, &event); });
            if (!more) return tl::make_unexpected(more.error());
            if (!*more || !visit(event)) return {};  // without the lock: the visitor takes its time
        }
    }

  private:
    template <typename T>
    Result<std::vector<T>> collect(void (*add)(const SessionTables&, Sources*)) {
        return h5::guard(t_.path, [&] {
            Sources sources;
            add(t_, &sources);
            std::vector<T> all;
            for (Event event; next_event(sources, &event);)
                all.push_back(std::get<T>(std::move(event)));
            return all;
        });
    }

    hid_t data(int stream) {
        t_.check_stream(stream);
        Id& opened = data_[size_t(stream)];
        if (!opened)
            opened = h5::open_dataset(t_.file.get(), "acquisition/" + t_.groups[size_t(stream)] + "/data");
        return opened.get();
    }

    hid_t overview(int stream, uint32_t bin) {
        t_.check_stream(stream);
        Id& opened = overviews_[{stream, bin}];
        if (opened) return opened.get();
        const std::string& name = t_.groups[size_t(stream)];
        const Id group = h5::open_group(t_.file.get(), "acquisition/" + name + "/overview");
        if (!h5::has(group.get(), std::to_string(bin)))
            h5::refuse("there is no overview of " + std::to_string(bin) + " rows a bin", name);
        Id found = h5::open_dataset(group.get(), std::to_string(bin));
        const auto size = h5::dimensions(found.get());
        if (size.size() != 3 || size[1] != t_.streams[size_t(stream)].info.channels.size() || size[2] != 2)
            h5::refuse("an overview has another shape", name);
        opened = std::move(found);
        return opened.get();
    }

    SessionTables t_;
    std::vector<uint32_t> levels_{std::begin(kLevels), std::end(kLevels)};
    std::vector<Id> data_;
    std::map<std::pair<int, uint32_t>, Id> overviews_;
};

}  // namespace

Result<std::unique_ptr<SessionReader>> open_session(const std::string& path) {
    if (!exists(path)) {
        if (exists(journal_path(path)) && !FileLock::take(journal_path(path)))
            return fail(ErrorKind::usage, "is being recorded just now", path, "finish the recording first");
        if (exists(journal_path(path)))
            return fail(ErrorKind::usage, "the recording was cut short; only its journal is there", path,
                        "run: lockstep session repair " + path);
        return fail(ErrorKind::usage, "there is no such file", path);
    }
    if (auto checked = check_in_worker(path); !checked) return tl::make_unexpected(checked.error());
    return open_session_here(path);
}

Result<SessionOrigin> read_origin(const std::string& path) {
    if (auto checked = check_in_worker(path); !checked) return tl::make_unexpected(checked.error());
    return h5::guard(path, [&] {
        const SessionTables tables(path);
        return SessionOrigin{tables.version, tables.provenance};
    });
}

Result<std::unique_ptr<SessionReader>> open_session_here(const std::string& path) {
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
