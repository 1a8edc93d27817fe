// Ed25519 signatures (RFC 8032, 5.1), verification only: what a board needs to know whose plan it was given.
// Nothing here is secret, so nothing runs in constant time. Floor 0: no heap, about 1.5 kB of state.
#pragma once

#include "dsp/base/span.h"

namespace lockstep {

// A number modulo 2^255 - 19: 16 digits of 16 bits, little-endian, below 2^256.
struct Field25519 {
    uint32_t digit[16] = {};
};

// One signature, checked in parts, so that a main loop goes on beside it. Malformed keys and signatures (a
// point that is none, an S that is not reduced) are not valid. Points of small order are not looked for: the
// key is the owner's own.
class Ed25519Check {
  public:
    // The message is read now; nothing is kept of the three.
    void begin(const uint8_t (&key)[32], const uint8_t (&signature)[64], Bytes message);
    // Works for about 600 multiplications of the field at most; false when the answer is there.
    bool step();
    // REQUIRES: step() gave false.
    bool valid() const { return valid_; }

  private:
    // Extended coordinates: x = X/Z, y = Y/Z, x*y = T/Z.
    struct Point {
        Field25519 x, y, z, t;
    };
    enum class Phase : uint8_t { decode, multiply, encode, done };

    static void add(Point* sum, const Point& a, const Point& b);
    bool decode_key();
    bool encoded_is_r() const;

    Phase phase_ = Phase::done;
    bool valid_ = false;
    int bit_ = 0;         // of the scalars, the next one
    uint32_t s_[8] = {};  // the signature's scalar
    uint32_t h_[8] = {};  // SHA-512(R, key, message) modulo the group's order
    uint8_t key_[32] = {};
    uint8_t r_[32] = {};
    Point sum_;       // s*B - h*A, from the top bit down
    Point table_[3];  // B, -A, B - A
};

bool ed25519_valid(const uint8_t (&key)[32], const uint8_t (&signature)[64], Bytes message);

}  // namespace lockstep
