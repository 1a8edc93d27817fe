// curve, sigmoid and tanh over int16: int16.h.
#include "models/core/ops/check16.h"

namespace lockstep::model {
namespace {

// sigmoid(i / 24) in units of 1/65536, as TFLite's reference tabulates it: only its own numbers, some one
// unit above the nearest, give its bits.
constexpr uint16_t kSigmoid[256] = {
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064,
    42688, 43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464,
    50942, 51409, 51865, 52311, 52745, 53169, 53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503,
    56823, 57133, 57433, 57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370,
    60565, 60753, 60935, 61110, 61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666,
    62778, 62886, 62990, 63090, 63186, 63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968,
    64030, 64090, 64148, 64204, 64257, 64308, 64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687,
    64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019, 65039, 65060, 65079,
    65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234, 65246, 65258, 65269, 65280, 65291,
    65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367, 65374, 65381, 65387, 65393, 65399, 65404,
    65410, 65415, 65420, 65425, 65429, 65433, 65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465,
    65468, 65471, 65474, 65476, 65479, 65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498,
    65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513, 65514, 65515, 65516,
    65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524, 65525, 65525,
    65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530, 65530,
    65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533,
    65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534,
    65535,
};

Code prepare_curve(const OperatorContext& c) {
    const Code code = check_int16<CurveParams>(c, 1);
    if (code != Code::ok) return code;
    return c.input[0]->elements() == c.output->elements() ? Code::ok : Code::invalid;
}

Code prepare_sigmoid(const OperatorContext& c) {
    const Code code = check_int16<Sigmoid16Params>(c, 1);
    if (code != Code::ok) return code;
    const Sigmoid16Params& p = header<Sigmoid16Params>(c);
    if (c.input[0]->elements() != c.output->elements()) return Code::invalid;
    return p.multiplier >= 0 && p.multiplier <= INT16_MAX && p.shift >= 0 && p.shift <= 30 &&
                   (p.tanh == 0 || p.tanh == 1)
               ? Code::ok
               : Code::out_of_range;
}

// sigmoid(|v| / (24 * 2^bits)) in units of 2^-(16 + bits); the last entry stands for all that is larger.
int32_t table_at(int32_t v, int32_t bits, int32_t beyond) {
    const int32_t size = v < 0 ? -v : v;
    const int32_t i = size >> bits;
    if (i >= 255) return beyond;
    return (kSigmoid[i] << bits) + (size & ((1 << bits) - 1)) * (kSigmoid[i + 1] - kSigmoid[i]);
}

// v counts in 1/12288; sigmoid(-x) = 1 - sigmoid(x), halves up on both sides.
int16_t sigmoid_of(int32_t v) {
    const int32_t y = table_at(v, 9, INT16_MAX << 10);
    return int16_t((v >= 0 ? y + (1 << 9) : (1 << 25) - y + (1 << 9) - 1) >> 10);
}
// tanh(x) = 2 sigmoid(2 x) - 1.
int16_t tanh_of(int32_t v) {
    const int32_t y = table_at(v, 8, UINT16_MAX << 8) - (1 << 23);
    return int16_t((v >= 0 ? y + (1 << 7) : -y + (1 << 7) - 1) >> 8);
}

}  // namespace

void eval_curve(const OperatorContext& c) {
    const int16_t* table = header<CurveParams>(c).table;
    const int16_t* in = i16(c.input[0]);
    int16_t* out = i16_out(c.output);
    for (size_t i = 0, n = c.output->elements(); i < n; ++i)
        out[i] = int16_t(curve_at(table, in[i]));
}

void eval_sigmoid16(const OperatorContext& c) {
    const Sigmoid16Params& p = header<Sigmoid16Params>(c);
    const int32_t half = p.shift > 0 ? 1 << (p.shift - 1) : 0;
    const int16_t* in = i16(c.input[0]);
    int16_t* out = i16_out(c.output);
    for (size_t i = 0, n = c.output->elements(); i < n; ++i) {
        const int32_t v = (in[i] * p.multiplier + half) >> p.shift;
        out[i] = p.tanh != 0 ? tanh_of(v) : sigmoid_of(v);
    }
}

const Operator kCurve = {kOpCurve, "curve", prepare_curve, eval_curve};
const Operator kSigmoid16 = {kOpSigmoid16, "sigmoid_int16", prepare_sigmoid, eval_sigmoid16};

}  // namespace lockstep::model
