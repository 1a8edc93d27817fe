// What pack() makes is a zlib stream of the shuffled bytes, whatever the values.
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <random>

#include "storage/pack.h"

namespace lockstep::storage {
namespace {

void expect_round_trip(const std::vector<uint8_t>& in, size_t element) {
    std::vector<uint8_t> packed;
    ASSERT_TRUE(pack(Bytes(in.data(), in.size()), element, &packed));
    std::vector<uint8_t> mixed(in.size() + 1);
    uLongf size = uLongf(mixed.size());
    ASSERT_EQ(uncompress(mixed.data(), &size, packed.data(), uLong(packed.size())), Z_OK);
    ASSERT_EQ(size, in.size());
    const size_t n = in.size() / element;
    for (size_t i = 0; i < n; ++i)
        for (size_t k = 0; k < element; ++k)
            ASSERT_EQ(mixed[k * n + i], in[i * element + k]);
}

template <typename T>
std::vector<uint8_t> bytes(const std::vector<T>& values) {
    std::vector<uint8_t> out(values.size() * sizeof(T));
    memcpy(out.data(), values.data(), out.size());
    return out;
}

TEST(Pack, EveryLengthOfAPlaneComesBack) {
    std::mt19937 random(1);
    // Around the length that one match gives, what is left over, and the window.
    for (const size_t n : {1,   2,   3,    255,  256,   257,   258,   259,   260,   261,   515,   516,  517,
                           518, 519, 1000, 4096, 12289, 15000, 16385, 24577, 32767, 32768, 32769, 65536}) {
        std::vector<int32_t> narrow(n), wide(n), still(n, -5);
        std::vector<int16_t> small(n);
        for (size_t i = 0; i < n; ++i) {
            narrow[i] = int32_t(random() % 2000) - 1000;
            wide[i] = int32_t(random());
            small[i] = int16_t(random() % 300);
        }
        for (const auto& values : {narrow, wide, still})
            expect_round_trip(bytes(values), 4);
        expect_round_trip(bytes(small), 2);
        expect_round_trip(bytes(wide), 1);
    }
}

TEST(Pack, RowsOfATableComeBack) {
    std::vector<uint8_t> rows(54 * 777);
    for (size_t i = 0; i < rows.size(); ++i)
        rows[i] = uint8_t(i % 54 < 8 ? i / 54 : 7);
    expect_round_trip(rows, 54);
}

TEST(Pack, ValuesOf24BitsTakeLittleMoreThanTheirLowerBytes) {
    std::mt19937 random(2);
    std::normal_distribution<double> noise(0, 400);
    std::vector<int32_t> values(15000);
    double slow = 0;
    for (int32_t& v : values)
        v = int32_t(slow = 0.9 * slow + noise(random));
    std::vector<uint8_t> packed;
    const auto in = bytes(values);
    ASSERT_TRUE(pack(Bytes(in.data(), in.size()), 4, &packed));
    uLongf size = compressBound(uLong(in.size()));
    std::vector<uint8_t> plain(size), mixed;
    for (size_t k = 0; k < 4; ++k)
        for (size_t i = 0; i < values.size(); ++i)
            mixed.push_back(in[i * 4 + k]);
    ASSERT_EQ(compress2(plain.data(), &size, mixed.data(), uLong(mixed.size()), 4), Z_OK);
    EXPECT_LT(packed.size(), size);
}

}  // namespace
}  // namespace lockstep::storage
