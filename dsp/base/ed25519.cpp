#include "dsp/base/ed25519.h"

#include <string.h>

#include "dsp/base/sha2.h"

namespace lockstep {
namespace {

using Field = Field25519;

constexpr int kDigits = 16;
constexpr Field kOne = {{1}};
constexpr Field kD2 = {{0xf159, 0x26b2, 0x9b94, 0xebd6, 0xb156, 0x8283, 0x149a, 0x00e0, 0xd130, 0xeef3,
                        0x80f2, 0x198e, 0xfce7, 0x56df, 0xd9dc, 0x2406}};  // twice the curve's d
constexpr Field kD = {{0x78a3, 0x1359, 0x4dca, 0x75eb, 0xd8ab, 0x4141, 0x0a4d, 0x0070, 0xe898, 0x7779, 0x4079,
                       0x8cc7, 0xfe73, 0x2b6f, 0x6cee, 0x5203}};
constexpr Field kRootOfMinusOne = {{0xa0b0, 0x4a0e, 0x1b27, 0xc4ee, 0xe478, 0xad2f, 0x1806, 0x2f43, 0xd7a7,
                                    0x3dfb, 0x0099, 0x2b4d, 0xdf0b, 0x4fc1, 0x2480, 0x2b83}};
constexpr Field kBaseX = {{0xd51a, 0x8f25, 0x2d60, 0xc956, 0xa7b2, 0x9525, 0xc760, 0x692c, 0xdc5c, 0xfdd6,
                           0xe231, 0xc0a4, 0x53fe, 0xcd6e, 0x36d3, 0x2169}};
constexpr Field kBaseY = {{0x6658, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666,
                           0x6666, 0x6666, 0x6666, 0x6666, 0x6666, 0x6666}};
// 2^252 + 27742317777372353535851937790883648493, the order of the base point.
constexpr uint32_t kOrder[8] = {0x5cf5d3ed, 0x5812631a, 0xa2f79cd6, 0x14def9de,
                                0x00000000, 0x00000000, 0x00000000, 0x10000000};

// Digits of any size below 2^58 to digits of 16 bits; what leaves at the top comes back 38 times (2^256 =
// 38).
Field carried(uint64_t (&wide)[kDigits]) {
    for (int pass = 0; pass < 3; ++pass) {
        uint64_t carry = 0;
        for (uint64_t& digit : wide) {
            carry += digit;
            digit = carry & 0xFFFF;
            carry >>= 16;
        }
        wide[0] += 38 * carry;
    }
    Field out;
    for (int i = 0; i < kDigits; ++i)
        out.digit[i] = uint32_t(wide[i]);
    return out;
}

Field operator+(const Field& a, const Field& b) {
    uint64_t wide[kDigits];
    for (int i = 0; i < kDigits; ++i)
        wide[i] = a.digit[i] + b.digit[i];
    return carried(wide);
}

// Four times the prime on top, so that no digit is negative.
Field operator-(const Field& a, const Field& b) {
    uint64_t wide[kDigits];
    for (int i = 0; i < kDigits; ++i)
        wide[i] = a.digit[i] + (i == 0 ? 0x1FFB4u : 0x1FFFEu) - b.digit[i];
    return carried(wide);
}

Field operator*(const Field& a, const Field& b) {
    uint64_t wide[kDigits];
    for (int k = 0; k < kDigits; ++k) {
        uint64_t low = 0;
        uint64_t high = 0;
        for (int i = 0; i <= k; ++i)
            low += uint64_t(a.digit[i]) * b.digit[k - i];
        for (int i = k + 1; i < kDigits; ++i)
            high += uint64_t(a.digit[i]) * b.digit[kDigits + k - i];
        wide[k] = low + 38 * high;
    }
    return carried(wide);
}

// x^(2^bits - below), for the two exponents that are needed: all their bits are 1 but a few low ones.
Field power(const Field& x, int bits, uint32_t below) {
    Field out = kOne;
    for (int i = bits - 1; i >= 0; --i) {
        out = out * out;
        if (i >= 5 || ((32 - below) >> i & 1) != 0) out = out * x;
    }
    return out;
}
Field inverse(const Field& x) {
    return power(x, 255, 21);
}

void write(Field x, uint8_t (&out)[32]) {
    // Below 2^256, so at most twice the prime too large.
    for (int pass = 0; pass < 2; ++pass) {
        Field less;
        int32_t borrow = 0;
        for (int i = 0; i < kDigits; ++i) {
            const int32_t prime = i == 0 ? 0xFFED : i == kDigits - 1 ? 0x7FFF : 0xFFFF;
            const int32_t digit = int32_t(x.digit[i]) - prime - borrow;
            borrow = digit < 0 ? 1 : 0;
            less.digit[i] = uint32_t(digit) & 0xFFFF;
        }
        if (borrow == 0) x = less;
    }
    for (int i = 0; i < 32; ++i)
        out[i] = uint8_t(x.digit[i / 2] >> 8 * (i % 2));
}

bool equal(const Field& a, const Field& b) {
    uint8_t x[32];
    uint8_t y[32];
    write(a, x);
    write(b, y);
    return memcmp(x, y, 32) == 0;
}

bool odd(const Field& x) {
    uint8_t bytes[32];
    write(x, bytes);
    return (bytes[0] & 1) != 0;
}

void read_words(const uint8_t* bytes, uint32_t (&out)[8]) {
    for (int i = 0; i < 8; ++i)
        out[i] = uint32_t(bytes[4 * i]) | uint32_t(bytes[4 * i + 1]) << 8 | uint32_t(bytes[4 * i + 2]) << 16 |
                 uint32_t(bytes[4 * i + 3]) << 24;
}

// a -= order when that stays positive; whether it did.
bool take_order(uint32_t (&a)[8]) {
    uint32_t less[8];
    uint64_t borrow = 0;
    for (int i = 0; i < 8; ++i) {
        const uint64_t word = uint64_t(a[i]) - kOrder[i] - borrow;
        less[i] = uint32_t(word);
        borrow = word >> 63;
    }
    if (borrow == 0) memcpy(a, less, sizeof less);
    return borrow == 0;
}

bool bit_of(const uint32_t (&a)[8], int i) {
    return (a[i / 32] >> i % 32 & 1) != 0;
}

}  // namespace

// RFC 8032, 5.1.4: holds for equal points and the neutral one, too.
void Ed25519Check::add(Point* sum, const Point& p, const Point& q) {
    const Field a = (p.y - p.x) * (q.y - q.x);
    const Field b = (p.y + p.x) * (q.y + q.x);
    const Field c = p.t * kD2 * q.t;
    const Field z = p.z * q.z;
    const Field d = z + z;
    const Field e = b - a;
    const Field f = d - c;
    const Field g = d + c;
    const Field h = b + a;
    *sum = {e * f, g * h, f * g, e * h};
}

// The key's point, negated, and the table. RFC 8032, 5.1.3.
bool Ed25519Check::decode_key() {
    uint8_t again[32];
    Field y;
    for (int i = 0; i < kDigits; ++i)
        y.digit[i] = uint32_t(key_[2 * i]) | uint32_t(key_[2 * i + 1]) << 8;
    const bool sign = (y.digit[kDigits - 1] & 0x8000) != 0;
    y.digit[kDigits - 1] &= 0x7FFF;
    write(y, again);
    again[31] = uint8_t(again[31] | (sign ? 0x80 : 0));
    if (memcmp(again, key_, sizeof again) != 0) return false;  // not reduced
    const Field u = y * y - kOne;
    const Field v = kD * y * y + kOne;
    const Field v3 = v * v * v;
    Field x = u * v3 * power(u * v3 * v3 * v, 252, 3);
    if (!equal(v * x * x, u)) x = x * kRootOfMinusOne;
    if (!equal(v * x * x, u)) return false;
    if (equal(x, Field()) && sign) return false;
    if (odd(x) == sign) x = Field() - x;  // the negative of the key's point
    table_[0] = {kBaseX, kBaseY, kOne, kBaseX * kBaseY};
    table_[1] = {x, y, kOne, x * y};
    add(&table_[2], table_[0], table_[1]);
    sum_ = {Field(), kOne, kOne, Field()};
    return true;
}

bool Ed25519Check::encoded_is_r() const {
    const Field scale = inverse(sum_.z);
    uint8_t bytes[32];
    write(sum_.y * scale, bytes);
    bytes[31] = uint8_t(bytes[31] | (odd(sum_.x * scale) ? 0x80 : 0));
    return memcmp(bytes, r_, sizeof bytes) == 0;
}

void Ed25519Check::begin(const uint8_t (&key)[32], const uint8_t (&signature)[64], Bytes message) {
    memcpy(key_, key, sizeof key_);
    memcpy(r_, signature, sizeof r_);
    read_words(signature + 32, s_);
    valid_ = false;
    uint32_t s[8];
    memcpy(s, s_, sizeof s);
    phase_ = take_order(s) ? Phase::done : Phase::decode;  // S must be below the order

    Sha512 sha;
    uint8_t hash[64];
    sha.update(Bytes(r_));
    sha.update(Bytes(key_));
    sha.update(message);
    sha.finish(hash);
    memset(h_, 0, sizeof h_);
    for (int i = 511; i >= 0; --i) {
        uint32_t carry = hash[i / 8] >> i % 8 & 1;
        for (uint32_t& word : h_) {
            const uint32_t top = word >> 31;
            word = word << 1 | carry;
            carry = top;
        }
        (void)take_order(h_);
    }
    bit_ = 255;
}

bool Ed25519Check::step() {
    switch (phase_) {
        case Phase::decode:
            phase_ = decode_key() ? Phase::multiply : Phase::done;
            break;
        case Phase::multiply: {
            add(&sum_, sum_, sum_);
            const int which = (bit_of(s_, bit_) ? 1 : 0) + (bit_of(h_, bit_) ? 2 : 0);
            if (which != 0) add(&sum_, sum_, table_[which - 1]);
            if (bit_-- == 0) phase_ = Phase::encode;
            break;
        }
        case Phase::encode:
            valid_ = encoded_is_r();
            phase_ = Phase::done;
            break;
        case Phase::done:
            break;
    }
    return phase_ != Phase::done;
}

bool ed25519_valid(const uint8_t (&key)[32], const uint8_t (&signature)[64], Bytes message) {
    Ed25519Check check;
    check.begin(key, signature, message);
    while (check.step()) {
    }
    return check.valid();
}

}  // namespace lockstep
