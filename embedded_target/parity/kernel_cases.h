// Random layers: each runs through the operator, which takes its fast kernel where it has one, and through
// the plain reference. The same layers on every machine.
#pragma once

#include <string.h>

#include "dsp/base/crc32c.h"
#include "models/core/kernels/kernels.h"
#include "models/core/ops/check.h"
#include "models/core/ops/features.h"
#include "models/core/ops/int16.h"
#include "models/core/ops/recurrent.h"
#include "models/core/ops/windows.h"

namespace lockstep::model::parity {

class Random {
  public:
    uint32_t next() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return uint32_t(state_ >> 32);
    }
    int32_t in(int32_t low, int32_t high) { return low + int32_t(next() % uint32_t(high - low + 1)); }
    bool one_in(uint32_t n) { return next() % n == 0; }

  private:
    uint64_t state_ = 20240229;
};

struct Result {
    uint32_t cases = 0, wrong = 0, first_wrong = 0;
    uint32_t fast = 0;  // cases that a kernel of this machine took
    uint32_t crc = 0;   // of all reference outputs
};

class Cases {
  public:
    Result run(uint32_t wanted) {
        random_ = Random();  // a bare machine may not have run constructors
        while (result_.cases < wanted) {
            const uint32_t kind = random_.next() % 9;
            if (kind == 0)
                convolution(kConv2d, reference_conv2d, false);
            else if (kind == 1)
                convolution(kDepthwiseConv2d, reference_depthwise_conv2d, true);
            else if (kind == 2)
                dense();
            else if (kind == 3)
                pool(kMaxPool, reference_max_pool);
            else if (kind == 4)
                pool(kAveragePool, reference_average_pool);
            else if (kind == 5)
                quantise();
            else if (kind == 6)
                recurrent();
            else if (kind == 7)
                feature();
            else
                wide();
        }
        return result_;
    }

  private:
    using Eval = void (*)(const OperatorContext&);

    Tensor tensor(int32_t h, int32_t w, int32_t c, int8_t* data) {
        Tensor t;
        t.type = ElementType::int8;
        t.rank = 4;
        t.dim[1] = uint16_t(h);
        t.dim[2] = uint16_t(w);
        t.dim[3] = uint16_t(c);
        t.zero_point = random_.one_in(4) ? -128 : random_.one_in(4) ? 127 : random_.in(-128, 127);
        t.data = data;
        return t;
    }

    ClampParams clamp(const Tensor& y) {
        if (!random_.one_in(3)) return {-128, 127};
        const int32_t low = random_.one_in(2) ? y.zero_point : random_.in(-128, 0);
        return {low, random_.in(low, 127)};
    }

    bool window(bool one_dimensional, int32_t h, int32_t w, WindowParams* p, int32_t* oh, int32_t* ow) {
        p->kernel_h = one_dimensional ? 1 : random_.in(1, 4);
        p->kernel_w = one_dimensional && random_.one_in(8) ? random_.in(17, 70)
                      : random_.one_in(4)                  ? 4 * random_.in(1, 4)
                                                           : random_.in(1, 6);
        p->stride_h = random_.in(1, 3);
        p->stride_w = random_.one_in(2) ? 1 : random_.in(1, 3);
        p->dilation_h = random_.one_in(5) ? 2 : 1;
        p->dilation_w = random_.one_in(5) ? 2 : 1;
        p->pad_top = random_.in(0, p->kernel_h - 1);
        p->pad_left = random_.in(0, p->kernel_w - 1);
        const int32_t below = random_.in(0, p->kernel_h - 1), right = random_.in(0, p->kernel_w - 1);
        const int32_t tall = h + p->pad_top + below - (p->kernel_h - 1) * p->dilation_h - 1;
        const int32_t wide = w + p->pad_left + right - (p->kernel_w - 1) * p->dilation_w - 1;
        *oh = tall / p->stride_h + 1;
        *ow = wide / p->stride_w + 1;
        return tall >= 0 && wide >= 0;
    }

    void fill(int8_t* p, size_t n) {
        const bool extreme = random_.one_in(6);
        for (size_t i = 0; i < n; ++i)
            p[i] = extreme ? (random_.one_in(2) ? int8_t(-128) : int8_t(127)) : int8_t(random_.next());
    }

    // Bias, multiplier, shift of every channel, then the weights; returns the bytes.
    size_t channels(size_t header_bytes, size_t count, size_t weights) {
        auto* words = reinterpret_cast<int32_t*>(params_ + header_bytes);
        const bool odd_scales = random_.one_in(8);
        for (size_t o = 0; o < count; ++o) {
            words[o] = random_.in(-40000, 40000);
            words[count + o] = int32_t(0x40000000u | random_.next() >> 2);
            words[2 * count + o] = odd_scales ? random_.in(-12, 2) : random_.in(-12, -1);
            if (odd_scales && random_.one_in(5)) words[count + o] = 0;
        }
        fill(reinterpret_cast<int8_t*>(words + 3 * count), weights);
        return header_bytes + 12 * count + weights;
    }

    void convolution(const Operator& op, Eval reference, bool depthwise) {
        const bool flat = random_.one_in(2);
        const int32_t h = flat ? 1 : random_.in(1, 7), w = flat ? random_.in(1, 40) : random_.in(1, 9);
        // Many channels, too: whole blocks of the widest vectors.
        const int32_t ic = random_.one_in(3)                ? 1
                           : depthwise && random_.one_in(3) ? random_.in(16, 70)
                           : random_.one_in(2)              ? 4 * random_.in(1, 5)
                                                            : random_.in(1, 18);
        const int32_t oc = depthwise           ? ic * (random_.one_in(2) ? 1 : random_.in(1, 3))
                           : random_.one_in(4) ? random_.in(16, 70)
                           : random_.one_in(2) ? 4 * random_.in(1, 4)
                                               : random_.in(1, 13);
        ConvParams p = {};
        int32_t oh = 0, ow = 0;
        if (!window(flat, h, w, &p.window, &oh, &ow)) return;
        const size_t cells = size_t(p.window.kernel_h) * size_t(p.window.kernel_w);
        const size_t taps = depthwise ? cells : cells * size_t(ic);
        Tensor x = tensor(h, w, ic, input_), y = tensor(oh, ow, oc, output_);
        p.clamp = clamp(y);
        p.layout = random_.one_in(2) ? 0 : 1;
        const size_t padded = depthwise && p.layout == 1 ? (taps + 1) / 2 * 2 : taps;
        if (sizeof p + size_t(oc) * (12 + padded) > sizeof params_) return;
        const size_t bytes = channels(sizeof p, size_t(oc), size_t(oc) * padded);
        memcpy(params_, &p, sizeof p);
        if (padded != taps && oc % 4 == 0)
            for (size_t o = 0; o < size_t(oc); ++o)
                params_[sizeof p + 12 * size_t(oc) + tap_pairs_at(o, taps, taps)] = 0;
        compare(op, reference, x, y, bytes);
    }

    void dense() {
        const int32_t in = random_.one_in(2) ? 4 * random_.in(1, 40) : random_.in(1, 150);
        const int32_t out = random_.one_in(2) ? 4 * random_.in(1, 6) : random_.in(1, 23);
        Tensor x = tensor(1, 1, in, input_), y = tensor(1, 1, out, output_);
        FullyConnectedParams p = {clamp(y), random_.one_in(2) ? 0 : 1, 0};
        const size_t bytes = channels(sizeof p, size_t(out), size_t(out) * size_t(in));
        memcpy(params_, &p, sizeof p);
        compare(kFullyConnected, reference_fully_connected, x, y, bytes);
    }

    void pool(const Operator& op, Eval reference) {
        const int32_t h = random_.in(1, 8), w = random_.in(1, 12), c = random_.in(1, 36);
        PoolParams p = {};
        int32_t oh = 0, ow = 0;
        if (!window(random_.one_in(3), h, w, &p.window, &oh, &ow)) return;
        Tensor x = tensor(h, w, c, input_), y = tensor(oh, ow, c, output_);
        y.zero_point = x.zero_point;
        p.clamp = clamp(y);
        memcpy(params_, &p, sizeof p);
        compare(op, reference, x, y, sizeof p);
    }

    void quantise() {
        Tensor x = tensor(1, 1, random_.in(1, 150), input_), y = tensor(1, 1, x.dim[3], output_);
        x.type = ElementType::float32;
        y.scale = float(random_.in(1, 4000)) / 65536.0f;
        float values[150];
        for (float& v : values) {
            // Ties, what is far outside, and what is no number, too.
            const float near = y.scale * (float(random_.in(-600, 600)) / 2.0f);
            const uint32_t bits = random_.next();
            memcpy(&v, random_.one_in(5) ? static_cast<const void*>(&bits) : &near, 4);
        }
        prepared(kQuantise, reference_quantise, x, y, 0, [&] { memcpy(input_, values, x.bytes()); });
    }

    void recurrent() {
        const bool gru = random_.one_in(2);
        const int32_t time = random_.in(1, 12), inputs = random_.in(1, 40), hidden = random_.in(1, 20);
        const RecurrentParams p = {hidden, random_.in(0, 1), random_.in(0, 1), gru ? random_.in(0, 1) : 0};
        Tensor x = tensor(1, time, inputs, input_), y = tensor(1, p.last_only ? 1 : time, hidden, output_);
        y.scale = kHiddenScale;
        y.zero_point = 0;
        const size_t rows = (gru ? kGruGates : kLstmGates) * size_t(hidden);
        auto* words = reinterpret_cast<int32_t*>(params_ + sizeof p);
        for (size_t r = 0; r < rows; ++r) {
            words[r] = random_.in(-40000, 40000);
            words[rows + r] = random_.in(-4000, 4000);
            for (size_t k = 2; k < 6; k += 2) {
                words[k * rows + r] = int32_t(0x40000000u | random_.next() >> 2);
                words[(k + 1) * rows + r] = random_.in(-8, 2);
            }
        }
        const size_t weights = rows * size_t(inputs + hidden);
        fill(reinterpret_cast<int8_t*>(words + 6 * rows), weights);
        memcpy(params_, &p, sizeof p);
        const size_t bytes = sizeof p + 24 * rows + weights;
        compare(gru ? kGru : kLstm, gru ? reference_gru : reference_lstm, x, y, bytes);
    }

    // Convolutions and fully connected layers over int16 have fast kernels; of the others the hash of all
    // outputs tells machines apart.
    void wide() {
        const int32_t h = random_.in(1, 5), w = random_.in(1, 24),
                      ic = random_.one_in(3) ? random_.in(10, 24) : random_.in(1, 9);
        Tensor x = tensor(h, w, ic, input_), y = tensor(h, w, ic, output_);
        x.type = y.type = ElementType::int16;
        x.zero_point = y.zero_point = 0;
        const int32_t low = random_.one_in(3) ? 0 : INT16_MIN;
        const uint32_t kind = random_.next() % 7;
        if (kind < 2) {
            ConvParams p = {};
            int32_t oh = 0, ow = 0;
            if (!window(random_.one_in(2), h, w, &p.window, &oh, &ow)) return;
            const int32_t oc = kind == 0 ? random_.in(1, 20) : ic * random_.in(1, 2);
            y.dim[1] = uint16_t(oh), y.dim[2] = uint16_t(ow), y.dim[3] = uint16_t(oc);
            p.clamp = {low, INT16_MAX};
            const int32_t taps = p.window.kernel_h * p.window.kernel_w * (kind == 0 ? ic : 1);
            const size_t bytes = sizeof p + size_t(oc) * size_t(16 + taps);
            if (bytes > sizeof params_) return;
            memcpy(params_, &p, sizeof p);
            wide_channels(sizeof p, size_t(oc), size_t(oc * taps));
            const Operator& op = kind == 0 ? kConv2d16 : kDepthwiseConv2d16;
            compare(op, kind == 0 ? reference_conv2d16 : reference_depthwise_conv2d16, x, y, bytes);
        } else if (kind == 2) {
            const size_t out = size_t(random_.in(1, 16)), in = x.elements();
            y.dim[1] = y.dim[2] = 1, y.dim[3] = uint16_t(out);
            const FullyConnectedParams p = {{low, INT16_MAX}, 0, 0};
            const size_t bytes = sizeof p + out * (16 + in);
            if (bytes > sizeof params_) return;
            memcpy(params_, &p, sizeof p);
            wide_channels(sizeof p, out, out * in);
            compare(kFullyConnected16, reference_fully_connected16, x, y, bytes);
        } else if (kind == 3) {
            const RequantiseParams p = {
                int32_t(0x40000000u | random_.next() >> 2), random_.in(-9, 2), {low == 0 ? 0 : -128, 127}};
            y.type = ElementType::int8;
            y.zero_point = random_.in(-128, 127);
            memcpy(params_, &p, sizeof p);
            compare(kRequantise, eval_requantise, x, y, sizeof p);
        } else if (kind < 6) {
            const size_t bytes = kind == 4 ? sizeof(CurveParams) : sizeof(OctavesParams);
            fill(reinterpret_cast<int8_t*>(params_), bytes);
            compare(kind == 4 ? kCurve : kOctaves, kind == 4 ? eval_curve : eval_octaves, x, y, bytes);
        } else {
            const Sigmoid16Params p = {random_.in(0, 32767), random_.in(0, 12), random_.in(0, 1), 0};
            memcpy(params_, &p, sizeof p);
            compare(kSigmoid16, eval_sigmoid16, x, y, sizeof p);
        }
    }

    void wide_channels(size_t header_bytes, size_t count, size_t weights) {
        const bool far = random_.one_in(8);
        for (size_t o = 0; o < count; ++o) {
            const int64_t bias = int64_t(random_.in(-(1 << 26), 1 << 26)) * (far ? 1 << 18 : 1);
            const int32_t factor[2] = {random_.in(0, 32767), random_.in(far ? 8 : 18, far ? 46 : 30)};
            memcpy(params_ + header_bytes + 8 * o, &bias, 8);
            memcpy(params_ + header_bytes + 8 * count + 4 * o, &factor[0], 4);
            memcpy(params_ + header_bytes + 12 * count + 4 * o, &factor[1], 4);
        }
        fill(reinterpret_cast<int8_t*>(params_ + header_bytes + 16 * count), weights);
    }

    // Float arithmetic, the same source everywhere: the hash tells machines apart.
    void feature() {
        const int32_t kind = random_.in(0, 5), n = random_.in(30, 120),
                      channels = kind < 2 ? random_.in(1, 4) : 1;
        Tensor x = tensor(1, n, channels, input_), y = tensor(1, 1, 1, output_);
        x.type = y.type = ElementType::float32;
        auto* numbers = reinterpret_cast<float*>(params_ + 16);
        if (kind == 0) {
            const BandPowerParams p = {uint32_t(random_.in(8, n)), uint32_t(random_.in(5, 40)), 2,
                                       uint32_t(random_.in(0, 3))};
            const Band bands[] = {{0, p.segment / 4, 0.01f}, {p.segment / 3, p.segment / 2, 0.02f}};
            for (size_t i = 0; i < 3 * p.segment; ++i)
                numbers[i] = float(random_.in(-1000, 1000)) / 999;
            memcpy(params_, &p, sizeof p);
            memcpy(numbers + 3 * p.segment, bands, sizeof bands);
            y.dim[3] = uint16_t(2 * channels);
            values(kBandPower, x, y, sizeof p + 12 * p.segment + sizeof bands);
        } else if (kind == 1) {
            const ResampleParams p = {uint32_t(random_.in(1, 5)), uint32_t(random_.in(1, 5)),
                                      uint32_t(random_.in(1, 29)), 0};
            for (size_t i = 0; i < p.count; ++i)
                numbers[i] = float(random_.in(-1000, 1000)) / 999;
            memcpy(params_, &p, sizeof p);
            y.dim[2] = uint16_t(resampled_length(uint32_t(n), p));
            y.dim[3] = x.dim[3];
            values(kResample, x, y, sizeof p + 4 * p.count);
        } else if (kind == 2) {
            const HeartRateParams p = {1, 2, uint32_t(n) / 3, 0.75f, 0.6f, 0.65f, 1.35f, 6000};
            memcpy(params_, &p, sizeof p);
            y.dim[3] = 2;
            values(kHeartRate, x, y, sizeof p);
        } else if (kind == 3) {
            const SkinConductanceParams p = {500, 250, 40, 9000, 32, 6, uint32_t(random_.in(1, 40)), 0};
            memcpy(params_, &p, sizeof p);
            y.dim[3] = 4;
            values(kSkinConductance, x, y, sizeof p);
        } else {
            const HistoryParams p = {uint32_t(random_.in(1, 9)), {}};
            for (uint32_t i = 0; i < p.windows; ++i)
                numbers[i] = float(random_.in(1, 1000)) / 999;
            memcpy(params_, &p, sizeof p);
            x.dim[2] = y.dim[2] = 30;
            if (kind == 4)
                values(kSmooth, x, y, sizeof p + 4 * p.windows);
            else
                values(kMajority, x, y, sizeof p);
        }
    }

    void values(const Operator& op, const Tensor& x, Tensor& y, size_t bytes) {
        prepared(op, op.eval, x, y, bytes, [&] {
            for (size_t i = 0; i < x.elements(); ++i) {
                const float v = float(random_.in(-100000, 100000)) / 77;
                memcpy(input_ + 4 * i, &v, 4);
            }
        });
    }

    // Earlier windows, as if there had been eight.
    void rows_before(const Tensor& x) {
        const uint32_t count = 8;
        memcpy(scratch_, &count, sizeof count);
        for (uint32_t i = 0; i < 8; ++i)
            memcpy(scratch_ + 16 + i * x.bytes(), input_, x.bytes());
    }

    static bool taken(uint16_t code, const OperatorContext& c) {
        switch (code) {
            case kOpConv2d:
                return kernels::conv2d(c);
            case kOpDepthwiseConv2d:
                return kernels::depthwise_conv2d(c);
            case kOpFullyConnected:
                return kernels::fully_connected(c);
            case kOpMaxPool:
                return kernels::max_pool(c);
            case kOpQuantise:
                return kernels::quantise(c);
            case kOpAveragePool:
                return kernels::average_pool(c);
            default:
                return false;
        }
    }

    void compare(const Operator& op, Eval reference, const Tensor& x, Tensor& y, size_t bytes) {
        prepared(op, reference, x, y, bytes, [&] { fill(input_, x.bytes()); });
    }

    template <typename Fill>
    void prepared(const Operator& op, Eval reference, const Tensor& x, Tensor& y, size_t bytes,
                  Fill fill_input) {
        if (x.bytes() > sizeof input_ || y.bytes() > sizeof output_) return;
        OperatorContext c;
        c.input_count = 1;
        c.input[0] = &x;
        c.output = &y;
        c.params = Bytes(params_, bytes);
        c.scratch = MutableBytes(scratch_, random_.one_in(8) ? 0 : sizeof scratch_);
        fill_input();
        if (op.prepare(c) != Code::ok) return;
        memset(scratch_, 0x5a, sizeof scratch_);  // what is read without having been written shows
        memset(output_, 0x33, sizeof output_);
        if (op.keeps) rows_before(x);
        reference(c);
        memcpy(wanted_, output_, sizeof output_);
        result_.fast += taken(op.code, c) ? 1 : 0;
        memset(output_, 0x33, sizeof output_);
        if (op.keeps) rows_before(x);
        op.eval(c);
        // The whole buffer: a kernel must not write behind its output either.
        if (memcmp(wanted_, output_, sizeof output_) != 0 && result_.wrong++ == 0)
            result_.first_wrong = result_.cases + 1;
        result_.crc = crc32c(Bytes(reinterpret_cast<const uint8_t*>(wanted_), y.bytes()), result_.crc);
        ++result_.cases;
    }

    Random random_;
    Result result_;
    alignas(16) int8_t input_[4096];
    alignas(16) int8_t output_[8192];
    alignas(16) int8_t wanted_[8192];
    alignas(16) uint8_t params_[16384];
    alignas(16) uint8_t scratch_[32768];
};

}  // namespace lockstep::model::parity
