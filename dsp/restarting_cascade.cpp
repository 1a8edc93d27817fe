#include "dsp/restarting_cascade.h"

namespace lockstep::dsp {

void RestartingCascade::bind(Span<const Biquad> cascade, size_t channels, uint32_t period, uint32_t warmup,
                             Span<BiquadState> state) {
    cascade_ = cascade;
    channels_ = channels;
    period_ = period;
    warmup_ = warmup;
    state_ = state;
    restart(0);
}

Span<BiquadState> RestartingCascade::states_of(size_t set, size_t channel) const {
    return state_.subspan((set * channels_ + channel) * cascade_.size(), cascade_.size());
}

void RestartingCascade::clear(size_t set) {
    const size_t n = channels_ * cascade_.size();
    for (BiquadState& s : state_.subspan(set * n, n))
        s = BiquadState();
}

void RestartingCascade::restart(uint64_t first) {
    phase_ = uint32_t(first % period_);
    clear(0);
    clear(1);
    next_runs_ = phase_ > period_ - warmup_;
}

void RestartingCascade::step(const float* in, float* out) {
    if (phase_ == 0) {
        current_ = 1 - current_;
        if (!next_runs_) clear(current_);
        next_runs_ = false;
    }
    if (phase_ == period_ - warmup_) {
        clear(1 - current_);
        next_runs_ = true;
    }
    for (size_t c = 0; c < channels_; ++c) {
        const float x = in[c];
        if (next_runs_) cascade_step(cascade_, states_of(1 - current_, c), x);
        out[c] = cascade_step(cascade_, states_of(current_, c), x);
    }
    if (++phase_ == period_) phase_ = 0;
}

}  // namespace lockstep::dsp
