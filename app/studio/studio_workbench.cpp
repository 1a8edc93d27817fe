#include "app/studio/studio_workbench.h"

#include <algorithm>
#include <set>

#include "acquisition/review_source.h"
#include "app/base/comparison.h"
#include "app/base/devices.h"
#include "app/base/paths.h"
#include "devices/registry.h"
#include "storage/label_editor.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

constexpr const char* kAuthor = "person";
constexpr int64_t kLastLabelsNs = 700'000'000;  // several of the window's looks at the status
constexpr size_t kRows = 20000;                 // windows kept for the live view

SessionAbout about(const SessionReader& reader) {
    const SessionHeader& header = reader.header();
    SessionAbout out;
    out.start_utc_ns = header.start_utc_ns;
    out.subject = header.subject;
    out.task = header.task;
    const auto format = header.settings.find("import.format");
    out.imported = format != header.settings.end();
    if (out.imported) {
        out.from = format->second;
    } else if (!reader.segments().empty()) {
        const DeviceInfo& info = reader.segments().front().started.info;
        out.from = info.board + " · " + info.firmware;
    }
    return out;
}

}  // namespace

StudioWorkbench::StudioWorkbench()
    : classes_(default_label_classes()), live_classes_(classes_), worker_([this] { work(); }) {}

StudioWorkbench::~StudioWorkbench() {
    {
        const std::lock_guard lock(task_mutex_);
        ending_ = true;
    }
    wake_.notify_all();
    worker_.join();
}

// --- asked by the window ---

std::vector<DriverInfo> StudioWorkbench::drivers() const {
    return device_table();
}

std::vector<FoundDevice> StudioWorkbench::found_devices() {
    const std::lock_guard lock(mutex_);
    return found_;
}

void StudioWorkbench::connect_device(const std::string& uri) {
    ask([=] { do_connect(uri); });
}

void StudioWorkbench::disconnect_device() {
    ask([this] { do_disconnect(); });
}

void StudioWorkbench::start_recording(const std::string& path, const std::string& subject,
                                      const std::string& task) {
    ask([=] { do_start(path, subject, task); });
}

void StudioWorkbench::stop_recording() {
    ask([this] { do_stop_recording(); });
}

void StudioWorkbench::open_session(const std::string& path) {
    ask([=] { do_review(path); });
}

WorkbenchStatus StudioWorkbench::status() const {
    const std::lock_guard lock(mutex_);
    return status_;
}

std::shared_ptr<const TraceSource> StudioWorkbench::traces() const {
    const std::lock_guard lock(mutex_);
    return traces_;
}

std::vector<ModelView> StudioWorkbench::models() const {
    const std::lock_guard lock(mutex_);
    std::vector<ModelView> out;
    for (size_t i = 0; i < plans_.size(); ++i) {
        const model::Plan& plan = plans_[i]->plan;
        ModelView view;
        view.name = plan.name();
        view.classifier = plan.is_classifier();
        for (size_t k = 0; k < plan.scores(); ++k) {
            view.score_names.emplace_back(plan.score_name(k));
            view.score_units.emplace_back(plan.score_unit(k));
        }
        if (i < accounts_.size()) view.account = accounts_[i];
        out.push_back(std::move(view));
    }
    return out;
}

std::vector<WindowRow> StudioWorkbench::windows(double t0, double t1) const {
    const std::lock_guard lock(mutex_);
    std::vector<WindowRow> out;
    for (const auto& entry : rows_)
        if (entry.second.time >= t0 && entry.second.time < t1) out.push_back(entry.second);
    std::stable_sort(out.begin(), out.end(),
                     [](const WindowRow& a, const WindowRow& b) { return a.time < b.time; });
    return out;
}

std::vector<LabelClass> StudioWorkbench::label_classes() const {
    const std::lock_guard lock(mutex_);
    return classes_;
}

void StudioWorkbench::set_label_classes(const std::vector<LabelClass>& classes) {
    std::vector<LabelClass> changed;
    {
        const std::lock_guard lock(mutex_);
        for (const LabelClass& c : classes) {
            const bool known = std::any_of(classes_.begin(), classes_.end(), [&](const LabelClass& o) {
                return o.name == c.name && o.color == c.color && o.hotkey == c.hotkey && o.hed == c.hed;
            });
            if (!known) changed.push_back(c);
        }
        classes_ = classes;
        if (status_.state != WorkbenchState::reviewing) live_classes_ = classes;
    }
    ask([this, changed] {
        if (!editor_) return;
        for (const LabelClass& c : changed)
            if (const Status stored = editor_->append_class(c); !stored) return tell(stored.error());
    });
}

std::vector<Label> StudioWorkbench::labels(double t0, double t1) const {
    const std::lock_guard lock(mutex_);
    return track_.between(t0, t1);
}

uint64_t StudioWorkbench::label_revision() const {
    const std::lock_guard lock(mutex_);
    return track_.revision();
}

bool StudioWorkbench::finish_edit(const LabelEdit& applied) {
    status_.summary.labels = track_.labels().size();
    unsaved_.push_back(applied);
    ask([this] { tick(); });
    return true;
}

bool StudioWorkbench::edit_label(const LabelEdit& edit) {
    const std::lock_guard lock(mutex_);
    LabelEdit wish = edit;
    if (wish.author.empty()) wish.author = kAuthor;
    const auto applied = track_.apply(wish);
    if (!applied) {
        status_.message = applied.error().message();
        status_.message_is_error = true;
        ++status_.message_id;
        return false;
    }
    return finish_edit(*applied);
}

bool StudioWorkbench::undo_label() {
    const std::lock_guard lock(mutex_);
    const auto applied = track_.undo(kAuthor);
    return applied && finish_edit(*applied);
}

bool StudioWorkbench::redo_label() {
    const std::lock_guard lock(mutex_);
    const auto applied = track_.redo(kAuthor);
    return applied && finish_edit(*applied);
}

bool StudioWorkbench::settled() const {
    const std::lock_guard lock(task_mutex_);
    return tasks_.empty() && !busy_;
}

// --- the worker ---

void StudioWorkbench::ask(Task task) {
    {
        const std::lock_guard lock(task_mutex_);
        tasks_.push_back(std::move(task));
    }
    wake_.notify_all();
}

void StudioWorkbench::work() {
    for (;;) {
        Task task;
        {
            std::unique_lock lock(task_mutex_);
            wake_.wait_for(lock, std::chrono::milliseconds(100),
                           [this] { return ending_ || !tasks_.empty(); });
            if (tasks_.empty() && ending_) break;
            if (!tasks_.empty()) {
                task = std::move(tasks_.front());
                tasks_.pop_front();
                busy_ = true;
            }
        }
        if (task) {
            task();
        } else {
            tick();
            watch_disk();
        }
        const std::lock_guard lock(task_mutex_);
        busy_ = false;
    }
    do_disconnect();
}

void StudioWorkbench::tell(const std::string& text, bool error) {
    const std::lock_guard lock(mutex_);
    status_.message = text;
    status_.message_is_error = error;
    ++status_.message_id;
}

void StudioWorkbench::set_state(WorkbenchState state) {
    const std::lock_guard lock(mutex_);
    status_.state = state;
}

// What changes by itself: scans, accounts, label edits on their way to the file.
void StudioWorkbench::tick() {
    const int64_t now = now_host_ns();
    if (!session_ && now - scanned_ns_ > 2000000000) {
        scanned_ns_ = now;
        auto found = find_devices();
        const std::lock_guard lock(mutex_);
        found_ = std::move(found);
    }
    std::deque<LabelEdit> edits;
    {
        const std::lock_guard lock(mutex_);
        edits.swap(unsaved_);
    }
    for (const LabelEdit& edit : edits) {
        if (recording_) session_->hub().publish(edit);
        if (editor_)
            if (const Status stored = editor_->append(edit); !stored) tell(stored.error());
    }
    if (!session_) return;
    if (recording_)
        if (const auto error = recording_->take_error()) tell(*error);
    const LinkStatistics link = session_->link_statistics(0);
    const std::lock_guard lock(mutex_);
    Summary summary = ledger_.summary();
    accounts_ = summary.models;
    summary.labels = track_.labels().size();
    status_.summary = std::move(summary);
    status_.link = link;
    status_.seconds = store_ ? std::max(0.0, double(now - store_->origin_host_ns()) / 1e9) : 0;
    if (recording_) {
        const WriterStatistics written = recording_->statistics();
        status_.recorded_seconds = recording_->seconds();
        status_.seconds_to_full = written.seconds_to_full;
        if (now - written_ns_ > 1000000000) {
            if (written_ns_ > 0)
                status_.bytes_per_second =
                    double(written.bytes - written_before_) * 1e9 / double(now - written_ns_);
            written_before_ = written.bytes;
            written_ns_ = now;
        }
    }
}

// A recording ends by itself while its end still fits on the disk.
void StudioWorkbench::watch_disk() {
    if (!recording_) return;
    const WriterStatistics written = recording_->statistics();
    if (!written.warning.empty() && !warned_) tell(written.warning, true);
    warned_ = !written.warning.empty();
    if (!written.full) return;
    // The window has a moment to give what is not a label yet; the writer has kept room for it.
    const int64_t now = now_host_ns();
    if (full_since_ns_ == 0) full_since_ns_ = now;
    {
        const std::lock_guard lock(mutex_);
        status_.ends_soon = now - full_since_ns_ < kLastLabelsNs;
    }
    if (now - full_since_ns_ < kLastLabelsNs) return;
    do_stop_recording();
    std::string file;
    {
        const std::lock_guard lock(mutex_);
        file = status_.finished;
    }
    tell("the disk is full; the recording ended and is complete up to here: " + file, true);
}

void StudioWorkbench::follow(int64_t origin_host_ns) {
    store_ = std::make_shared<TraceStore>(origin_host_ns);
    store_->follow(session_->hub().attach(1 << 16));
    events_ = session_->hub().attach(1 << 16);
    {
        const std::lock_guard lock(mutex_);
        rows_.clear();
        ledger_ = Ledger();
        traces_ = store_;
        track_ = LabelTrack();
        unsaved_.clear();
    }
    follower_ = std::thread([this, events = events_] {
        Event event;
        while (!events->closed())
            if (events->pop(&event, std::chrono::milliseconds(200))) rows_from(event);
    });
}

void StudioWorkbench::unfollow() {
    if (!follower_.joinable()) return;
    session_->hub().detach(events_);
    events_->close();
    follower_.join();
}

WindowRow& StudioWorkbench::row(int segment, int model, uint32_t window) {
    WindowRow& out = rows_[{segment, model, window}];
    out.model = model;
    out.window = window;
    return out;
}

double StudioWorkbench::time_of(const Prediction& p) const {
    if (!store_) return 0;
    return store_->session_seconds(0, p.device_us, p.host_ns);
}

void StudioWorkbench::rows_from(const Event& event) {
    {
        const std::lock_guard lock(mutex_);
        ledger_.on_event(event);
    }
    if (const auto* p = std::get_if<Prediction>(&event)) {
        const double time = time_of(*p);
        const std::lock_guard lock(mutex_);
        WindowRow& out = row(p->segment, p->model, p->window);
        const bool host = p->origin == Origin::host;
        // The host stamps the window's end, the device when it was done.
        if (host || !out.has_host) out.time = time;
        (host ? out.has_host : out.has_device) = true;
        (host ? out.host_scores : out.device_scores) = p->scores;
        if (rows_.size() > kRows) rows_.erase(rows_.begin());
    } else if (const auto* verdict = std::get_if<WindowVerdict>(&event)) {
        const std::lock_guard lock(mutex_);
        const auto found = rows_.find({verdict->segment, verdict->model, verdict->window});
        if (found == rows_.end()) return;  // outside, without any prediction: nothing to place in time
        found->second.decided = true;
        found->second.verdict = verdict->verdict;
        found->second.reason = verdict->reason;
    } else if (const auto* health = std::get_if<HealthReport>(&event)) {
        const std::lock_guard lock(mutex_);
        status_.health = health->health;
        status_.has_health = true;
    } else if (const auto* link = std::get_if<LinkEvent>(&event)) {
        const bool lost = link->kind == LinkEventKind::lost;
        if (lost || link->kind == LinkEventKind::reconnected || link->kind == LinkEventKind::rebooted) {
            const std::lock_guard lock(mutex_);
            status_.link_down = lost;
        }
        if (lost)
            tell("Connection lost" + (link->text.empty() ? "" : ": " + link->text) +
                     ". Waiting for the board; a recording goes on. Check its cable and power.",
                 true);
        if (link->kind == LinkEventKind::reconnected) tell("The board is back.", false);
        if (link->kind == LinkEventKind::rebooted) tell("The board restarted by itself.", true);
    }
}

Status StudioWorkbench::begin_stream(int64_t origin_host_ns) {
    follow(origin_host_ns);
    return session_->start();
}

void StudioWorkbench::do_connect(const std::string& uri) {
    do_disconnect();
    set_state(WorkbenchState::connecting);
    DeviceInfo info;
    auto driver = open_device(uri, &info);
    if (!driver) {
        set_state(WorkbenchState::idle);
        tell(driver.error());
        return;
    }
    session_ = std::make_unique<Session>();
    std::vector<std::string> warnings;
    for (const PlanPtr& plan : chosen_plans_.empty() ? plans_of_device(info, &warnings) : chosen_plans_)
        session_->add_model(plan);
    const auto device = session_->add_device(std::move(*driver));
    if (!device) {
        session_.reset();
        set_state(WorkbenchState::idle);
        tell(device.error());
        return;
    }
    uri_ = uri;
    {
        const std::lock_guard lock(mutex_);
        plans_ = session_->models();
        accounts_.clear();
        status_.device = info.board + ", firmware " + info.firmware;
        status_.path.clear();
        status_.has_health = false;
        classes_ = live_classes_;
    }
    if (const Status started = begin_stream(now_host_ns()); !started) {
        do_disconnect();
        tell(started.error());
        return;
    }
    set_state(WorkbenchState::streaming);
    for (const std::string& misfit : session_->misfits())
        warnings.push_back(misfit);
    for (const std::string& warning : warnings)
        tell(warning, true);
}

// A recording begins its own segment, so that its counters start at 0 and nothing before it is in it.
void StudioWorkbench::do_start(const std::string& path, const std::string& subject, const std::string& task) {
    if (!session_ || recording_) {
        tell(recording_ ? "a recording runs already" : "connect a device first", true);
        return;
    }
    const auto name = session_path(path, subject, task);
    if (!name) {
        tell(name.error());
        return;
    }
    RecordingOptions options;
    options.path = *name;
    options.subject = subject;
    options.task = task;
    options.plans = session_->models();
    options.classes = label_classes();
    options.settings["uri0"] = uri_;
    // The demo signals join two people's recordings.
    const auto uri = Uri::parse(uri_);
    options.composite = uri && uri->scheme == "virtual" && uri->value("signals").empty();
    if (const Status stopped = session_->stop(); !stopped) tell(stopped.error());
    unfollow();
    auto recording = Recording::start(&session_->hub(), options);
    if (!recording) tell(recording.error());
    if (recording) recording_ = std::move(*recording);
    written_ns_ = 0;
    const Status started = begin_stream(recording_ ? recording_->start_host_ns() : now_host_ns());
    if (!started) {
        tell(started.error());
        do_disconnect();
        return;
    }
    if (!recording_) return;
    const std::lock_guard lock(mutex_);
    status_.state = WorkbenchState::recording;
    status_.ends_soon = false;
    full_since_ns_ = 0;
    status_.path = *name;
    status_.recorded_seconds = 0;
}

void StudioWorkbench::do_stop_recording() {
    if (!recording_) return;
    set_state(WorkbenchState::finishing);
    if (const Status stopped = session_->stop(); !stopped) tell(stopped.error());
    tick();
    const auto finished = recording_->finish();
    recording_.reset();
    unfollow();
    tell_finished(finished);
    if (const Status started = begin_stream(now_host_ns()); !started) {
        tell(started.error());
        do_disconnect();
        return;
    }
    set_state(WorkbenchState::streaming);
}

void StudioWorkbench::tell_finished(const Result<std::string>& file) {
    if (!file) return tell(file.error());
    Summary summary;
    {
        const std::lock_guard lock(mutex_);
        summary = ledger_.summary();
        status_.finished = *file;
    }
    tell("saved " + *file + (summary.whole ? ": whole" : ": not whole: " + summary.why_not), !summary.whole);
}

void StudioWorkbench::do_disconnect() {
    if (session_) {
        const Status stopped = session_->stop();
        if (!stopped) tell(stopped.error());
        if (recording_) {
            tick();
            const auto finished = recording_->finish();
            recording_.reset();
            unfollow();
            tell_finished(finished);
        }
        unfollow();
        session_.reset();
    }
    tick();  // label edits still on their way
    editor_.reset();
    const std::lock_guard lock(mutex_);
    status_.state = WorkbenchState::idle;
    status_.link_down = false;
    status_.device.clear();
    status_.path.clear();
    status_.seconds = 0;
    status_.summary = Summary();
    status_.has_health = false;
    classes_ = live_classes_;
    traces_.reset();
    plans_.clear();
    accounts_.clear();
    rows_.clear();
    track_ = LabelTrack();
    store_.reset();
}

void StudioWorkbench::do_review(const std::string& path) {
    do_disconnect();
    set_state(WorkbenchState::connecting);
    const auto refuse = [this](const Error& error) {
        set_state(WorkbenchState::idle);
        tell(error);
    };
    auto opened = storage::open_session(path);
    if (!opened) return refuse(opened.error());
    const std::shared_ptr<SessionReader> reader = std::move(*opened);
    const auto history = reader->label_history();
    if (!history) return refuse(history.error());
    LabelTrack track;
    if (const Status loaded = track.load(*history); !loaded) return refuse(loaded.error());
    auto plans = plans_of_session(*reader);
    if (!plans) return refuse(plans.error());
    const auto predictions = reader->predictions();
    if (!predictions) return refuse(predictions.error());
    const auto verdicts = reader->verdicts();
    if (!verdicts) return refuse(verdicts.error());
    Ledger ledger;
    const Status read = reader->replay([&](const Event& event) {
        ledger.on_event(event);
        return true;
    });
    if (!read) return refuse(read.error());

    std::map<std::tuple<int, int, uint32_t>, WindowRow> rows;
    const auto place = [&](int segment, int model, uint32_t window) -> WindowRow* {
        const auto known = rows.find({segment, model, window});
        if (known != rows.end()) return &known->second;
        if (model < 0 || size_t(model) >= plans->size()) return nullptr;
        const model::InputSpec input = (*plans)[size_t(model)]->plan.input(0);
        for (const SessionStream& s : reader->streams()) {
            if (s.info.kind != input.kind) continue;
            for (const RowRun& run : s.runs) {
                if (run.segment != segment) continue;
                WindowRow row;
                row.model = model;
                row.window = window;
                row.time = run.time +
                           (double(window) * input.hop + input.window - double(run.first)) / s.info.rate();
                return &rows.emplace(std::tuple(segment, model, window), row).first->second;
            }
        }
        return nullptr;
    };
    for (const Prediction& p : *predictions) {
        WindowRow* row = place(p.segment, p.model, p.window);
        if (row == nullptr) continue;
        const bool host = p.origin == Origin::host;
        (host ? row->has_host : row->has_device) = true;
        (host ? row->host_scores : row->device_scores) = p.scores;
    }
    for (const WindowVerdict& v : *verdicts) {
        WindowRow* row = place(v.segment, v.model, v.window);
        if (row == nullptr) continue;
        row->decided = true;
        row->verdict = v.verdict;
        row->reason = v.reason;
    }
    // Labels can be looked at when they cannot be edited: a read-only file, another editor.
    auto editor = storage::open_label_editor(path);
    if (editor)
        editor_ = std::move(*editor);
    else
        tell(editor.error().message() + "; labels cannot be edited", true);

    const std::lock_guard lock(mutex_);
    status_.state = WorkbenchState::reviewing;
    status_.path = path;
    status_.device = reader->segments().empty() ? "" : reader->segments().front().started.info.board;
    status_.summary = ledger.summary();
    status_.summary.labels = track.labels().size();
    status_.seconds = reader->duration();
    status_.about = about(*reader);
    accounts_ = status_.summary.models;
    plans_ = std::move(*plans);
    rows_ = std::move(rows);
    track_ = std::move(track);
    if (!reader->classes().empty()) classes_ = reader->classes();
    traces_ = std::make_shared<ReviewSource>(reader);
}

}  // namespace lockstep::app
