// The last samples of one input of a plan: counts, filtered values, and what each sample is worth.
//
//   oldest()              next()
//     v                     v
//   ..[xxxxx----xxxxxxwwwwww)       x good, - missing, w warming
//          gap ^    ^ discontinuity
#pragma once

#include "dsp/base/sample.h"
#include "dsp/restarting_cascade.h"
#include "models/core/layout.h"
#include "models/core/runner.h"

namespace lockstep::model {

class History {
  public:
    // Room for `slack_ms` beyond the window; counted or taken from `layout`. `stamps`: keep times, too.
    void lay_out(const Plan& plan, size_t input, uint32_t slack_ms, bool stamps, Layout* layout);
    // REQUIRES: lay_out() was given enough memory.
    void bind(const Plan& plan, size_t input, const InputBinding& binding);
    void reset();

    const InputSpec& spec() const { return spec_; }
    bool filtered() const { return sections_ != 0; }
    bool started() const { return started_; }
    uint64_t next() const { return next_; }
    uint64_t oldest() const { return next_ > capacity_ ? next_ - capacity_ : 0; }
    uint32_t capacity() const { return capacity_; }

    // Whether the block is of the bound stream and has samples that are new.
    bool accepts(const BlockView& block) const;
    // Index of the sample at or after `from` that push() would begin with. REQUIRES: accepts(block).
    uint64_t begin_of(const BlockView& block, uint32_t from) const;
    uint64_t stamp_in(const BlockView& block, uint64_t index) const {
        return sample_time_us(block.time_us, uint32_t(index - block.first), spec_.rate_num, spec_.rate_den);
    }
    // Takes samples [begin_of(block, from), end). REQUIRES: begin < end <= block.first + block.count.
    void push(const BlockView& block, uint32_t from, uint64_t end);

    // What a window [begin, end) is worth. REQUIRES: end <= next().
    WindowState judge(uint64_t begin, uint64_t end) const;
    // Whether a discontinuity is just before the sample. REQUIRES: oldest() <= index < next().
    bool restarts_at(uint64_t index) const { return (worth_[slot_of(index)] & kRestart) != 0; }
    // The first sample from max(from, oldest()) on that is stamped later than `time_us`; next() if none.
    uint64_t first_after(uint64_t time_us, uint64_t from) const;

    // REQUIRES: judge(begin, begin + spec().window) was WindowState::result.
    uint32_t hash_counts(uint64_t begin) const;
    // float32 [window][channels]: filtered, or physical units without a filter.
    void copy_values(uint64_t begin, float* out) const;

  private:
    enum Worth : uint8_t { kMissing = 1, kWarming = 2, kRestart = 4 };

    size_t slot_of(uint64_t index) const;
    void gap(uint64_t to, bool trusted);
    void store(const int32_t* counts, uint64_t stamp);
    float physical(int32_t count, size_t channel) const;

    InputSpec spec_;
    InputBinding binding_;
    size_t sections_ = 0;
    uint32_t capacity_ = 0;
    dsp::RestartingCascade filter_;

    Span<dsp::Biquad> cascade_;
    Span<dsp::BiquadState> state_;
    float* sample_ = nullptr;    // [channels], of the sample being filtered
    int32_t* counts_ = nullptr;  // [capacity][channels]
    float* values_ = nullptr;    // [capacity][channels]; null without a filter
    uint8_t* worth_ = nullptr;   // [capacity], bits of Worth
    uint64_t* stamp_ = nullptr;  // [capacity]; null when not asked for

    bool started_ = false;
    bool restart_ = false;     // the next sample is the first after a discontinuity
    uint64_t next_ = 0;        // index of the next sample
    size_t head_ = 0;          // its slot
    uint64_t trust_from_ = 0;  // earlier filter outputs depend on samples that only this side missed
    uint64_t warm_from_ = 0;   // earlier ones on a filter that had not warmed up
};

}  // namespace lockstep::model
