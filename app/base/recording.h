// A session on its way to a file: takes everything the hub publishes and hands it to the recorder.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "acquisition/hub.h"
#include "acquisition/loaded_plan.h"
#include "acquisition/session_store.h"

namespace lockstep::app {

int64_t now_host_ns();  // the host's steady clock
int64_t now_utc_ns();

struct RecordingOptions {
    std::string path;  // NAME.h5; must not exist
    std::string subject;
    std::string task;
    double mains_hz = 0;  // 50 or 60; 0 = nobody said
    bool composite = false;
    std::map<std::string, std::string> settings;
    std::vector<PlanPtr> plans;
    std::vector<LabelClass> classes;  // none: default_label_classes()
    // A new file, NAME_part-N.h5, after so much (storage/rotation.h); 0: one file.
    double rotate_seconds = 0;
    uint64_t rotate_bytes = 0;
};

// Thread: control calls from one thread.
class Recording {
  public:
    // Session time 0 is now.
    static Result<std::unique_ptr<Recording>> start(Hub* hub, const RecordingOptions& options);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

    int64_t start_host_ns() const { return start_host_ns_; }
    double seconds() const;
    WriterStatistics statistics() const;  // with what the hub's queue lost
    std::optional<Error> take_error() { return writer_->take_error(); }
    // After the session stopped: writes what is waiting, finishes the file. Its path.
    Result<std::string> finish();

  private:
    Recording() = default;
    void drain();
    Hub* hub_ = nullptr;
    int64_t start_host_ns_ = 0;
    std::unique_ptr<SessionWriter> writer_;
    std::shared_ptr<Subscription> events_;
    std::thread thread_;
};

// Of this program: "lockstep 0.1.0", and the commit it was built from.
std::string program_version();
std::string program_commit();

// FILE as it is, or a generated name in a folder: sub-XX_ses-YYYYMMDD_task-ZZ_run-N.h5.
Result<std::string> session_path(const std::string& output, const std::string& subject,
                                 const std::string& task);

const std::vector<LabelClass>& default_label_classes();

}  // namespace lockstep::app
