#include "app/base/recording.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <random>

#include "storage/recorder.h"
#include "storage/rotation.h"

namespace fs = std::filesystem;

namespace lockstep::app {
namespace {

// Events; at NOMINAL about 60 a second, so that even minutes of a stuck disk lose nothing here.
constexpr size_t kQueue = 1 << 17;

std::string make_uuid() {
    std::random_device random;
    uint32_t w[4];
    for (uint32_t& word : w)
        word = random();
    w[1] = (w[1] & 0xFFFF0FFFu) | 0x4000u;
    w[2] = (w[2] & 0x3FFFFFFFu) | 0x80000000u;
    char text[40];
    std::snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%04x%08x", w[0], w[1] >> 16, w[1] & 0xFFFF,
                  w[2] >> 16, w[2] & 0xFFFF, w[3]);
    return text;
}

// A BIDS label: letters and digits only.
std::string label_of(const std::string& text, const std::string& fallback) {
    std::string out;
    for (const char c : text)
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) out += c;
    return out.empty() ? fallback : out;
}

}  // namespace

int64_t now_host_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

int64_t now_utc_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

const std::vector<LabelClass>& default_label_classes() {
    static const std::vector<LabelClass> classes = {
        {"artifact", "#d62728", '1', ""}, {"blink", "#1f77b4", '2', ""}, {"jaw_clench", "#ff7f0e", '3', ""},
        {"movement", "#2ca02c", '4', ""}, {"rest", "#9467bd", '5', ""},  {"stimulus", "#8c564b", '6', ""},
        {"response", "#e377c2", '7', ""}, {"event", "#7f7f7f", '8', ""}, {"bad", "#bcbd22", '9', ""},
    };
    return classes;
}

std::string program_version() {
    return std::string("lockstep ") + LOCKSTEP_VERSION;
}
std::string program_commit() {
    return LOCKSTEP_COMMIT;
}

Result<std::unique_ptr<Recording>> Recording::start(Hub* hub, const RecordingOptions& options) {
    WriterOptions writer;
    writer.path = options.path;
    writer.header.identifier = make_uuid();
    writer.header.start_utc_ns = now_utc_ns();
    writer.header.start_host_ns = now_host_ns();
    writer.header.software = program_version();
    writer.header.git_commit = program_commit();
    writer.header.subject = options.subject;
    writer.header.task = options.task;
    writer.header.mains_hz = options.mains_hz;
    writer.header.composite = options.composite;
    writer.header.settings = options.settings;
    for (const PlanPtr& plan : options.plans)
        writer.models.push_back({plan->plan.name(), plan->plan_id, plan->bytes});
    writer.classes = options.classes.empty() ? default_label_classes() : options.classes;
    auto created =
        storage::create_rotating(writer, {options.rotate_seconds, options.rotate_bytes},
                                 [](const WriterOptions& o) { return storage::create_session(o); });
    if (!created) return tl::make_unexpected(created.error());
    std::unique_ptr<Recording> out(new Recording);
    out->hub_ = hub;
    out->start_host_ns_ = writer.header.start_host_ns;
    out->writer_ = std::move(*created);
    out->events_ = hub->attach(kQueue);
    out->thread_ = std::thread([self = out.get()] { self->drain(); });
    return out;
}

Recording::~Recording() {
    if (thread_.joinable()) (void)finish();
}

double Recording::seconds() const {
    return double(now_host_ns() - start_host_ns_) / 1e9;
}

WriterStatistics Recording::statistics() const {
    WriterStatistics out = writer_->statistics();
    out.dropped_events += events_->dropped();
    return out;
}

void Recording::drain() {
    Event event;
    while (!events_->closed())
        if (events_->pop(&event, std::chrono::milliseconds(200))) writer_->append(std::move(event));
}

Result<std::string> Recording::finish() {
    if (!thread_.joinable()) return fail(ErrorKind::usage, "the recording is finished already");
    hub_->detach(events_);
    events_->close();
    thread_.join();
    return writer_->finish();
}

Result<std::string> session_path(const std::string& output, const std::string& subject,
                                 const std::string& task) {
    std::error_code error;
    const bool folder = (!output.empty() && output.back() == '/') || fs::is_directory(output, error);
    if (!folder) {
        if (fs::path(output).extension() != ".h5")
            return fail(ErrorKind::usage, "a session's name ends in .h5", output,
                        "name it " + output + ".h5, or give a folder");
        if (fs::exists(output, error))
            return fail(ErrorKind::usage, "the file exists already", output,
                        "nothing is overwritten: choose another name");
        return output;
    }
    fs::create_directories(output, error);
    if (error)
        return fail(ErrorKind::system, "cannot make the folder: " + error.message(), output,
                    "choose another place");
    char day[16];
    const std::time_t now = std::time(nullptr);
    std::tm local = {};
    ::localtime_r(&now, &local);
    std::strftime(day, sizeof day, "%Y%m%d", &local);
    const std::string stem =
        "sub-" + label_of(subject, "anon") + "_ses-" + day + "_task-" + label_of(task, "record") + "_run-";
    for (int run = 1;; ++run) {
        const fs::path path = fs::path(output) / (stem + std::to_string(run) + ".h5");
        if (!fs::exists(path, error) && !fs::exists(path.string() + ".journal", error)) return path.string();
    }
}

}  // namespace lockstep::app
