// Bytes as HDF5's filters shuffle and deflate would store them, made smaller and sooner. A stock reader
// needs nothing new: the result is a zlib stream of the shuffled bytes. Internal to storage/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dsp/base/span.h"

namespace lockstep::storage {

// `in` holds whole elements of `element` bytes. Sample values (element 2 or 4) are packed byte plane by byte
// plane, each with a code of its own; a plane that repeats the one before it - the upper byte of a 24-bit
// value in 32 bits - costs almost nothing. Anything else is deflated as it is. False when memory is short.
bool pack(Bytes in, size_t element, std::vector<uint8_t>* out);

}  // namespace lockstep::storage
