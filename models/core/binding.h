// Which stream feeds which input of a plan. Device and desktop ask the same function, so that both
// bind the same streams or neither does. Floor 1: freestanding.
#pragma once

#include "models/core/plan.h"

namespace lockstep::model {

struct ChannelView {
    const char* name = "";
    const char* unit = "";
    float scale = 1;  // physical = count * scale + offset
    float offset = 0;
};

struct StreamView {
    const char* kind = "";
    uint32_t rate_num = 0;
    uint32_t rate_den = 1;
};

// Fits the stream to `input`: same kind, exactly the same rate, and every channel that the plan names is
// there with an equal unit. On true, channel[c], scale[c] and offset[c] hold, for each channel of the
// plan in its order, where it is in the stream and how its counts become physical units; the first of
// two channels of one name counts. REQUIRES: the three spans hold plan.input(input).channels entries.
bool bind_channels(const Plan& plan, size_t input, const StreamView& stream, Span<const ChannelView> channels,
                   Span<uint16_t> channel, Span<float> scale, Span<float> offset);

}  // namespace lockstep::model
