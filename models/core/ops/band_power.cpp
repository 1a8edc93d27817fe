// band_power: features.h.
#include <string.h>

#include "models/core/ops/features.h"

namespace lockstep::model {
namespace {

constexpr uint64_t kMaxSteps = uint64_t(1) << 30;  // a window's multiplications

struct Tables {
    const float *taper, *cosine, *sine;
    const Band* band;
};

BandPowerParams params_of(const OperatorContext& c) {
    BandPowerParams p;
    memcpy(&p, c.params.data(), sizeof p);
    return p;
}

Tables tables_of(const OperatorContext& c, size_t n) {
    const auto* at = reinterpret_cast<const float*>(c.params.data() + sizeof(BandPowerParams));
    return {at, at + n, at + 2 * n, reinterpret_cast<const Band*>(at + 3 * n)};
}

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || c.input[0] == nullptr || c.output == nullptr) return Code::invalid;
    if (c.params.size() < sizeof(BandPowerParams)) return Code::invalid;
    const BandPowerParams p = params_of(c);
    const Tensor& in = *c.input[0];
    const Tensor& out = *c.output;
    if (in.type != ElementType::float32 || out.type != ElementType::float32) return Code::invalid;
    if (in.rank != 4 || in.dim[0] != 1 || in.dim[1] != 1) return Code::invalid;
    if (p.segment < 2 || p.segment > in.dim[2] || p.step < 1 || p.step > 65535 || p.bands < 1 ||
        p.bands > kMaxBands || p.flags > (kBandLog | kBandRelative))
        return Code::out_of_range;
    if (out.elements() != size_t(in.dim[3]) * p.bands) return Code::invalid;
    if (c.params.size() != sizeof p + 12 * size_t(p.segment) + p.bands * sizeof(Band)) return Code::invalid;
    if (c.scratch.size() < 4 * size_t(p.segment)) return Code::no_space;
    const Tables t = tables_of(c, p.segment);
    for (size_t i = 0; i < 3 * size_t(p.segment); ++i)
        if (!finite(t.taper[i])) return Code::out_of_range;
    for (size_t b = 0; b < p.bands; ++b)
        if (t.band[b].first > t.band[b].last || t.band[b].last > p.segment / 2 || !finite(t.band[b].scale))
            return Code::out_of_range;
    uint64_t steps = 0;
    for (size_t b = 0; b < p.bands; ++b)
        steps += t.band[b].last - t.band[b].first + 1;
    steps *= uint64_t((in.dim[2] - p.segment) / p.step + 1) * p.segment;
    return steps * in.dim[3] > kMaxSteps ? Code::out_of_range : Code::ok;
}

float power_of_bin(const float* x, const Tables& t, size_t n, size_t k) {
    float re = 0;
    float im = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; ++i) {
        re += x[i] * t.cosine[at];
        im += x[i] * t.sine[at];
        at += k;
        if (at >= n) at -= n;
    }
    return re * re + im * im;
}

float power_of_band(const float* x, const Tables& t, size_t n, const Band& band) {
    float power = 0;
    for (size_t k = band.first; k <= band.last; ++k) {
        const float bin = power_of_bin(x, t, n, k);
        power += k == 0 || 2 * k == n ? 0.5f * bin : bin;
    }
    return power;
}

void finish(const BandPowerParams& p, const Band* band, float* out) {
    float all = 0;
    for (size_t b = 0; b < p.bands; ++b) {
        out[b] *= band[b].scale;
        all += out[b];
    }
    for (size_t b = 0; b < p.bands; ++b) {
        if ((p.flags & kBandRelative) != 0) out[b] = all > 0 ? out[b] / all : 0.0f;
        if ((p.flags & kBandLog) != 0 && finite(out[b]))
            out[b] = natural_log(out[b] > 1e-30f ? out[b] : 1e-30f);
    }
}

}  // namespace

void eval_band_power(const OperatorContext& c) {
    const BandPowerParams p = params_of(c);
    const size_t n = p.segment, channels = c.input[0]->dim[3], window = c.input[0]->dim[2];
    const Tables t = tables_of(c, n);
    const auto* in = static_cast<const float*>(c.input[0]->data);
    auto* out = static_cast<float*>(c.output->data);
    auto* x = reinterpret_cast<float*>(c.scratch.data());
    for (size_t channel = 0; channel < channels; ++channel, out += p.bands) {
        for (size_t b = 0; b < p.bands; ++b)
            out[b] = 0;
        for (size_t start = 0; start + n <= window; start += p.step) {
            float sum = 0;
            for (size_t i = 0; i < n; ++i)
                sum += in[(start + i) * channels + channel];
            const float mean = sum / float(n);
            for (size_t i = 0; i < n; ++i)
                x[i] = (in[(start + i) * channels + channel] - mean) * t.taper[i];
            for (size_t b = 0; b < p.bands; ++b)
                out[b] += power_of_band(x, t, n, t.band[b]);
        }
        finish(p, t.band, out);
    }
}

bool finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

// x = m * 2^e with m about 1: ln(x) = e ln 2 + 2 artanh((m - 1) / (m + 1)).
float natural_log(float x) {
    int32_t bits;
    memcpy(&bits, &x, 4);
    int32_t e = 0;
    if (bits < 0x00800000) {  // subnormal
        x *= 16777216.0F;
        memcpy(&bits, &x, 4);
        e = -24;
    }
    const int32_t shift = (bits - 0x3F3504F3) >> 23;  // m between sqrt(1/2) and sqrt(2)
    bits -= shift * (1 << 23);
    e += shift;
    float m;
    memcpy(&m, &bits, 4);
    const float s = (m - 1) / (m + 1);
    const float z = s * s;
    const float tail = ((z / 9 + 1.0F / 7) * z + 1.0F / 5) * z + 1.0F / 3;
    return float(e) * 0.693147180559945F + (2 * s + 2 * s * (z * tail));
}

const Operator kBandPower = {kOpBandPower, "band_power", prepare, eval_band_power};

}  // namespace lockstep::model
