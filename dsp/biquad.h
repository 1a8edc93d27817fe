// Second-order sections in float32, direct form II transposed, coefficients apart from state. The same
// bits everywhere: each operation is rounded once, in the order written in biquad_step().
#pragma once

#include "dsp/base/span.h"

namespace lockstep::dsp {

struct Biquad {
    float b0 = 1, b1 = 0, b2 = 0, a1 = 0, a2 = 0;  // a0 = 1
};

struct BiquadState {
    float s1 = 0, s2 = 0;
};

inline float biquad_step(const Biquad& c, BiquadState& s, float x) {
    const float y = c.b0 * x + s.s1;
    s.s1 = (c.b1 * x - c.a1 * y) + s.s2;
    s.s2 = c.b2 * x - c.a2 * y;
    return y;
}

// REQUIRES: state.size() == cascade.size().
float cascade_step(Span<const Biquad> cascade, Span<BiquadState> state, float x);

}  // namespace lockstep::dsp
