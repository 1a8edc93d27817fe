#include "storage/formats/edf_scaling.h"

#include <algorithm>
#include <cmath>

namespace lockstep::storage {
namespace {

// Decimals that 8 characters leave to a number of this size; edflib prints six at most.
int decimals(double value) {
    int whole = 1;
    for (double v = std::fabs(value); v >= 10 && whole < 12; v /= 10)
        ++whole;
    return std::clamp(8 - int(value < 0) - whole - 1, 0, 6);
}

template <typename Round>
double to_header(double value, Round&& round) {
    double result = value;
    for (int d = decimals(value);;) {
        const double power = std::pow(10, d);
        result = round(value * power) / power;
        if (decimals(result) >= d) return result;
        d = decimals(result);  // 9.99999999 became 10
    }
}
double nearest(double v) {
    return std::nearbyint(v);
}
double below(double v) {
    return std::floor(v);
}
double above(double v) {
    return std::ceil(v);
}

bool fits(double low, double high) {
    return std::min(low, high) > -1e7 && std::max(low, high) < 1e8;
}

// A smaller unit for values so small that 8 characters would hold few of their digits.
void choose_unit(const std::string& unit, double magnitude, EdfScaling* s) {
    s->unit = unit;
    static const char* const prefixes[] = {"", "m", "u", "n", "p"};
    for (const char* base : {"V", "A", "S", "T"})
        for (size_t p = 0; p < 5; ++p)
            if (unit == std::string(prefixes[p]) + base)
                for (; magnitude * s->factor < 0.1 && magnitude > 0 && p + 1 < 5; ++p) {
                    s->factor *= 1000;
                    s->unit = std::string(prefixes[p + 1]) + base;
                }
}

// The digits are the device's own counts less `middle`. False when the header could not say the scale.
bool keep_digits(const ChannelInfo& channel, EdfScaling* s) {
    const double gain = double(channel.scale);
    const double base = gain * s->middle + double(channel.offset);
    double low = gain * s->digital_min + base;
    double high = gain * s->digital_max + base;
    const double magnitude = std::max(std::fabs(low), std::fabs(high));
    choose_unit(channel.unit, magnitude, s);
    low *= s->factor;
    high *= s->factor;
    if (!fits(low, high) || (magnitude > 0 && magnitude * s->factor < 0.01)) return false;
    s->low = to_header(low, nearest);
    s->high = to_header(high, nearest);
    s->lossless = true;
    return s->low != s->high;
}

bool rescale(const ChannelInfo& channel, double low, double high, EdfScaling* s) {
    s->lossless = false;
    s->middle = 0;
    s->factor = 1;
    double a = double(channel.scale) * low + double(channel.offset);
    double b = double(channel.scale) * high + double(channel.offset);
    if (a > b) std::swap(a, b);
    choose_unit(channel.unit, std::max(std::fabs(a), std::fabs(b)), s);
    a *= s->factor;
    b *= s->factor;
    if (!fits(a, b)) return false;
    s->low = to_header(a, below);
    s->high = to_header(b, above);
    if (!(s->low < s->high)) s->high = s->low + 1;
    return true;
}

}  // namespace

double edf_number(const StreamInfo& info, int32_t count) {
    if (info.type != SampleType::float32) return count;
    StreamInfo plain;
    plain.type = SampleType::float32;
    return double(physical(plain, 0, count));
}

double edf_header_value(double value) {
    return value + std::copysign(0.25 * std::pow(10, -decimals(value)), value);
}

int EdfScaling::digit(const ChannelInfo& channel, double value, int hold) const {
    if (!std::isfinite(value)) return hold;
    double digit = value - middle;
    if (!lossless) {
        const double in_file = (double(channel.scale) * value + double(channel.offset)) * factor;
        digit = std::nearbyint((in_file - low) / step()) + digital_min;
    }
    return int(std::clamp(digit, double(digital_min), double(digital_max)));
}

Result<EdfStream> edf_scaling(SessionReader& session, int stream, bool bdf) {
    const StreamInfo& info = session.streams()[size_t(stream)].info;
    const int limit = bdf ? 8388607 : 32767;
    const bool direct = info.type == SampleType::int16 || (bdf && info.type == SampleType::int24);
    const int full = direct && info.type == SampleType::int16 ? 32767 : limit;
    EdfStream out;
    out.channels.resize(info.channels.size());
    bool whole = direct;
    for (size_t c = 0; c < out.channels.size(); ++c) {
        out.channels[c].digital_min = -full - 1;
        out.channels[c].digital_max = full;
        whole = whole && keep_digits(info.channels[c], &out.channels[c]);
    }
    if (whole) return out;

    std::vector<std::pair<double, double>> range(out.channels.size(), {1e300, -1e300});
    const auto visit = [&](uint64_t row, uint64_t count, const int32_t* counts) -> Status {
        for (uint64_t i = 0; i < count; ++i) {
            bool valid = true;
            for (size_t c = 0; c < range.size(); ++c) {
                const double value = edf_number(info, counts[i * range.size() + c]);
                valid = valid && std::isfinite(value);
                if (!std::isfinite(value)) continue;
                range[c].first = std::min(range[c].first, value);
                range[c].second = std::max(range[c].second, value);
            }
            if (valid) continue;
            if (!out.invalid.empty() && out.invalid.back().second == row + i)
                ++out.invalid.back().second;
            else
                out.invalid.emplace_back(row + i, row + i + 1);
        }
        return {};
    };
    if (auto status = for_rows(session, stream, 8192, visit); !status)
        return tl::make_unexpected(status.error());
    for (size_t c = 0; c < out.channels.size(); ++c) {
        const ChannelInfo& channel = info.channels[c];
        auto [low, high] = range[c];
        if (low > high) low = high = 0;
        EdfScaling s;
        s.digital_min = -limit - 1;
        s.digital_max = limit;
        bool kept = false;
        if (info.type != SampleType::float32 && high - low <= 2.0 * limit) {
            const bool within = low >= s.digital_min && high <= s.digital_max;
            s.middle = within ? 0 : std::floor((low + high) / 2);
            kept = keep_digits(channel, &s);
        }
        if (!kept && !rescale(channel, low, high, &s))
            return fail(ErrorKind::usage,
                        "values up to " + number_text(std::max(std::fabs(low), std::fabs(high))) +
                            " do not fit the format's header",
                        info.name + "/" + channel.name, "export this session as csv or xdf");
        out.channels[c] = std::move(s);
    }
    return out;
}

}  // namespace lockstep::storage
