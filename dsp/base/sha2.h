// SHA-256 and SHA-512 (FIPS 180-4), for the identity of plans and for Ed25519. Floor 0: no heap.
#pragma once

#include "dsp/base/span.h"

namespace lockstep {

// Word is uint32_t (SHA-256) or uint64_t (SHA-512).
template <typename Word>
class Sha2 {
  public:
    static constexpr size_t kSize = 8 * sizeof(Word);  // of the digest

    Sha2() { reset(); }
    void reset();
    void update(Bytes data);
    // The digest of all data since reset(); afterwards only reset() may follow.
    void finish(uint8_t (&out)[kSize]);

  private:
    static constexpr size_t kBlock = 16 * sizeof(Word);

    void compress();

    Word state_[8];
    uint8_t block_[kBlock];
    uint64_t length_;  // bytes so far
};

using Sha256 = Sha2<uint32_t>;
using Sha512 = Sha2<uint64_t>;

}  // namespace lockstep
