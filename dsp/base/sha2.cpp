#include "dsp/base/sha2.h"

#include <string.h>

namespace lockstep {
namespace {

// Fractions of the cube roots of the first 80 primes, 64 bits; SHA-256 takes the upper halves of the
// first 64.
constexpr uint64_t kRound[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};
// Fractions of the square roots of the first 8 primes; SHA-256 takes the upper halves.
constexpr uint64_t kStart[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

template <typename Word>
struct Variant;
template <>
struct Variant<uint32_t> {
    static constexpr int rounds = 64, shift = 32;
    static constexpr int a[3] = {2, 13, 22}, e[3] = {6, 11, 25}, early[3] = {7, 18, 3},
                         late[3] = {17, 19, 10};
};
template <>
struct Variant<uint64_t> {
    static constexpr int rounds = 80, shift = 0;
    static constexpr int a[3] = {28, 34, 39}, e[3] = {14, 18, 41}, early[3] = {1, 8, 7},
                         late[3] = {19, 61, 6};
};

template <typename Word>
Word turn(Word x, int n) {
    return Word(x >> n | x << (int(8 * sizeof(Word)) - n));
}

}  // namespace

template <typename Word>
void Sha2<Word>::reset() {
    for (int i = 0; i < 8; ++i)
        state_[i] = Word(kStart[i] >> Variant<Word>::shift);
    length_ = 0;
}

template <typename Word>
void Sha2<Word>::compress() {
    using V = Variant<Word>;
    Word w[16];
    for (size_t i = 0; i < 16; ++i) {
        w[i] = 0;
        for (size_t b = 0; b < sizeof(Word); ++b)
            w[i] = Word(w[i] << 8 | block_[i * sizeof(Word) + b]);
    }
    Word s[8];
    memcpy(s, state_, sizeof s);
    for (int t = 0; t < V::rounds; ++t) {
        if (t >= 16) {
            const Word x = w[(t + 1) & 15];
            const Word y = w[(t + 14) & 15];
            w[t & 15] += Word(turn(x, V::early[0]) ^ turn(x, V::early[1]) ^ x >> V::early[2]) +
                         Word(turn(y, V::late[0]) ^ turn(y, V::late[1]) ^ y >> V::late[2]) + w[(t + 9) & 15];
        }
        const Word choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        const Word majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        const Word one = s[7] + Word(turn(s[4], V::e[0]) ^ turn(s[4], V::e[1]) ^ turn(s[4], V::e[2])) +
                         choice + Word(kRound[t] >> V::shift) + w[t & 15];
        const Word two = Word(turn(s[0], V::a[0]) ^ turn(s[0], V::a[1]) ^ turn(s[0], V::a[2])) + majority;
        memmove(s + 1, s, 7 * sizeof(Word));
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; ++i)
        state_[i] += s[i];
}

template <typename Word>
void Sha2<Word>::update(Bytes data) {
    for (size_t done = 0; done < data.size();) {
        const size_t used = size_t(length_ % kBlock);
        const size_t n = data.size() - done < kBlock - used ? data.size() - done : kBlock - used;
        memcpy(block_ + used, data.data() + done, n);
        done += n;
        length_ += n;
        if (used + n == kBlock) compress();
    }
}

template <typename Word>
void Sha2<Word>::finish(uint8_t (&out)[kSize]) {
    const uint64_t bits = length_ * 8;
    const uint8_t mark = 0x80;
    const uint8_t zero = 0;
    update(Bytes(&mark, 1));
    uint8_t tail[2 * sizeof(Word)] = {};  // the length field, of which 64 bits are enough
    while (length_ % kBlock != kBlock - sizeof tail)
        update(Bytes(&zero, 1));
    for (size_t i = 0; i < 8; ++i)
        tail[sizeof tail - 1 - i] = uint8_t(bits >> 8 * i);
    update(Bytes(tail));
    for (size_t i = 0; i < kSize; ++i)
        out[i] = uint8_t(state_[i / sizeof(Word)] >> 8 * (sizeof(Word) - 1 - i % sizeof(Word)));
}

template class Sha2<uint32_t>;
template class Sha2<uint64_t>;

}  // namespace lockstep
