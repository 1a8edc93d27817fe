// CRC-32C (Castagnoli), reflected polynomial 0x82F63B78, initial value and final xor 0xFFFFFFFF
// (RFC 3720, B.4). It guards frames, journals and is the hash of every parity stage.
#pragma once

#include "dsp/base/span.h"

namespace lockstep {

// Incremental: crc32c(b, crc32c(a)) == crc32c(a followed by b).
uint32_t crc32c(Bytes data, uint32_t previous = 0);

}  // namespace lockstep
