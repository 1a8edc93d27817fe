// Whether device and host computed the same (docs/parity.md). Runs the host's models over a session's
// events, publishes their predictions, and gives every expected window exactly one verdict. The same
// class works live and from a file. Thread: one caller at a time.
//
// Expected are the windows k whose primary samples lie inside [first sample, last sample] of a segment,
// sent or received. A device's prediction is kept unopened until the host has its own.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/event.h"
#include "acquisition/loaded_plan.h"
#include "acquisition/model_runner.h"

namespace lockstep {

class Comparison {
  public:
    using Publish = std::function<void(const Event&)>;
    using StageQuery = std::function<Result<std::vector<uint32_t>>(int segment, int model, uint32_t window)>;

    Comparison(std::vector<PlanPtr> models, Publish publish, StageQuery stages)
        : models_(std::move(models)), publish_(std::move(publish)), stages_(std::move(stages)) {}

    // Host predictions, verdicts and what has no bearing are ignored.
    void on_event(const Event& event);
    // No more events: open segments are decided as they are.
    void finish();

  private:
    struct Waiting {  // a window the host has decided, the verdict not yet
        uint32_t window = 0;
        model::WindowState state = model::WindowState::missing;
        Prediction host;
        int64_t since_ns = 0;
    };
    // One model on one segment.
    struct Match {
        int segment = 0;
        int model = 0;
        std::unique_ptr<ModelRunner> runner;
        bool compared = false;  // the device runs it, too
        DeviceModel device;
        std::vector<std::string> stream_names;  // per input
        bool begun = false;
        uint64_t begin = 0;  // primary samples [begin, end) were sent
        uint64_t end = 0;
        uint32_t next = 0;  // every expected window before it is decided or waiting
        std::deque<Waiting> waiting;
        std::map<uint32_t, Prediction> predictions;  // of the device, unopened
        uint32_t predicted = 0;                      // one past the last window the device predicted
        std::vector<Gap> gaps;                       // of the streams it reads, latest last
        std::vector<uint64_t> next_sample;           // per input: one past the last that came
        int unanswered = 0;                          // stage queries in a row
    };
    struct Finding {
        Verdict verdict = Verdict::same;
        Difference difference = Difference::none;
        int stage = -1;
        std::string reason;
    };

    void start(const SegmentStarted& e);
    void on_block(const Block& block);
    void on_gap(const Gap& gap);
    void on_prediction(const Prediction& prediction);
    void cover(Match& match, uint64_t first, uint64_t last);
    void decided(Match& match, const ModelRunner::Window& window, int64_t host_ns);
    void resolve(Match& match, int64_t now_ns, bool last);
    void end(Match& match);
    void give(const Match& match, uint32_t window, Finding finding);
    Finding compare(Match& match, const Prediction& host, const Prediction& device);
    Finding locate(Match& match, const Prediction& host, const Prediction& device);
    Finding undecided(const Match& match, uint32_t window) const;
    Finding missing(const Match& match, uint32_t window, const std::vector<uint64_t>& first) const;

    const std::vector<PlanPtr> models_;
    const Publish publish_;
    const StageQuery stages_;
    std::map<int, std::vector<Match>> segments_;
};

}  // namespace lockstep
