#include "models/core/binding.h"

#include <string.h>

namespace lockstep::model {

bool bind_channels(const Plan& plan, size_t input, const StreamView& stream, Span<const ChannelView> channels,
                   Span<uint16_t> channel, Span<float> scale, Span<float> offset) {
    const InputSpec spec = plan.input(input);
    if (strcmp(spec.kind, stream.kind) != 0) return false;
    if (uint64_t(spec.rate_num) * stream.rate_den != uint64_t(stream.rate_num) * spec.rate_den) return false;
    for (size_t c = 0; c < spec.channels; ++c) {
        size_t at = 0;
        while (at < channels.size() && strcmp(channels[at].name, plan.channel_name(input, c)) != 0)
            ++at;
        if (at == channels.size() || strcmp(channels[at].unit, plan.channel_unit(input, c)) != 0)
            return false;
        channel[c] = uint16_t(at);
        scale[c] = channels[at].scale;
        offset[c] = channels[at].offset;
    }
    return true;
}

}  // namespace lockstep::model
