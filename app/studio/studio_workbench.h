// The program behind the window (acquisition/workbench.h). GUI calls look at state under a short lock or
// leave a task; one worker thread opens, starts, stops, reads and writes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "acquisition/session.h"
#include "acquisition/workbench.h"
#include "app/base/recording.h"

namespace lockstep::app {

class StudioWorkbench final : public Workbench {
  public:
    StudioWorkbench();
    ~StudioWorkbench() override;  // ends a recording cleanly
    // The plans that the host runs in place of those that the device runs; before connect_device().
    void set_models(std::vector<PlanPtr> plans) { chosen_plans_ = std::move(plans); }

    std::vector<DriverInfo> drivers() const override;
    std::vector<FoundDevice> found_devices() override;
    void connect_device(const std::string& uri) override;
    void disconnect_device() override;
    void start_recording(const std::string& path, const std::string& subject,
                         const std::string& task) override;
    void stop_recording() override;
    void open_session(const std::string& path) override;
    WorkbenchStatus status() const override;
    std::shared_ptr<const TraceSource> traces() const override;
    std::vector<ModelView> models() const override;
    std::vector<WindowRow> windows(double t0, double t1) const override;
    std::vector<LabelClass> label_classes() const override;
    void set_label_classes(const std::vector<LabelClass>& classes) override;
    std::vector<Label> labels(double t0, double t1) const override;
    uint64_t label_revision() const override;
    bool edit_label(const LabelEdit& edit) override;
    bool undo_label() override;
    bool redo_label() override;

    // All that was asked for so far is done. Any thread.
    bool settled() const;

  private:
    using Task = std::function<void()>;
    void ask(Task task);
    void work();
    void tick();
    void watch_disk();

    // Worker only.
    void do_connect(const std::string& uri);
    void do_start(const std::string& path, const std::string& subject, const std::string& task);
    void do_stop_recording();
    void do_disconnect();
    void do_review(const std::string& path);
    Status begin_stream(int64_t origin_host_ns);
    void follow(int64_t origin_host_ns);
    void unfollow();
    void rows_from(const Event& event);
    void tell(const std::string& text, bool error);
    void tell(const Error& error) { tell(error.message(), true); }
    void tell_finished(const Result<std::string>& file);  // a recording ended
    void set_state(WorkbenchState state);
    bool finish_edit(const LabelEdit& applied);  // REQUIRES: mutex_ held
    double time_of(const Prediction& prediction) const;
    WindowRow& row(int segment, int model, uint32_t window);

    mutable std::mutex mutex_;
    WorkbenchStatus status_;
    std::vector<FoundDevice> found_;
    std::shared_ptr<const TraceSource> traces_;
    std::vector<PlanPtr> plans_;
    std::vector<WindowAccount> accounts_;
    Ledger ledger_;  // of this stretch of streaming: what is recorded, when it is recorded
    std::vector<PlanPtr> chosen_plans_;
    std::map<std::tuple<int, int, uint32_t>, WindowRow> rows_;  // segment, model, window
    std::vector<LabelClass> classes_;
    std::vector<LabelClass> live_classes_;  // of recordings; a reviewed session has its own
    LabelTrack track_;
    std::deque<LabelEdit> unsaved_;  // of a reviewed session

    // Worker only.
    std::string uri_;
    std::unique_ptr<Session> session_;
    std::unique_ptr<Recording> recording_;
    std::shared_ptr<TraceStore> store_;
    std::shared_ptr<Subscription> events_;
    std::thread follower_;
    std::unique_ptr<LabelEditor> editor_;
    uint64_t written_before_ = 0;
    bool warned_ = false;  // of a disk that is filling up
    int64_t full_since_ns_ = 0;
    int64_t written_ns_ = 0;
    int64_t scanned_ns_ = 0;

    mutable std::mutex task_mutex_;
    std::condition_variable wake_;
    std::deque<Task> tasks_;
    bool busy_ = false;
    bool ending_ = false;
    std::thread worker_;
};

}  // namespace lockstep::app
