// gru, lstm: recurrent.h has the arithmetic.
#include "models/core/ops/recurrent.h"

#include <string.h>

#include "models/core/kernels/products.h"
#include "models/core/ops/check.h"
#include "models/core/quant.h"

namespace lockstep::model {
namespace {

// tanh(i / 32) in Q0.15.
constexpr int16_t kTanh[257] = {
    0,     1024,  2045,  3063,  4075,  5079,  6073,  7056,  8025,  8980,  9919,  10840, 11743, 12625, 13486,
    14326, 15143, 15936, 16706, 17452, 18173, 18870, 19542, 20189, 20813, 21411, 21986, 22538, 23066, 23571,
    24054, 24516, 24956, 25376, 25776, 26157, 26519, 26864, 27191, 27502, 27797, 28076, 28341, 28592, 28830,
    29055, 29268, 29470, 29660, 29840, 30010, 30170, 30322, 30465, 30600, 30727, 30847, 30960, 31067, 31167,
    31262, 31351, 31435, 31515, 31589, 31659, 31726, 31788, 31846, 31901, 31953, 32002, 32048, 32091, 32132,
    32170, 32206, 32240, 32271, 32301, 32329, 32356, 32381, 32404, 32426, 32447, 32466, 32484, 32501, 32517,
    32532, 32547, 32560, 32573, 32584, 32596, 32606, 32616, 32625, 32634, 32642, 32649, 32657, 32663, 32670,
    32676, 32681, 32686, 32691, 32696, 32700, 32704, 32708, 32712, 32715, 32718, 32721, 32724, 32727, 32729,
    32732, 32734, 32736, 32738, 32740, 32741, 32743, 32745, 32746, 32747, 32749, 32750, 32751, 32752, 32753,
    32754, 32755, 32755, 32756, 32757, 32758, 32758, 32759, 32759, 32760, 32760, 32761, 32761, 32762, 32762,
    32762, 32763, 32763, 32763, 32764, 32764, 32764, 32764, 32765, 32765, 32765, 32765, 32765, 32766, 32766,
    32766, 32766, 32766, 32766, 32766, 32766, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767,
};

int32_t clamp16(int32_t v) {
    return clamp(v, INT16_MIN, INT16_MAX);
}

// Q3.12 -> Q0.15.
int32_t tanh_of(int32_t v) {
    const int32_t size = v < 0 ? -v : v;
    const int32_t i = size >> 7;
    const int32_t step = i < 256 ? kTanh[i + 1] - kTanh[i] : 0;
    const int32_t y = kTanh[i] + ((step * (size & 127) + 64) >> 7);
    return v < 0 ? -y : y;
}
int32_t sigmoid_of(int32_t v) {
    return clamp16((32769 + tanh_of(v / 2)) >> 1);
}

int8_t narrowed(int32_t h) {
    return int8_t(clamp(rounding_shift(h, 8), -128, 127));
}

// The layer's numbers and what lives from step to step.
struct Layer {
    size_t inputs, hidden;
    const int32_t *bias_x, *bias_h, *multiplier_x, *shift_x, *multiplier_h, *shift_h;
    const int8_t *weights_x, *weights_h;
    int16_t *h, *cell, *gate;  // [hidden]; GRU: `gate` keeps the update gate, `cell` nothing
    int8_t *narrow, *gated;    // [hidden]: h in int8, and what the reset gate leaves of it

    Layer(const OperatorContext& c, size_t gates)
        : inputs(c.input[0]->dim[3]), hidden(size_t(header<RecurrentParams>(c).hidden)) {
        const size_t rows = gates * hidden;
        bias_x = reinterpret_cast<const int32_t*>(c.params.data() + sizeof(RecurrentParams));
        bias_h = bias_x + rows;
        multiplier_x = bias_h + rows;
        shift_x = multiplier_x + rows;
        multiplier_h = shift_x + rows;
        shift_h = multiplier_h + rows;
        weights_x = reinterpret_cast<const int8_t*>(shift_h + rows);
        weights_h = weights_x + rows * inputs;
        h = reinterpret_cast<int16_t*>(c.scratch.data());
        cell = h + hidden;
        gate = cell + hidden;
        narrow = reinterpret_cast<int8_t*>(gate + hidden);
        gated = narrow + hidden;
    }

    // Rows `row`, row + hidden ...: what the input, or the state, gives to one unit's gates, in Q3.12.
    template <typename Products, size_t Gates>
    void from_input(size_t row, const int8_t* x, int32_t* out) const {
        sums<Products, Gates>({bias_x, multiplier_x, shift_x}, weights_x, row, x, inputs, out);
    }
    template <typename Products, size_t Gates>
    void from_state(size_t row, const int8_t* state, int32_t* out) const {
        sums<Products, Gates>({bias_h, multiplier_h, shift_h}, weights_h, row, state, hidden, out);
    }

  private:
    struct Numbers {
        const int32_t *bias, *multiplier, *shift;
    };
    template <typename Products, size_t Gates>
    __attribute__((always_inline)) void sums(const Numbers& of, const int8_t* weights, size_t row,
                                             const int8_t* v, size_t n, int32_t* out) const {
        for (size_t g = 0; g < Gates; ++g)
            out[g] = of.bias[row + g * hidden];
        Products::template add<Gates>(weights + row * n, hidden * n, v, n, out);
        for (size_t g = 0; g < Gates; ++g)
            out[g] = Products::rescale(out[g], of.multiplier[row + g * hidden], of.shift[row + g * hidden]);
    }
};

// No sum of a row can leave 32 bits, and its factor is one.
bool row_fits(int32_t bias, const int8_t* w, size_t n, int32_t multiplier, int32_t shift) {
    int64_t bound = bias < 0 ? -int64_t(bias) : bias;
    for (size_t i = 0; i < n; ++i)
        bound += (w[i] < 0 ? -w[i] : w[i]) * 128;
    return bound <= INT32_MAX && valid_multiplier(multiplier, shift);
}

Code prepare(const OperatorContext& c, uint32_t gates) {
    const Code code = check_int8<RecurrentParams>(c, 1);
    if (code != Code::ok) return code;
    const auto& p = header<RecurrentParams>(c);
    const Tensor& in = *c.input[0];
    const Tensor& out = *c.output;
    const auto flag = [](int32_t v) { return v == 0 || v == 1; };
    if (p.hidden < 1 || p.hidden > kMaxHidden || !flag(p.reverse) || !flag(p.last_only) ||
        !flag(p.reset_first) || (p.reset_first != 0 && gates != kGruGates))
        return Code::out_of_range;
    if (in.rank != 4 || in.dim[0] != 1 || in.dim[1] != 1) return Code::invalid;
    const size_t time = in.dim[2], inputs = in.dim[3], hidden = size_t(p.hidden);
    if (time == 0 || inputs == 0) return Code::invalid;
    if (out.elements() != (p.last_only != 0 ? 1 : time) * hidden || last_dim(out) != hidden)
        return Code::invalid;
    if (out.scale != kHiddenScale || out.zero_point != 0) return Code::invalid;
    const uint64_t rows = uint64_t(gates) * hidden;
    if (c.params.size() < sizeof p + rows * (24 + inputs + hidden)) return Code::invalid;
    if (c.scratch.size() < recurrent_scratch_bytes(uint32_t(hidden))) return Code::no_space;
    const Layer l(c, gates);
    for (size_t r = 0; r < rows; ++r)
        if (!row_fits(l.bias_x[r], l.weights_x + r * inputs, inputs, l.multiplier_x[r], l.shift_x[r]) ||
            !row_fits(l.bias_h[r], l.weights_h + r * hidden, hidden, l.multiplier_h[r], l.shift_h[r]))
            return Code::out_of_range;
    return Code::ok;
}

// The new state of unit u: of the update gate, the new value, and the state before.
int16_t updated(int32_t gate, int32_t fresh, int32_t h) {
    return int16_t(clamp16(fresh + rounding_shift(gate * (h - fresh), 15)));
}

template <typename Products>
__attribute__((noinline)) void gru_step(const Layer& l, const int8_t* x) {
    for (size_t u = 0; u < l.hidden; ++u) {
        int32_t a[3], b[3];
        l.from_input<Products, 3>(u, x, a);
        l.from_state<Products, 3>(u, l.narrow, b);
        const int32_t gate = sigmoid_of(clamp16(a[0] + b[0])), reset = sigmoid_of(clamp16(a[1] + b[1]));
        const int32_t fresh = tanh_of(clamp16(a[2] + rounding_shift(reset * b[2], 15)));
        l.h[u] = updated(gate, fresh, l.h[u]);
    }
}

// The reset gate acts on the state before its sum.
template <typename Products>
__attribute__((noinline)) void gru_step_reset_first(const Layer& l, const int8_t* x) {
    const size_t n = l.hidden;
    for (size_t u = 0; u < n; ++u) {
        int32_t a[2], b[2];
        l.from_input<Products, 2>(u, x, a);
        l.from_state<Products, 2>(u, l.narrow, b);
        l.gate[u] = int16_t(sigmoid_of(clamp16(a[0] + b[0])));
        const int32_t reset = sigmoid_of(clamp16(a[1] + b[1]));
        l.gated[u] = narrowed(rounding_shift(reset * l.h[u], 15));
    }
    for (size_t u = 0; u < n; ++u) {
        int32_t a, b;
        l.from_input<Products, 1>(2 * n + u, x, &a);
        l.from_state<Products, 1>(2 * n + u, l.gated, &b);
        l.h[u] = updated(l.gate[u], tanh_of(clamp16(a + b)), l.h[u]);
    }
}

template <typename Products>
__attribute__((noinline)) void lstm_step(const Layer& l, const int8_t* x) {
    for (size_t u = 0; u < l.hidden; ++u) {
        int32_t a[4], b[4];
        l.from_input<Products, 4>(u, x, a);
        l.from_state<Products, 4>(u, l.narrow, b);
        const int32_t i = sigmoid_of(clamp16(a[0] + b[0])), o = sigmoid_of(clamp16(a[1] + b[1]));
        const int32_t f = sigmoid_of(clamp16(a[2] + b[2])), g = tanh_of(clamp16(a[3] + b[3]));
        const int32_t cell = clamp16(rounding_shift(f * l.cell[u], 15) + rounding_shift(i * g, 19));
        l.cell[u] = int16_t(cell);
        l.h[u] = int16_t(clamp16(rounding_shift(o * tanh_of(clamp16(cell * 2)), 15)));
    }
}

template <typename Products, bool Gru>
void run(const OperatorContext& c) {
    const auto& p = header<RecurrentParams>(c);
    const size_t time = c.input[0]->dim[2];
    const Layer l(c, Gru ? kGruGates : kLstmGates);
    memset(c.scratch.data(), 0, recurrent_scratch_bytes(uint32_t(l.hidden)));
    int8_t* y = i8_out(c.output);
    for (size_t step = 0; step < time; ++step) {
        const size_t t = p.reverse != 0 ? time - 1 - step : step;
        const int8_t* x = i8(c.input[0]) + t * l.inputs;
        if constexpr (!Gru)
            lstm_step<Products>(l, x);
        else if (p.reset_first != 0)
            gru_step_reset_first<Products>(l, x);
        else
            gru_step<Products>(l, x);
        for (size_t u = 0; u < l.hidden; ++u)
            l.narrow[u] = narrowed(l.h[u]);
        if (p.last_only == 0) memcpy(y + t * l.hidden, l.narrow, l.hidden);
    }
    if (p.last_only != 0) memcpy(y, l.narrow, l.hidden);
}

Code prepare_gru(const OperatorContext& c) {
    return prepare(c, kGruGates);
}
Code prepare_lstm(const OperatorContext& c) {
    return prepare(c, kLstmGates);
}

}  // namespace

void eval_gru(const OperatorContext& c) {
    run<kernels::FastProducts, true>(c);
}
void eval_lstm(const OperatorContext& c) {
    run<kernels::FastProducts, false>(c);
}
void reference_gru(const OperatorContext& c) {
    run<kernels::PlainProducts, true>(c);
}
void reference_lstm(const OperatorContext& c) {
    run<kernels::PlainProducts, false>(c);
}

const Operator kGru = {kOpGru, "gru", prepare_gru, eval_gru};
const Operator kLstm = {kOpLstm, "lstm", prepare_lstm, eval_lstm};

}  // namespace lockstep::model
