#include "dsp/biquad.h"

namespace lockstep::dsp {

float cascade_step(Span<const Biquad> cascade, Span<BiquadState> state, float x) {
    for (size_t i = 0; i < cascade.size(); ++i)
        x = biquad_step(cascade[i], state[i], x);
    return x;
}

}  // namespace lockstep::dsp
