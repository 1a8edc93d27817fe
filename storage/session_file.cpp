#include "storage/session_file.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>

#include "acquisition/label_track.h"
#include "storage/clock_history.h"
#include "storage/file.h"
#include "storage/layout.h"
#include "storage/stream_writer.h"

namespace lockstep::storage {
namespace {

using h5::Grower;
using h5::Id;

template <size_t N>
void put_text(char (&out)[N], const std::string& text) {
    std::string bytes = h5::clean(text);
    if (bytes.size() > N) bytes = h5::clean(bytes.substr(0, N));
    memset(out, 0, N);
    memcpy(out, bytes.data(), std::min(N, bytes.size()));
}

LabelRow label_row(const Label& label) {
    return {label.id, label.start, label.stop, label.stream, label.channel, label.confidence};
}

// A table whose texts are written at close, as wide as the longest.
template <typename Row>
struct TextTable {
    std::vector<Row> rows;
    std::vector<h5::TextColumn> texts;

    void write(hid_t group, const std::string& name) const {
        h5::write_table(group, name, columns(static_cast<const Row*>(nullptr)), sizeof(Row), rows.data(),
                        rows.size(), texts);
    }
};

struct PredictionTable {
    Id group;
    Grower table, first, scores, stages;
};

class SessionFileImpl : public SessionFile {
  public:
    SessionFileImpl(const std::string& path, const WriterOptions& options) : path_(path), options_(options) {
        options_.models.clear();
        for (const SessionModel& m : options.models)
            options_.models.push_back({m.name, m.plan_id, {}});
        file_ = h5::create_file(path);
        const SessionHeader& header = options.header;
        h5::write_attribute(file_.get(), "format", kFormat);
        h5::write_number(file_.get(), "format_version", kFormatVersion);
        h5::write_attribute(file_.get(), "identifier", header.identifier);
        h5::write_attribute(file_.get(), "session_start_time", utc_text(header.start_utc_ns));
        h5::write_number(file_.get(), "start_utc_ns", header.start_utc_ns);
        h5::write_number(file_.get(), "start_host_ns", header.start_host_ns);
        h5::write_attribute(file_.get(), "state", "recording");
        h5::write_attribute(file_.get(), "software", header.software);
        h5::write_attribute(file_.get(), "git_commit", header.git_commit);
        h5::write_number(file_.get(), "composite", uint8_t(header.composite ? 1 : 0));
        h5::write_number(file_.get(), "mains_hz", header.mains_hz);

        general_ = h5::create_group(file_.get(), "general");
        h5::write_attribute(general_.get(), "task", header.task);
        const Id subject = h5::create_group(general_.get(), "subject");
        h5::write_attribute(subject.get(), "id", header.subject);
        devices_ = h5::create_group(general_.get(), "devices");
        acquisition_ = h5::create_group(file_.get(), "acquisition");
        segments_ = h5::create_group(file_.get(), "segments");
        predictions_ = h5::create_group(file_.get(), "predictions");
        const Id clock = h5::create_group(file_.get(), "clock");
        clock_ = Grower(clock.get(), "observations", row_type<ClockRow>().get(), {});
        const Id events = h5::create_group(file_.get(), "events");
        health_ = Grower(events.get(), "health", row_type<HealthRow>().get(), {0, 0, 256});
        const Id compare = h5::create_group(file_.get(), "comparison");
        verdicts_ = Grower(compare.get(), "verdicts", row_type<VerdictRow>().get(), {});

        const Id models = h5::create_group(file_.get(), "models");
        for (size_t i = 0; i < options.models.size(); ++i) {
            const Id model = h5::create_group(models.get(), std::to_string(i));
            h5::write_attribute(model.get(), "name", options.models[i].name);
            h5::write_attribute(model.get(), "plan_id", options.models[i].plan_id);
            const auto& plan = options.models[i].plan;
            Grower bytes(model.get(), "plan", H5T_STD_U8LE,
                         {0, 0, std::clamp<size_t>(plan.size(), 1, 65536)});
            for (const uint8_t& b : plan)
                bytes.append(&b);
            bytes.close();
        }
        link_.texts = {{"text", {}}};
        markers_.texts = {{"text", {}}};
        provenance_.steps = {recording_step(header, options.models)};
    }

    ~SessionFileImpl() override {
        const auto held = h5::lock();
        if (!closed_) abandon();
    }

    Status add(const Event& event) override {
        return h5::guard(path_, [&] {
            if (closed_) h5::refuse("the file is closed", path_, ErrorKind::system);
            std::visit([this](const auto& v) { store(v); }, event);
            ++order_;
        });
    }

    Status add_class(const LabelClass& label_class) override {
        options_.classes.push_back(label_class);
        return {};
    }

    void note_step(const std::string& program, const std::string& params_json) override {
        provenance_.steps.push_back(
            {options_.header.start_utc_ns + last_host_ns_ - options_.header.start_host_ns, program,
             options_.header.software, options_.header.git_commit, params_json});
    }

    void set_provenance(const Provenance& provenance) override { provenance_ = provenance; }

    Status close(const std::string& state) override {
        auto status = h5::guard(path_, [&] {
            finish(state);
            h5::check(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), "cannot write", path_);
        });
        const auto held = h5::lock();
        abandon();
        return status;
    }

    uint64_t bytes() const override {
        uint64_t total = clock_.bytes() + health_.bytes() + verdicts_.bytes();
        for (const auto& s : streams_)
            if (s) total += s->bytes();
        return total;
    }
    uint64_t size_at_end() const override {
        constexpr uint64_t kRest = 128u << 10;  // empty tables, attributes, HDF5's own
        const auto held = h5::lock();
        if (closed_) return 0;
        uint64_t total = kRest + h5::allocated_bytes(file_.get()) + clock_.pending_bytes() +
                         health_.pending_bytes() + verdicts_.pending_bytes() + texts_bytes_;
        for (const auto& s : streams_)
            if (s) total += s->pending_bytes();
        for (const auto& [key, t] : prediction_tables_)
            total += t.table.pending_bytes() + t.first.pending_bytes() + t.scores.pending_bytes() +
                     t.stages.pending_bytes();
        return total;
    }
    uint64_t samples() const override { return samples_; }

  private:
    // Lets go of every object and the file, in this order, so that the file is really closed.
    void abandon() {
        closed_ = true;
        streams_.clear();
        prediction_tables_.clear();
        clock_ = Grower();
        health_ = Grower();
        verdicts_ = Grower();
        general_.reset(), devices_.reset(), acquisition_.reset(), segments_.reset(), predictions_.reset();
        file_.reset();
    }

    void seen(int64_t host_ns) { last_host_ns_ = std::max(last_host_ns_, host_ns); }

    void store(const SegmentStarted& v) {
        seen(v.host_ns);
        const Id group = new_segment(v.segment);
        h5::write_number(group.get(), "started", uint8_t(1));
        h5::write_number(group.get(), "order", order_);
        h5::write_number(group.get(), "device", int32_t(v.device));
        h5::write_number(group.get(), "epoch", v.epoch);
        h5::write_number(group.get(), "host_ns", v.host_ns);
        h5::write_attribute(group.get(), "reason", v.reason);
        const auto step = provenance_.step_of_segment.find(v.segment);
        h5::write_number(group.get(), "step",
                         int32_t(step == provenance_.step_of_segment.end() ? 0 : step->second));
        h5::write_numbers(group.get(), "streams", std::vector<int32_t>(v.streams.begin(), v.streams.end()));
        h5::write_text(group.get(), "device_json", to_json(v.info));
        open_segments_[v.segment] = segment_names_.back();
        // A continuation's host clock is another one, even when the device still runs.
        if (v.reason.rfind(kContinued, 0) == 0) ++continued_[v.device];
        segment_clock_[v.segment] = {v.device, v.info.boot_id, continued_[v.device]};

        const std::string device = std::to_string(v.device);
        if (!h5::has(devices_.get(), device)) {
            const Id d = h5::create_group(devices_.get(), device);
            h5::write_attribute(d.get(), "uri", v.info.uri);
            h5::write_attribute(d.get(), "board", v.info.board);
            h5::write_attribute(d.get(), "firmware", v.info.firmware);
            h5::write_attribute(d.get(), "build_id", v.info.build_id);
            h5::write_attribute(d.get(), "serial", v.info.serial);
        }
        for (size_t i = 0; i < v.streams.size() && i < v.info.streams.size(); ++i)
            open_stream(v.streams[i], v.device, v.info.streams[i]);
    }

    void store(const SegmentEnded& v) {
        seen(v.host_ns);
        Id group;
        const auto open = open_segments_.find(v.segment);
        if (open == open_segments_.end()) {
            group = new_segment(v.segment);
            h5::write_number(group.get(), "started", uint8_t(0));
        } else {
            group = h5::open_group(segments_.get(), open->second);
            open_segments_.erase(open);
        }
        h5::write_number(group.get(), "ended", uint8_t(1));
        h5::write_number(group.get(), "end_order", order_);
        h5::write_number(group.get(), "end_host_ns", v.host_ns);
        h5::write_attribute(group.get(), "end_reason", v.reason);
        h5::write_number(group.get(), "counted", uint8_t(v.counted ? 1 : 0));
        std::vector<uint32_t> produced, dropped;
        for (const auto& s : v.sent) {
            produced.push_back(s.produced);
            dropped.push_back(s.dropped);
        }
        h5::write_numbers(group.get(), "produced", produced);
        h5::write_numbers(group.get(), "dropped", dropped);
    }

    void store(const std::shared_ptr<const Block>& block) {
        const Block& v = *block;
        seen(v.host_ns);
        StreamWriter* stream = find_stream(v.stream);
        if (stream != nullptr && stream->fits(v)) {
            stream->add(v, order_);
            samples_ += uint64_t(v.count) * v.channels;
            return;
        }
        if (stream != nullptr)
            stream->add({v.stream, v.segment, v.first, v.count, GapCause::host, v.host_ns}, order_);
        store(LinkEvent{0, LinkEventKind::note, v.count, v.host_ns,
                        "samples that do not fit the description of stream " + std::to_string(v.stream) +
                            " were not stored"});
    }

    void store(const Gap& v) {
        seen(v.host_ns);
        if (StreamWriter* stream = find_stream(v.stream))
            stream->add(v, order_);
        else
            store(LinkEvent{0, LinkEventKind::note, v.missing, v.host_ns,
                            "a gap of a stream that was never described"});
    }

    void store(const Prediction& v) {
        seen(v.host_ns);
        PredictionTable& t = prediction_table(v);
        PredictionRow row{};
        row.order = order_;
        row.window = v.window;
        row.segment = v.segment;
        row.model = v.model;
        put_text(row.plan_id, v.plan_id);
        row.input_hash = v.input_hash;
        row.output_hash = v.output_hash;
        row.cost_kind = uint8_t(v.cost_kind);
        row.cost = v.cost;
        row.device_us = v.device_us;
        row.host_ns = v.host_ns;
        t.table.append(&row);
        if (t.first) t.first.append(v.first.data());
        if (t.scores) t.scores.append(v.scores.data());
        if (t.stages) t.stages.append(v.stages.data());
    }

    void store(const ClockObservation& v) {
        seen(v.received_ns);
        const ClockRow row = {order_,           v.device,     v.segment, v.sent_ns, v.device_received_us,
                              v.device_sent_us, v.received_ns};
        clock_.append(&row);
        clocks_[clock_key(v.device, v.segment)].observe(v);
    }

    void store(const HealthReport& v) {
        seen(v.host_ns);
        HealthRow row{};
        row.order = order_;
        row.device = v.device;
        row.host_ns = v.host_ns;
        row.uptime_us = v.health.uptime_us;
        row.tx_queue_high = v.health.tx_queue_high;
        row.rx_queue_high = v.health.rx_queue_high;
        row.stack_size = v.health.stack_size;
        row.stack_high = v.health.stack_high;
        row.bad_frames = v.health.bad_frames;
        row.late_samples = v.health.late_samples;
        row.windows_skipped = v.health.windows_skipped;
        row.streams = uint8_t(std::min<size_t>(v.health.streams, wire::kMaxStreams));
        for (size_t i = 0; i < row.streams; ++i) {
            row.produced[i] = v.health.stream[i].produced;
            row.dropped[i] = v.health.stream[i].dropped;
        }
        health_.append(&row);
    }

    void store(const LinkEvent& v) {
        seen(v.host_ns);
        link_.rows.push_back({order_, v.device, uint8_t(v.kind), v.count, v.host_ns});
        link_.texts[0].texts.push_back(v.text);
        texts_bytes_ += sizeof(LinkRow) + v.text.size();
    }

    void store(const DeviceMarker& v) {
        seen(v.host_ns);
        markers_.rows.push_back({order_, v.device, v.device_us, v.host_ns, v.code});
        markers_.texts[0].texts.push_back(v.text);
        texts_bytes_ += sizeof(MarkerRow) + v.text.size();
    }

    void store(const WindowVerdict& v) {
        VerdictRow row{};
        row.order = order_;
        row.segment = v.segment;
        row.model = v.model;
        row.window = v.window;
        row.verdict = uint8_t(v.verdict);
        row.difference = uint8_t(v.difference);
        row.stage = v.stage;
        put_text(row.reason, v.reason);
        verdicts_.append(&row);
    }

    void store(const LabelEdit& v) {
        history_.push_back({order_, v});
        texts_bytes_ += sizeof(HistoryRow) + sizeof(LabelRow) + v.author.size() + v.reason.size();
        for (const Label* label : {&v.before, &v.after})
            texts_bytes_ += 2 * (label->label_class.size() + label->source.size() + label->note.size());
    }

    Id new_segment(int segment) {
        char name[32];
        snprintf(name, sizeof name, "%05zu", segment_names_.size());
        segment_names_.emplace_back(name);
        Id group = h5::create_group(segments_.get(), name);
        h5::write_number(group.get(), "segment", int32_t(segment));
        return group;
    }

    void open_stream(int index, int device, const StreamInfo& info) {
        if (index < 0 || index >= 4096) h5::refuse("a stream's index is out of range", info.name);
        if (size_t(index) >= streams_.size()) streams_.resize(size_t(index) + 1);
        if (streams_[size_t(index)]) return;  // blocks that do not fit its shape become gaps
        std::string name = path_name(info.name);
        for (int n = 2; h5::has(acquisition_.get(), name); ++n)
            name = path_name(info.name) + "_" + std::to_string(n);
        streams_[size_t(index)] =
            std::make_unique<StreamWriter>(acquisition_.get(), name, index, device, info);
    }

    StreamWriter* find_stream(int index) {
        return index >= 0 && size_t(index) < streams_.size() ? streams_[size_t(index)].get() : nullptr;
    }

    using ClockKey = std::tuple<int, uint64_t, int>;  // device, boot, continuation
    ClockKey clock_key(int device, int segment) const {
        const auto found = segment_clock_.find(segment);
        return found != segment_clock_.end() ? found->second : ClockKey(device, 0, 0);
    }

    PredictionTable& prediction_table(const Prediction& v) {
        const auto key = std::make_tuple(v.model, v.origin, v.first.size(), v.scores.size(), v.stages.size());
        const auto found = prediction_tables_.find(key);
        if (found != prediction_tables_.end()) return found->second;

        const bool known = v.model >= 0 && size_t(v.model) < options_.models.size();
        std::string model =
            known ? path_name(options_.models[size_t(v.model)].name) : "model_" + std::to_string(v.model);
        // Two models of one name are told apart by their index.
        if (known && std::count_if(options_.models.begin(), options_.models.end(),
                                   [&](const SessionModel& m) { return path_name(m.name) == model; }) > 1)
            model += "_" + std::to_string(v.model);
        if (!h5::has(predictions_.get(), model)) {
            const Id made = h5::create_group(predictions_.get(), model);
            h5::write_number(made.get(), "model", int32_t(v.model));
            h5::write_attribute(made.get(), "plan_id", known ? options_.models[size_t(v.model)].plan_id : "");
        }
        const Id parent = h5::open_group(predictions_.get(), model);
        const std::string origin = v.origin == Origin::device ? "device" : "host";
        std::string name = origin;
        for (int n = 2; h5::has(parent.get(), name); ++n)
            name = origin + "_" + std::to_string(n);
        PredictionTable t;
        t.group = h5::create_group(parent.get(), name);
        h5::write_attribute(t.group.get(), "origin", origin);
        t.table = Grower(t.group.get(), "table", row_type<PredictionRow>().get(), {});
        if (!v.first.empty())
            t.first = Grower(t.group.get(), "first", H5T_STD_U64LE, {0, v.first.size(), 1024});
        if (!v.scores.empty())
            t.scores = Grower(t.group.get(), "scores", H5T_IEEE_F32LE, {0, v.scores.size(), 1024});
        if (!v.stages.empty())
            t.stages = Grower(t.group.get(), "stages", H5T_STD_U32LE, {0, v.stages.size(), 1024});
        return prediction_tables_.emplace(key, std::move(t)).first->second;
    }

    void finish(const std::string& state) {
        for (auto& stream : streams_) {
            if (!stream) continue;
            stream->close(options_.header.start_host_ns, [this](int device, int segment, uint64_t device_us,
                                                                int64_t host_ns) {
                const auto found = clocks_.find(clock_key(device, segment));
                return found != clocks_.end() && found->second.ready() ? found->second.host_ns(device_us)
                                                                       : host_ns;
            });
        }
        for (auto& [key, t] : prediction_tables_) {
            t.table.close();
            t.first.close();
            t.scores.close();
            t.stages.close();
        }
        clock_.close();
        health_.close();
        verdicts_.close();
        write_clocks();
        const Id events = h5::open_group(file_.get(), "events");
        link_.write(events.get(), "link");
        markers_.write(events.get(), "markers");
        write_intervals(file_.get(), history_, options_.classes);
        write_provenance();
        const int64_t last = std::max(last_host_ns_, options_.header.start_host_ns);  // no event: no duration
        h5::write_number(file_.get(), "duration", double(last - options_.header.start_host_ns) / 1e9);
        h5::write_number(file_.get(), "events", order_);
        h5::write_attribute(file_.get(), "state", state);
    }

    // Per device and boot: where its clock lies on the session's.
    void write_clocks() {
        const Id clock = h5::open_group(file_.get(), "clock");
        std::map<int, int> boots;
        for (const auto& [key, map] : clocks_) {
            if (!map.ready()) continue;
            const auto& [device, boot_id, part] = key;
            const int boot = boots[device]++;
            const Id fit =
                h5::create_group(clock.get(), "fit_" + std::to_string(device) + "_" + std::to_string(boot));
            const ClockEstimate estimate = map.estimate();
            h5::write_number(fit.get(), "device", int32_t(device));
            h5::write_attribute(fit.get(), "boot_id", std::to_string(boot_id));
            h5::write_number(fit.get(), "offset_ms",
                             double(map.host_ns(0) - options_.header.start_host_ns) / 1e6);
            h5::write_number(fit.get(), "drift_ppm", estimate.drift_ppm);
            h5::write_number(fit.get(), "error_ms", estimate.error_ms);
            h5::write_number(fit.get(), "observations", int32_t(estimate.observations));
        }
    }

    void write_provenance() {
        const Id group = h5::create_group(file_.get(), "provenance");
        std::vector<StepRow> rows;
        std::vector<h5::TextColumn> texts = {{"utc", {}},        {"program", {}},     {"version", {}},
                                             {"git_commit", {}}, {"params_json", {}}, {"input_sha256", {}}};
        for (const ProvenanceStep& step : provenance_.steps) {
            rows.push_back({step.utc_ns});
            texts[0].texts.push_back(utc_text(step.utc_ns));
            texts[1].texts.push_back(step.program);
            texts[2].texts.push_back(step.version);
            texts[3].texts.push_back(step.git_commit);
            texts[4].texts.push_back(step.params_json);
            texts[5].texts.push_back(step.input_sha256);
        }
        h5::write_table(group.get(), "steps", {h5::column<int64_t>("utc_ns", 0)}, sizeof(StepRow),
                        rows.data(), rows.size(), texts);
        std::vector<h5::TextColumn> settings = {{"key", {}}, {"value", {}}};
        for (const auto& [key, value] : options_.header.settings) {
            settings[0].texts.push_back(key);
            settings[1].texts.push_back(value);
        }
        h5::write_table(group.get(), "settings", {}, 0, nullptr, settings[0].texts.size(), settings);
    }

    std::string path_;
    WriterOptions options_;  // without the plans' bytes
    Id file_, general_, devices_, acquisition_, segments_, predictions_;
    std::vector<std::string> segment_names_;
    std::map<int, std::string> open_segments_;
    std::map<int, ClockKey> segment_clock_;
    std::map<int, int> continued_;  // per device
    std::map<ClockKey, ClockHistory> clocks_;
    std::vector<std::unique_ptr<StreamWriter>> streams_;
    std::map<std::tuple<int, Origin, size_t, size_t, size_t>, PredictionTable> prediction_tables_;
    Grower clock_, health_, verdicts_;
    TextTable<LinkRow> link_;
    TextTable<MarkerRow> markers_;
    std::vector<StoredEdit> history_;
    Provenance provenance_;
    uint64_t order_ = 0;
    uint64_t samples_ = 0;
    uint64_t texts_bytes_ = 0;  // of the tables that are written at the end
    int64_t last_host_ns_ = INT64_MIN;
    bool closed_ = false;
};

}  // namespace

void write_intervals(int64_t file, const std::vector<StoredEdit>& history,
                     const std::vector<LabelClass>& classes) {
    if (h5::has(file, "intervals"))
        h5::check(H5Ldelete(file, "intervals", H5P_DEFAULT), "cannot replace the labels");
    const Id group = h5::create_group(file, "intervals");

    TextTable<HistoryRow> edits;
    edits.texts = {{"author", {}},   {"reason", {}},    {"old_class", {}},  {"old_source", {}},
                   {"old_note", {}}, {"new_class", {}}, {"new_source", {}}, {"new_note", {}}};
    std::map<uint64_t, Label> current;
    for (const auto& [order, e] : history) {
        edits.rows.push_back(
            {order, e.revision, uint8_t(e.operation), e.utc_ns, label_row(e.before), label_row(e.after)});
        const std::string texts[] = {e.author,        e.reason,      e.before.label_class,
                                     e.before.source, e.before.note, e.after.label_class,
                                     e.after.source,  e.after.note};
        for (size_t i = 0; i < edits.texts.size(); ++i)
            edits.texts[i].texts.push_back(texts[i]);
        if (e.operation == LabelOperation::remove)
            current.erase(e.before.id);
        else
            current[e.after.id] = e.after;
    }
    edits.write(group.get(), "history");

    TextTable<LabelRow> labels;
    labels.texts = {{"class", {}}, {"source", {}}, {"note", {}}};
    for (const auto& [id, label] : current) {
        labels.rows.push_back(label_row(label));
        labels.texts[0].texts.push_back(label.label_class);
        labels.texts[1].texts.push_back(label.source);
        labels.texts[2].texts.push_back(label.note);
    }
    labels.write(group.get(), "labels");

    std::vector<ClassRow> rows;
    std::vector<h5::TextColumn> texts = {{"name", {}}, {"color", {}}, {"hotkey", {}}, {"HED", {}}};
    for (size_t i = 0; i < classes.size(); ++i) {
        rows.push_back({int32_t(i)});
        texts[0].texts.push_back(classes[i].name);
        texts[1].texts.push_back(classes[i].color);
        texts[2].texts.push_back(classes[i].hotkey == 0 ? "" : std::string(1, classes[i].hotkey));
        texts[3].texts.push_back(classes[i].hed);
    }
    h5::write_table(group.get(), "classes", {h5::column<int32_t>("id", 0)}, sizeof(ClassRow), rows.data(),
                    rows.size(), texts);
}

Result<std::unique_ptr<SessionFile>> SessionFile::create(const std::string& path,
                                                         const WriterOptions& options) {
    return h5::guard(path, [&]() -> std::unique_ptr<SessionFile> {
        return std::make_unique<SessionFileImpl>(path, options);
    });
}

}  // namespace lockstep::storage
