#include "models/preprocessing/feature_stages.h"

#include <algorithm>
#include <cstring>

#include "models/core/ops/features.h"
#include "models/preprocessing/json_fields.h"

namespace lockstep {
namespace {

using namespace fields;
using namespace model;

constexpr double kPi = 3.14159265358979323846;

template <typename T>
void append(std::vector<uint8_t>* out, const T* data, size_t n) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(data);
    out->insert(out->end(), bytes, bytes + n * sizeof(T));
}

uint32_t natural_or(const json& j, const char* key, const std::string& pointer, uint32_t low, uint32_t high,
                    uint32_t otherwise) {
    return j.contains(key) ? natural(j, key, pointer, low, high) : otherwise;
}

bool flag(const json& j, const char* key, const std::string& pointer) {
    if (!j.contains(key)) return false;
    if (!j[key].is_boolean()) throw Misfit{pointer + "/" + key, "not true or false"};
    return j[key].get<bool>();
}

// Modified Bessel function of order 0, by its series.
double bessel0(double x) {
    double sum = 1, term = 1;
    for (int k = 1; k < 60; ++k) {
        term *= (x / 2 / k) * (x / 2 / k);
        sum += term;
    }
    return sum;
}

// A low-pass at the lower of both rates' halves: a sinc under a Kaiser window of beta 5, `up` at 0 Hz.
std::vector<float> resampling_taps(uint32_t up, uint32_t down) {
    const double cutoff = 1.0 / std::max(up, down);
    const int half = 10 * int(std::max(up, down));
    std::vector<double> taps;
    double sum = 0;
    for (int i = -half; i <= half; ++i) {
        const double x = kPi * cutoff * i, r = double(i) / half;
        taps.push_back((i == 0 ? 1.0 : std::sin(x) / x) * bessel0(5 * std::sqrt(1 - r * r)));
        sum += taps.back();
    }
    std::vector<float> out(taps.size());
    std::transform(taps.begin(), taps.end(), out.begin(), [&](double t) { return float(t * up / sum); });
    return out;
}

FrontStage band_power(const json& j, const std::string& pointer, const FrontSignal& signal) {
    only(j, pointer, {"kind", "bands_hz", "segment", "step", "taper", "log", "relative"});
    if (signal.length < 2) throw Misfit{pointer, "a window of one sample has no bands"};
    const uint32_t n = natural_or(j, "segment", pointer, 2, signal.length, signal.length);
    const uint32_t step = natural_or(j, "step", pointer, 1, 65535, std::max<uint32_t>(1, n / 2));
    const std::string taper_name = j.value("taper", "hann");
    if (taper_name != "hann" && taper_name != "none") throw Misfit{pointer + "/taper", "not hann or none"};
    const json& list = at(j, "bands_hz", pointer);
    if (!list.is_array() || list.empty() || list.size() > kMaxBands)
        throw Misfit{pointer + "/bands_hz", "not a list of 1 to 32 bands"};
    std::vector<float> taper, cosine, sine;
    double energy = 0;
    for (uint32_t i = 0; i < n; ++i) {
        const double turn = 2 * kPi * i / n;
        taper.push_back(taper_name == "hann" ? float(0.5 - 0.5 * std::cos(turn)) : 1.0f);
        cosine.push_back(float(std::cos(turn)));
        sine.push_back(float(std::sin(turn)));
        energy += double(taper.back()) * double(taper.back());
    }
    const uint32_t segments = (signal.length - n) / step + 1;
    std::vector<Band> bands;
    for (size_t b = 0; b < list.size(); ++b) {
        const std::string here = pointer + "/bands_hz/" + std::to_string(b);
        if (!list[b].is_array() || list[b].size() != 2) throw Misfit{here, "not two frequencies"};
        const double low = double(number(list[b][0], here)), high = double(number(list[b][1], here));
        // A band holds the bins from its lower edge up to, without, the upper one.
        const double first = std::ceil(low * n / signal.rate - 1e-6),
                     last = std::ceil(high * n / signal.rate - 1e-6) - 1;
        if (!(low >= 0) || !(high > low) || last * 2 > double(n))
            throw Misfit{here, "not two frequencies from 0 Hz to half the rate, the lower first"};
        if (last < first) throw Misfit{here, "holds no frequency of a segment this short"};
        bands.push_back(
            {uint32_t(first), uint32_t(last), float(2 / (double(n) * energy * double(segments)))});
    }
    const uint32_t flags =
        (flag(j, "log", pointer) ? kBandLog : 0) | (flag(j, "relative", pointer) ? kBandRelative : 0);
    const BandPowerParams p = {n, step, uint32_t(bands.size()), flags};
    FrontStage stage;
    stage.code = kOpBandPower;
    append(&stage.params, &p, 1);
    append(&stage.params, taper.data(), n);
    append(&stage.params, cosine.data(), n);
    append(&stage.params, sine.data(), n);
    append(&stage.params, bands.data(), bands.size());
    stage.scratch = 4 * n;
    const size_t count = bands.size() * signal.channels;
    if (count > 65535) throw Misfit{pointer, "more than 65535 features"};
    stage.dims = {1, uint16_t(count)};
    return stage;
}

void need_one_channel(const FrontSignal& signal, const std::string& pointer) {
    if (signal.channels != 1) throw Misfit{pointer, "takes one channel"};
}

FrontStage heart_rate(const json& j, const std::string& pointer, const FrontSignal& signal) {
    need_one_channel(signal, pointer);
    only(j, pointer, {"kind", "lowest_bpm", "highest_bpm", "first_peak", "gap", "low", "high"});
    const double lowest = positive(j, "lowest_bpm", pointer, 40),
                 highest = positive(j, "highest_bpm", pointer, 180);
    HeartRateParams p = {};
    p.decimation = uint32_t(std::max(1.0, std::floor(signal.rate / 25)));
    const double rate = signal.rate / p.decimation;
    p.lag_min = uint32_t(std::max(2.0, std::min(4096.0, std::floor(rate * 60 / highest))));
    p.lag_max = uint32_t(std::min(1e6, std::ceil(rate * 60 / lowest)));
    p.first_peak = float(positive(j, "first_peak", pointer, 0.75));
    p.gap = float(positive(j, "gap", pointer, 0.6));
    p.low = float(positive(j, "low", pointer, 0.65));
    p.high = float(positive(j, "high", pointer, 1.35));
    p.per_minute = float(60 * signal.rate);
    if (!valid_heart_rate(p, signal.length))
        throw Misfit{pointer, "the window is too short for a period of " + std::to_string(60 / lowest) +
                                  " s, or lowest_bpm is not below highest_bpm"};
    FrontStage stage;
    stage.code = kOpHeartRate;
    append(&stage.params, &p, 1);
    stage.scratch = heart_rate_scratch_bytes(signal.length, p);
    stage.dims = {1, 2};
    return stage;
}

FrontStage skin_conductance(const json& j, const std::string& pointer, const FrontSignal& signal) {
    need_one_channel(signal, pointer);
    only(j, pointer, {"kind", "threshold", "fall", "longest_rise_s"});
    if (signal.length < 2) throw Misfit{pointer, "a window of one sample has no slope"};
    const double n = signal.length, threshold = positive(j, "threshold", pointer, 0.05);
    SkinConductanceParams p = {};
    p.threshold = float(threshold);
    p.fall = float(positive(j, "fall", pointer, threshold / 2));
    p.middle = float((n - 1) / 2);
    p.squares = float(n * (n * n - 1) / 12);
    p.rate = float(signal.rate);
    p.per_minute = float(60 * signal.rate / n);
    p.longest =
        uint32_t(std::min(8192.0, std::ceil(signal.rate * positive(j, "longest_rise_s", pointer, 5))));
    FrontStage stage;
    stage.code = kOpSkinConductance;
    append(&stage.params, &p, 1);
    stage.dims = {1, 4};
    return stage;
}

}  // namespace

FrontStage resample_stage(const json& j, const std::string& pointer, FrontSignal* signal) {
    only(j, pointer, {"up", "down", "taps"});
    ResampleParams p = {};
    p.up = natural(j, "up", pointer, 1, kMaxResampleFactor);
    p.down = natural(j, "down", pointer, 1, kMaxResampleFactor);
    std::vector<float> taps;
    if (j.contains("taps")) {
        const size_t count = j["taps"].is_array() ? j["taps"].size() : 0;
        if (count < 1 || count > kMaxResampleTaps)
            throw Misfit{pointer + "/taps", "not a list of 1 to 8192 numbers"};
        taps = numbers(j, "taps", pointer, count);
    } else {
        taps = resampling_taps(p.up, p.down);
    }
    p.count = uint32_t(taps.size());
    const uint32_t length = resampled_length(signal->length, p);
    if (length == 0)
        throw Misfit{pointer, "the window is shorter than the filter of " + std::to_string(p.count) +
                                  " taps at " + std::to_string(p.up) + " times the rate"};
    if (length > 65535) throw Misfit{pointer, "more than 65535 samples leave it"};
    FrontStage stage;
    stage.code = kOpResample;
    stage.name = signal->kind + ".resampled";
    append(&stage.params, &p, 1);
    append(&stage.params, taps.data(), taps.size());
    stage.dims = {1, 1, uint16_t(length), uint16_t(signal->channels)};
    signal->length = length;
    signal->rate = signal->rate * p.up / p.down;
    return stage;
}

std::vector<FrontStage> feature_stages(const json& j, const std::string& pointer, const FrontSignal& signal) {
    if (!j.is_array() || j.empty() || j.size() > 8) throw Misfit{pointer, "not a list of 1 to 8 features"};
    std::vector<FrontStage> stages;
    size_t count = 0;
    for (size_t i = 0; i < j.size(); ++i) {
        const std::string here = pointer + "/" + std::to_string(i);
        const std::string kind = text(j[i], "kind", here);
        if (kind == "band_power")
            stages.push_back(band_power(j[i], here, signal));
        else if (kind == "heart_rate")
            stages.push_back(heart_rate(j[i], here, signal));
        else if (kind == "skin_conductance")
            stages.push_back(skin_conductance(j[i], here, signal));
        else
            throw Misfit{here + "/kind", "not band_power, heart_rate or skin_conductance"};
        FrontStage& stage = stages.back();
        stage.name = signal.kind + "." + kind;
        const auto same = [&stage](const FrontStage& s) { return s.name == stage.name; };
        if (std::count_if(stages.begin(), stages.end(), same) > 1) stage.name += std::to_string(i + 1);
        count += stage.dims[1];
    }
    if (count > 65535) throw Misfit{pointer, "more than 65535 features"};
    return stages;
}

}  // namespace lockstep
