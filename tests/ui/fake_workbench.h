// The window's contract, played by the recordings of resources/recordings: a clock moves, blocks go
// through the real TraceStore, labels through the real LabelTrack.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "acquisition/workbench.h"

namespace lockstep::test {

struct Recording {
    StreamInfo info;
    std::vector<std::vector<int32_t>> rows;
};
// Aborts the test with a clear message when the file is missing.
Recording read_recording(const std::string& path);

class FakeWorkbench : public Workbench {
  public:
    explicit FakeWorkbench(bool real_recordings = true);

    // What the test drives.
    void connect_now();                           // streams, no samples yet
    void stream_until(double seconds);            // blocks, windows and health up to then
    void drop(int stream, double t0, double t1);  // samples that never come
    void review();                                // what was streamed, as a session
    void say(const std::string& message, bool error);
    std::vector<std::string> calls;
    bool refuse_edits = false;
    LabelTrack track;
    std::vector<LabelClass> classes;
    std::vector<WindowRow> window_rows;
    WorkbenchStatus now;
    std::shared_ptr<TraceStore> store;
    std::vector<FoundDevice> found;

    std::vector<DriverInfo> drivers() const override;
    std::vector<FoundDevice> found_devices() override { return found; }
    void connect_device(const std::string& uri) override;
    void disconnect_device() override;
    void start_recording(const std::string& path, const std::string& subject,
                         const std::string& task) override;
    void stop_recording() override;
    void open_session(const std::string& path) override;
    WorkbenchStatus status() const override { return now; }
    std::shared_ptr<const TraceSource> traces() const override { return store; }
    std::vector<ModelView> models() const override;
    std::vector<WindowRow> windows(double t0, double t1) const override;
    std::vector<LabelClass> label_classes() const override { return classes; }
    void set_label_classes(const std::vector<LabelClass>& chosen) override { classes = chosen; }
    std::vector<Label> labels(double t0, double t1) const override { return track.between(t0, t1); }
    uint64_t label_revision() const override { return track.revision(); }
    bool edit_label(const LabelEdit& edit) override;
    bool undo_label() override;
    bool redo_label() override;

  private:
    struct Cut {
        int stream;
        double t0, t1;
    };
    void add_windows(double seconds);
    std::vector<Recording> recordings_;
    std::vector<uint64_t> sent_;
    std::vector<Cut> cuts_;
    uint32_t next_window_[2] = {0, 0};
};

}  // namespace lockstep::test
