// What the window needs of the program, and nothing else: ui/ is built on this contract, app/
// implements it. All calls from the GUI thread; none blocks longer than a few milliseconds - slow
// work runs on the implementation's own thread and its outcome arrives in status().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "acquisition/driver.h"
#include "acquisition/label_track.h"
#include "acquisition/ledger.h"
#include "acquisition/session_store.h"
#include "acquisition/trace_store.h"

namespace lockstep {

enum class WorkbenchState { idle, connecting, streaming, recording, finishing, reviewing };

// One line of the prediction strip: a window as device and host saw it.
struct WindowRow {
    uint32_t window = 0;
    int model = 0;
    double time = 0;  // session seconds of the window's end
    bool has_device = false;
    bool has_host = false;
    std::vector<float> device_scores;
    std::vector<float> host_scores;
    bool decided = false;
    Verdict verdict = Verdict::outside;
    std::string reason;
};

struct ModelView {
    std::string name;
    bool classifier = false;
    std::vector<std::string> score_names;
    std::vector<std::string> score_units;
    WindowAccount account;
};

// What the file of a reviewed session says of itself.
struct SessionAbout {
    int64_t start_utc_ns = 0;
    std::string subject;
    std::string task;
    std::string from;  // the board and its firmware, or the format it was imported from
    bool imported = false;
};

struct WorkbenchStatus {
    WorkbenchState state = WorkbenchState::idle;
    std::string device;   // board, firmware
    std::string message;  // last error or note for people, "" when none
    bool message_is_error = false;
    uint64_t message_id = 0;  // grows with every new message
    std::string path;         // session being recorded or reviewed
    std::string finished;     // the recording that ended last, "" before
    bool link_down = false;   // the board is lost and awaited
    bool ends_soon = false;   // the recording ends by itself in a moment: the last labels are due
    SessionAbout about;       // when reviewing
    double seconds = 0;       // session time now; when reviewing the session's length
    double recorded_seconds = 0;
    double seconds_to_full = -1;
    double bytes_per_second = 0;
    Summary summary;
    LinkStatistics link;
    wire::Health health;
    bool has_health = false;
};

class Workbench {
  public:
    virtual ~Workbench() = default;
    virtual std::vector<DriverInfo> drivers() const = 0;   // for the connect form
    virtual std::vector<FoundDevice> found_devices() = 0;  // last scan; virtual boards first
    virtual void connect_device(const std::string& uri) = 0;
    virtual void disconnect_device() = 0;
    virtual void start_recording(const std::string& path, const std::string& subject,
                                 const std::string& task) = 0;
    virtual void stop_recording() = 0;
    virtual void open_session(const std::string& path) = 0;
    virtual WorkbenchStatus status() const = 0;
    virtual std::shared_ptr<const TraceSource> traces()
        const = 0;  // null when idle; replaced on connect/open
    virtual std::vector<ModelView> models() const = 0;
    virtual std::vector<WindowRow> windows(double t0, double t1) const = 0;
    virtual std::vector<LabelClass> label_classes() const = 0;
    // For the recordings to come, and the session under review; labels keep the names they have.
    virtual void set_label_classes(const std::vector<LabelClass>& classes) = 0;
    virtual std::vector<Label> labels(double t0, double t1) const = 0;
    virtual uint64_t label_revision() const = 0;
    // The edits go through LabelTrack and are stored; false with a message in status() when refused.
    virtual bool edit_label(const LabelEdit& edit) = 0;
    virtual bool undo_label() = 0;
    virtual bool redo_label() = 0;
};

}  // namespace lockstep
