// The result of an operation in the freestanding core, and the status byte of the device protocol's
// acknowledgements (docs/protocol.md fixes the numbers). Desktop code wraps it in an Error with words.
#pragma once

#include <stdint.h>

namespace lockstep {

enum class [[nodiscard]] Code : uint8_t{
    ok = 0,
    invalid = 1,       // malformed: a field contradicts another or the format
    out_of_range = 2,  // well-formed, but past a bound
    no_space = 3,      // the memory handed in does not suffice
    corrupt = 4,       // a checksum or hash does not match
    unsupported = 5,   // a version, operator or feature this build does not have
    not_ready = 6,     // ask again later
    not_found = 7,     // no such stream, model, window or command
    busy = 8,          // another operation holds the resource
};

const char* code_name(Code code);

}  // namespace lockstep
