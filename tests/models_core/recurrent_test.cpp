// What a plan may not ask of a recurrent layer, and that a window leaves nothing behind.
#include "models/core/ops/recurrent.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace lockstep {
namespace {

using namespace model;

struct Layer {
    Tensor in, out;
    std::vector<int32_t> words;  // header, then six rows of numbers, then the weights
    std::vector<int8_t> x, y;
    std::vector<int16_t> scratch;
    OperatorContext context;
    static constexpr int32_t kTime = 4, kInputs = 4, kUnits = 4;

    explicit Layer(uint32_t gates) {
        const size_t rows = gates * kUnits;
        words.assign(4 + 6 * rows + rows * (kInputs + kUnits) / 4, 0);
        words[0] = kUnits;
        for (size_t r = 0; r < rows; ++r)
            for (const size_t k : {2, 4})
                words[4 + k * rows + r] = 1 << 30;
        auto* weights = reinterpret_cast<int8_t*>(&words[4 + 6 * rows]);
        for (size_t i = 0; i < rows * (kInputs + kUnits); ++i)
            weights[i] = int8_t(i * 37 % 255 - 127);
        for (int32_t i = 0; i < kTime * kInputs; ++i)
            x.push_back(int8_t(i * 29 - 128));
        y.assign(kTime * kUnits, 0);
        scratch.assign(recurrent_scratch_bytes(kUnits) / 2, 0x5a5a);
        in = tensor(kInputs, x.data());
        out = tensor(kUnits, y.data());
        out.scale = kHiddenScale;
        context.input_count = 1;
        context.input[0] = &in;
        context.output = &out;
        context.params = Bytes(reinterpret_cast<const uint8_t*>(words.data()), words.size() * 4);
        context.scratch = MutableBytes(reinterpret_cast<uint8_t*>(scratch.data()), scratch.size() * 2);
    }

    static Tensor tensor(int32_t channels, int8_t* data) {
        Tensor t;
        t.type = ElementType::int8;
        t.rank = 4;
        t.dim[2] = kTime;
        t.dim[3] = uint16_t(channels);
        t.data = data;
        return t;
    }
};

TEST(Recurrent, AWindowBeginsFromZeroState) {
    for (const Operator* op : {&kGru, &kLstm}) {
        Layer l(op == &kGru ? kGruGates : kLstmGates);
        ASSERT_EQ(op->prepare(l.context), Code::ok);
        op->eval(l.context);
        const std::vector<int8_t> first = l.y;
        EXPECT_NE(first, std::vector<int8_t>(first.size(), 0));
        op->eval(l.context);
        EXPECT_EQ(l.y, first) << op->name;
    }
}

TEST(Recurrent, TheLastStateIsTheEndOfTheCourse) {
    for (const bool reverse : {false, true}) {
        Layer l(kGruGates);
        l.words[1] = reverse;
        ASSERT_EQ(kGru.prepare(l.context), Code::ok);
        kGru.eval(l.context);
        const long at = reverse ? 0 : long(l.y.size()) - Layer::kUnits;
        const std::vector<int8_t> end(l.y.begin() + at, l.y.begin() + at + Layer::kUnits);
        l.words[2] = 1;
        l.out.dim[2] = 1;
        ASSERT_EQ(kGru.prepare(l.context), Code::ok);
        kGru.eval(l.context);
        EXPECT_EQ(std::vector<int8_t>(l.y.begin(), l.y.begin() + Layer::kUnits), end);
    }
}

TEST(Recurrent, RefusesWhatItCannotDo) {
    const std::vector<std::function<void(Layer*)>> faults = {
        [](Layer* l) { l->words[0] = 0; },
        [](Layer* l) { l->words[0] = -1; },
        [](Layer* l) { l->words[0] = 5; },
        [](Layer* l) { l->words[0] = kMaxHidden + 1; },
        [](Layer* l) { l->words[1] = 2; },
        [](Layer* l) { l->words[2] = -1; },
        [](Layer* l) { l->words[3] = 2; },
        [](Layer* l) { l->words[4] = INT32_MAX; },  // a sum could leave 32 bits
        [](Layer* l) { l->words[4] = INT32_MIN; },
        [](Layer* l) { l->words[4 + 2 * 3 * Layer::kUnits] = -1; },  // a multiplier
        [](Layer* l) { l->words[4 + 3 * 3 * Layer::kUnits] = 64; },  // a shift
        [](Layer* l) { l->words[4 + 5 * 3 * Layer::kUnits] = -64; },
        [](Layer* l) { l->in.rank = 3; },
        [](Layer* l) { l->in.dim[3] = 5; },
        [](Layer* l) { l->in.type = ElementType::float32; },
        [](Layer* l) { l->in.zero_point = 200; },
        [](Layer* l) { l->out.dim[3] = 3; },
        [](Layer* l) { l->out.dim[2] = 3; },
        [](Layer* l) { l->out.scale = 1; },
        [](Layer* l) { l->out.zero_point = 1; },
        [](Layer* l) { l->context.params = l->context.params.subspan(0, l->context.params.size() - 1); },
        [](Layer* l) { l->context.params = Bytes(); },
        [](Layer* l) { l->context.scratch = MutableBytes(l->context.scratch.data(), 31); },
    };
    for (size_t i = 0; i < faults.size(); ++i) {
        Layer l(kGruGates);
        ASSERT_EQ(kGru.prepare(l.context), Code::ok);
        faults[i](&l);
        EXPECT_NE(kGru.prepare(l.context), Code::ok) << "fault " << i;
    }
    Layer l(kLstmGates);
    l.words[3] = 1;  // there is no reset gate
    EXPECT_NE(kLstm.prepare(l.context), Code::ok);
}

}  // namespace
}  // namespace lockstep
