// A biquad cascade over several channels whose state restarts with the sample counter, so that its
// output depends on at most K + W samples and two sides that lost different samples agree again
// (docs/parity.md). Output n of block m = n / K comes from a filter that began, with zero state, at
// sample max(m*K - W, sample of the last restart()):
//
//   block      |<------- m-1 ------->|<-------- m -------->|
//   current    xxxxxxxxxxxxxxxxxxxxxx|oooooooooooooooooooooo
//   next                    oooooooo^ takes over             (W samples early, from zero)
#pragma once

#include "dsp/biquad.h"

namespace lockstep::dsp {

class RestartingCascade {
  public:
    static constexpr size_t states_needed(size_t sections, size_t channels) {
        return 2 * sections * channels;
    }

    // REQUIRES: 0 <= warmup <= period, period > 0, state.size() == states_needed(...); the memory behind
    // both spans outlives this object. Call restart() before step().
    void bind(Span<const Biquad> cascade, size_t channels, uint32_t period, uint32_t warmup,
              Span<BiquadState> state);

    // Forgets everything; the next sample is number `first` of its stream.
    void restart(uint64_t first);

    // One sample of every channel; `out` may be `in`.
    void step(const float* in, float* out);

  private:
    Span<BiquadState> states_of(size_t set, size_t channel) const;
    void clear(size_t set);

    Span<const Biquad> cascade_;
    Span<BiquadState> state_;
    size_t channels_ = 0;
    uint32_t period_ = 1;
    uint32_t warmup_ = 0;
    uint32_t phase_ = 0;      // sample number modulo period
    size_t current_ = 0;      // the set whose output counts
    bool next_runs_ = false;  // the other set warms up
};

}  // namespace lockstep::dsp
