// max_pool and average_pool: four channels a word.
#include "models/core/kernels/dsp_choice.h"
#if defined(LOCKSTEP_DSP_KERNELS)
#include "models/core/kernels/dsp.h"
#include "models/core/kernels/pool.h"

namespace lockstep::model::kernels {
namespace {

inline uint32_t max4(uint32_t a, uint32_t b) {
    uint32_t out;
    asm("ssub8 %0, %1, %2\n sel %0, %1, %2" : "=&r"(out) : "r"(a), "r"(b) : "cc");
    return out;
}
inline uint32_t add_even(uint32_t sum, uint32_t v) {
    asm("sxtab16 %0, %0, %1" : "+r"(sum) : "r"(v));
    return sum;
}
inline uint32_t add_odd(uint32_t sum, uint32_t v) {
    asm("sxtab16 %0, %0, %1, ror #8" : "+r"(sum) : "r"(v));
    return sum;
}
inline int8_t mean(int32_t sum, int32_t n) {
    return int8_t((sum > 0 ? sum + n / 2 : sum - n / 2) / n);
}

uint32_t max_of(const PoolBlock& b) {
    uint32_t best = 0x80808080;
    const int8_t* row = b.from;
    for (int32_t y = 0; y < b.rows; ++y, row += b.row_bytes) {
        const int8_t* p = row;
        for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes)
            best = max4(best, load4(p));
    }
    return best;
}

uint32_t mean_of(const PoolBlock& b) {
    uint32_t evens = 0, odds = 0;
    const int8_t* row = b.from;
    for (int32_t y = 0; y < b.rows; ++y, row += b.row_bytes) {
        const int8_t* p = row;
        for (int32_t x = 0; x < b.columns; ++x, p += b.column_bytes) {
            const uint32_t v = load4(p);
            evens = add_even(evens, v);
            odds = add_odd(odds, v);
        }
    }
    const int32_t n = b.rows * b.columns;
    const int8_t out[4] = {mean(int16_t(evens), n), mean(int16_t(odds), n), mean(int32_t(evens) >> 16, n),
                           mean(int32_t(odds) >> 16, n)};
    return load4(out);
}

template <uint32_t (*kReduce)(const PoolBlock&)>
struct Four {
    static void run(PoolBlock b, size_t channels, const ClampParams&, int8_t* out) {
        for (const int8_t* end = out + channels; out != end; b.from += 4, out += 4) {
            const uint32_t v = kReduce(b);
            memcpy(out, &v, 4);
        }
    }
};

template <uint32_t (*kReduce)(const PoolBlock&)>
void run(const OperatorContext& c) {
    pool<Four<kReduce>>(c);
    clamp_bytes(i8_out(c.output), c.output->elements(), header<PoolParams>(c).clamp);
}

}  // namespace

namespace dsp {

void max_pool(const OperatorContext& c) {
    run<max_of>(c);
}
void average_pool(const OperatorContext& c) {
    run<mean_of>(c);
}

}  // namespace dsp
}  // namespace lockstep::model::kernels
#endif
