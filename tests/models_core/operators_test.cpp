// Quantise, dequantise and normalise at their edges, and the hash of a tensor.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dsp/base/crc32c.h"
#include "models/core/engine.h"
#include "tests/models_core/fixture.h"

namespace lockstep {
namespace {

using namespace model;

template <typename T>
Tensor tensor_of(std::vector<T>& values, ElementType type, float scale = 1, int32_t zero_point = 0) {
    Tensor t;
    t.type = type;
    t.rank = 1;
    t.dim[0] = uint16_t(values.size());
    t.scale = scale;
    t.zero_point = zero_point;
    t.data = values.data();
    return t;
}

OperatorContext context_of(const Tensor& in, Tensor& out) {
    OperatorContext c;
    c.input_count = 1;
    c.input[0] = &in;
    c.output = &out;
    return c;
}

TEST(Quantise, RoundsHalvesAwayFromZeroAndClampsFirst) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float inf = std::numeric_limits<float>::infinity();
    std::vector<float> x = {0,     0.25f,  -0.25f, 0.24999999f, 0.249999985f, 0.75f, -0.75f,
                            1e20f, -1e20f, inf,    -inf,        nan,          62.9f};
    std::vector<int8_t> q(x.size());
    const Tensor in = tensor_of(x, ElementType::float32);
    Tensor out = tensor_of(q, ElementType::int8, 0.5f, 2);
    const OperatorContext c = context_of(in, out);
    ASSERT_EQ(kQuantise.prepare(c), Code::ok);
    kQuantise.eval(c);
    EXPECT_EQ(q, (std::vector<int8_t>{2, 3, 1, 2, 2, 4, 0, 127, -128, 127, -128, 2, 127}));
}

TEST(Quantise, RefusesWhatItCannotDo) {
    std::vector<float> x(4);
    std::vector<int8_t> q(4);
    const Tensor in = tensor_of(x, ElementType::float32);
    Tensor out = tensor_of(q, ElementType::int8, 0.0f, 0);
    EXPECT_EQ(kQuantise.prepare(context_of(in, out)), Code::out_of_range);
    out.scale = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(kQuantise.prepare(context_of(in, out)), Code::out_of_range);
    out.scale = 1;
    out.zero_point = 128;
    EXPECT_EQ(kQuantise.prepare(context_of(in, out)), Code::out_of_range);
    out.zero_point = 0;
    out.dim[0] = 3;
    EXPECT_EQ(kQuantise.prepare(context_of(in, out)), Code::invalid);
    EXPECT_EQ(kQuantise.prepare(context_of(out, out)), Code::invalid);
}

TEST(Dequantise, IsExact) {
    std::vector<int8_t> q = {-128, -1, 0, 5, 127};
    std::vector<float> x(q.size());
    const Tensor in = tensor_of(q, ElementType::int8, 0.1f, -3);
    Tensor out = tensor_of(x, ElementType::float32);
    const OperatorContext c = context_of(in, out);
    ASSERT_EQ(kDequantise.prepare(c), Code::ok);
    kDequantise.eval(c);
    for (size_t i = 0; i < q.size(); ++i)
        EXPECT_EQ(x[i], float(q[i] + 3) * 0.1f);
}

TEST(Normalise, RefusesAZeroDeviation) {
    std::vector<float> x(4);
    const Tensor in = tensor_of(x, ElementType::float32);
    Tensor out = in;
    OperatorContext c = context_of(in, out);
    std::vector<float> params = {1, 2, 3, 4, 1, 1, 0, 1};
    c.params = bytes_of(params);
    EXPECT_EQ(kNormalise.prepare(c), Code::out_of_range);
    params[6] = std::numeric_limits<float>::infinity();
    EXPECT_EQ(kNormalise.prepare(c), Code::out_of_range);
    params[6] = 1;
    EXPECT_EQ(kNormalise.prepare(c), Code::ok);
    c.params = c.params.subspan(4);
    EXPECT_EQ(kNormalise.prepare(c), Code::invalid);
}

TEST(TensorHash, CountsEveryNanAsOne) {
    std::vector<float> a(70, 1.5f);
    std::vector<float> b = a;
    const uint32_t x86_nan = 0xffc00000u;
    const uint32_t arm_nan = 0x7fc00000u;
    const uint32_t signalling = 0x7f800001u;
    memcpy(&a[65], &x86_nan, 4);
    memcpy(&b[65], &arm_nan, 4);
    const uint32_t one = tensor_hash(tensor_of(a, ElementType::float32));
    EXPECT_EQ(one, tensor_hash(tensor_of(b, ElementType::float32)));
    EXPECT_EQ(one, crc32c(bytes_of(b)));
    memcpy(&b[65], &signalling, 4);
    EXPECT_EQ(one, tensor_hash(tensor_of(b, ElementType::float32)));
    b[65] = std::numeric_limits<float>::infinity();
    EXPECT_NE(one, tensor_hash(tensor_of(b, ElementType::float32)));
    EXPECT_NE(tensor_hash(tensor_of(b, ElementType::float32)), 0u);
    std::vector<int8_t> q = {1, 2, 3};
    EXPECT_EQ(tensor_hash(tensor_of(q, ElementType::int8)), crc32c(bytes_of(q)));
}

TEST(Operators, TheTableHasEachCodeOnce) {
    const OperatorTable all = all_operators();
    for (size_t i = 0; i < all.size(); ++i) {
        EXPECT_NE(all[i]->prepare, nullptr);
        EXPECT_NE(all[i]->eval, nullptr);
        EXPECT_STRNE(all[i]->name, "");
        for (size_t k = 0; k < i; ++k)
            EXPECT_NE(all[i]->code, all[k]->code) << all[i]->name;
    }
}

// A context without params, and one with wrong ones, is refused by every operator, not run.
TEST(Operators, PrepareRefusesNonsense) {
    std::vector<float> x(4);
    std::vector<int16_t> y(5);
    const Tensor in = tensor_of(x, ElementType::float32);
    Tensor out = tensor_of(y, ElementType::int16);
    for (const Operator* op : all_operators())
        EXPECT_NE(op->prepare(context_of(in, out)), Code::ok) << op->name;
}

}  // namespace
}  // namespace lockstep
