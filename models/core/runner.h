// Runs one plan over live streams: raw counts in, window results out. The same class runs on the
// device and on the desktop; everything it does is fixed by the sample counters (docs/parity.md), so
// two runners that saw the same samples give the same bits however the samples were cut into blocks.
//
// Filter states restart with the counter: output n of block m = n / K comes from a filter that began,
// with zero state, at sample max(m*K - W, first sample after the last gap). Two state sets overlap for
// W samples, so the output is seamless and depends on at most K + W samples.
//
// Thread: one caller at a time. Never allocates; push() and step() cannot fail.
#pragma once

#include "dsp/base/arena.h"
#include "dsp/base/sample.h"
#include "models/core/operator.h"
#include "models/core/plan.h"

namespace lockstep::model {

// How a stream's counts become physical units, in the order of the plan's channels.
struct InputBinding {
    const uint16_t* channel = nullptr;  // index into the stream's channels
    const float* scale = nullptr;       // physical = float(count) * scale + offset
    const float* offset = nullptr;
    uint16_t stream_channels = 0;
    bool float_samples = false;  // counts are float32 bits
};

struct WindowResult {
    uint32_t window = 0;  // k; the window is primary samples [k*hop, k*hop + window)
    uint64_t first[kMaxInputs] = {};
    uint32_t input_hash = 0;  // of the stage of kind quantised_input, or else of the last feature stage
    uint32_t output_hash = 0;
    uint8_t scores_count = 0;
    float scores[kMaxScores] = {};
    uint8_t stages = 0;
    uint32_t stage_hash[kMaxStages] = {};
};

// Why windows have no result; the four verdicts are made of these on the desktop.
enum class WindowState : uint8_t {
    result,   // computed
    missing,  // a sample of the window, or of the filter history it depends on, never came
    warming,  // complete, but the filters had not warmed up after start or a discontinuity
};
// A plan that looks back on N windows (Plan::memory()) makes of a result the worst of the N windows before
// it: one before the epoch's start counts as warming, one before this side joined as missing.

constexpr size_t kKeptWindows = 16;

class Runner {
  public:
    // Memory for this plan when a secondary stream may trail the primary by slack_ms.
    static size_t memory_needed(const Plan& plan, uint32_t slack_ms);

    // REQUIRES: `plan`, its blob, `memory` and the binding arrays outlive the runner.
    Code bind(const Plan& plan, OperatorTable operators, Span<const InputBinding> inputs, MutableBytes memory,
              uint32_t slack_ms);

    // A new epoch: all counters restart at 0, all state is forgotten.
    void reset();

    // Feeds one block of the stream bound to `input`. A jump of `first` is a gap: with
    // block.discontinuity set the device had it too, and both sides reset their filters there; without,
    // only this side missed samples, and windows that depend on them are `missing` until the next
    // scheduled restart. Samples that were seen before are skipped; a block of another channel count is
    // ignored. A block longer than the slack pushes undecided windows out (they become `missing`): use
    // feed() below, or step() in between.
    void push(size_t input, const BlockView& block);

    // push() of the samples from number `from` of the block on, at least one, and at most until a window
    // may be decided. Returns the number in the block to go on from; block.count when it is done.
    uint32_t push_some(size_t input, const BlockView& block, uint32_t from);

    // Decides at most one window, in order of k; false when more samples are needed first. `out` is
    // filled (window, first[]) for every state, hashes and scores only for WindowState::result.
    bool step(WindowState* state, WindowResult* out);

    // After the last block: no more samples come. Undecided windows stay undecided.
    uint32_t next_window() const;

    // Hashes of all stages of a window among the last kKeptWindows that had a result; false when it is
    // not among them. Valid until the next step().
    bool stages_of(uint32_t window, Span<const uint32_t>* out) const;

  private:
    struct State;
    State* state_ = nullptr;
};

// Pushes a block of any length and hands every window that gets decided to sink(state, *scratch).
template <typename Sink>
void feed(Runner& runner, size_t input, const BlockView& block, WindowResult* scratch, Sink&& sink) {
    WindowState state;
    for (uint32_t from = 0; from < block.count;) {
        from = runner.push_some(input, block, from);
        while (runner.step(&state, scratch))
            sink(state, *scratch);
    }
}

}  // namespace lockstep::model
