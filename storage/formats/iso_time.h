// Dates and times as ISO 8601 writes them.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep::storage {

// "2024-05-01T10:00:00.25Z", "2024-05-01 12:00:00,25+02:00", "20240501T100000": the whole text (spaces around
// allowed), with any number of fractional digits (nanoseconds are kept). Without a zone the time is taken as
// UTC and `zoned` is false.
bool parse_iso_time(const std::string& text, int64_t* utc_ns, bool* zoned);

}  // namespace lockstep::storage
