// When an event came, on the host's clock. Internal to storage/.
#pragma once

#include <type_traits>

#include "acquisition/event.h"

namespace lockstep::storage {

// 0 for events that carry no time of arrival.
inline int64_t event_time(const Event& event) {
    return std::visit(
        [](const auto& v) -> int64_t {
            using T = std::decay_t<decltype(v)>;
            if constexpr (std::is_same_v<T, std::shared_ptr<const Block>>)
                return v->host_ns;
            else if constexpr (std::is_same_v<T, ClockObservation>)
                return v.received_ns;
            else if constexpr (std::is_same_v<T, WindowVerdict> || std::is_same_v<T, LabelEdit>)
                return 0;
            else
                return v.host_ns;
        },
        event);
}

}  // namespace lockstep::storage
