// The board's own SHA-2 and Ed25519: the standards' vectors, and libsodium's answers on random messages, keys
// and damage of every bit.
#include <sodium.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "dsp/base/ed25519.h"
#include "dsp/base/sha2.h"
#include "gtest/gtest.h"

namespace lockstep {
namespace {

std::vector<uint8_t> bytes_of(const std::string& hex) {
    std::vector<uint8_t> out;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        out.push_back(uint8_t(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return out;
}

std::string hex_of(const uint8_t* data, size_t size) {
    std::string out(2 * size + 1, 0);
    sodium_bin2hex(out.data(), out.size(), data, size);
    out.pop_back();
    return out;
}

Bytes view(const std::vector<uint8_t>& v) {
    return {v.data(), v.size()};
}
Bytes view(const std::string& s) {
    return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

template <typename Sha>
std::string digest(Bytes message, size_t part = SIZE_MAX) {
    Sha sha;
    for (size_t at = 0; at < message.size(); at += part < message.size() ? part : message.size())
        sha.update(message.subspan(at, part));
    uint8_t out[Sha::kSize];
    sha.finish(out);
    return hex_of(out, sizeof out);
}

struct Signed {
    uint8_t key[32];
    uint8_t signature[64];
};
Signed from(const std::string& key, const std::string& signature) {
    Signed s;
    std::memcpy(s.key, bytes_of(key).data(), 32);
    std::memcpy(s.signature, bytes_of(signature).data(), 64);
    return s;
}

TEST(Sha2, ExamplesOfTheStandard) {
    const std::string two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    EXPECT_EQ(digest<Sha256>(view("abc")),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(digest<Sha256>({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(digest<Sha256>(view(two_blocks)),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(digest<Sha256>(view(std::string(1000000, 'a')), 977),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    EXPECT_EQ(digest<Sha512>(view("abc")),
              "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
              "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Sha2, EveryLengthAsLibsodium) {
    std::vector<uint8_t> message(300);
    for (size_t i = 0; i < message.size(); ++i)
        message[i] = uint8_t(i * 7 + 1);
    for (size_t n = 0; n <= message.size(); ++n) {
        uint8_t small[32];
        uint8_t large[64];
        crypto_hash_sha256(small, message.data(), n);
        crypto_hash_sha512(large, message.data(), n);
        const Bytes part = view(message).subspan(0, n);
        EXPECT_EQ(digest<Sha256>(part, 1 + n % 70), hex_of(small, 32)) << n;
        EXPECT_EQ(digest<Sha512>(part, 1 + n % 70), hex_of(large, 64)) << n;
    }
}

TEST(Ed25519, ExamplesOfTheRfc) {
    // RFC 8032, 7.1: TEST 1, 2, 3.
    const Signed one =
        from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
             "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
             "b46bd25bf5f0595bbe24655141438e7a100b");
    const Signed two =
        from("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
             "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
             "1d8c387b2eaeb4302aeeb00d291612bb0c00");
    const Signed three =
        from("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
             "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
             "4dc6594a7c15e9716ed28dc027beceea1ec40a");
    const uint8_t message[] = {0x72};
    const uint8_t longer[] = {0xaf, 0x82};
    EXPECT_TRUE(ed25519_valid(one.key, one.signature, {}));
    EXPECT_TRUE(ed25519_valid(two.key, two.signature, Bytes(message)));
    EXPECT_TRUE(ed25519_valid(three.key, three.signature, Bytes(longer)));
    EXPECT_FALSE(ed25519_valid(two.key, two.signature, Bytes(longer)));
    EXPECT_FALSE(ed25519_valid(one.key, two.signature, Bytes(message)));
}

TEST(Ed25519, AgreesWithLibsodium) {
    ASSERT_GE(sodium_init(), 0);
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        std::vector<uint8_t> message(random() % 200);
        for (uint8_t& byte : message)
            byte = uint8_t(random());
        uint8_t seed[32];
        for (uint8_t& byte : seed)
            byte = uint8_t(random());
        Signed s;
        uint8_t secret[64];
        crypto_sign_seed_keypair(s.key, secret, seed);
        crypto_sign_detached(s.signature, nullptr, message.data(), message.size(), secret);
        EXPECT_TRUE(ed25519_valid(s.key, s.signature, view(message))) << round;
        // One bit of the signature, the key or the message.
        const size_t bit = random() % (8 * (96 + message.size()));
        uint8_t* at = bit / 8 < 64   ? s.signature + bit / 8
                      : bit / 8 < 96 ? s.key + (bit / 8 - 64)
                                     : message.data() + (bit / 8 - 96);
        *at = uint8_t(*at ^ 1u << bit % 8);
        const bool theirs =
            crypto_sign_verify_detached(s.signature, message.data(), message.size(), s.key) == 0;
        EXPECT_EQ(ed25519_valid(s.key, s.signature, view(message)), theirs) << round << " bit " << bit;
        EXPECT_FALSE(theirs);
    }
}

TEST(Ed25519, MalformedPointsAndScalars) {
    ASSERT_GE(sodium_init(), 0);
    uint8_t seed[32] = {9};
    Signed s;
    uint8_t secret[64];
    crypto_sign_seed_keypair(s.key, secret, seed);
    crypto_sign_detached(s.signature, nullptr, seed, sizeof seed, secret);
    ASSERT_TRUE(ed25519_valid(s.key, s.signature, Bytes(seed)));
    // S + order is the same scalar, and must not pass.
    const std::vector<uint8_t> order =
        bytes_of("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    Signed more = s;
    unsigned carry = 0;
    for (size_t i = 0; i < 32; ++i) {
        carry += s.signature[32 + i] + order[i];
        more.signature[32 + i] = uint8_t(carry);
        carry >>= 8;
    }
    EXPECT_FALSE(ed25519_valid(s.key, more.signature, Bytes(seed)));
    // Keys that are no points, and coordinates that are not reduced.
    int none = 0;
    for (int i = 0; i < 64; ++i) {
        Signed odd = s;
        odd.key[0] = uint8_t(odd.key[0] + i + 1);
        EXPECT_FALSE(ed25519_valid(odd.key, odd.signature, Bytes(seed)));
        none += crypto_core_ed25519_is_valid_point(odd.key) == 0 ? 1 : 0;
    }
    EXPECT_GT(none, 10);
    Signed large = s;
    std::memset(large.key, 0xFF, 32);
    EXPECT_FALSE(ed25519_valid(large.key, large.signature, Bytes(seed)));
    std::memset(large.signature, 0, 64);
    EXPECT_FALSE(ed25519_valid(large.key, large.signature, Bytes(seed)));
}

}  // namespace
}  // namespace lockstep
