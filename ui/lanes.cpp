#include "ui/lanes.h"

#include <algorithm>
#include <cmath>

#include "ui/theme.h"

namespace lockstep::ui {

namespace {

QColor color_of(const StreamInfo& info, size_t channel, int unit_index, int stream_index) {
    const Colors& c = colors();
    const std::string& name = info.channels[channel].name;
    if (info.kind == "ppg") {
        if (name == "red") return c.red;
        if (name == "infrared" || name == "ir") return c.infrared;
        if (name == "green") return c.green;
    }
    if (info.kind == "eeg" || info.kind == "emg" || info.kind == "ecg") return c.traces[(channel / 2) % 4];
    if (info.kind == "gsr" || info.kind == "eda") return c.traces[2];
    if (info.kind == "imu") return c.traces[unit_index % 2 == 0 ? 0 : 3];
    return c.traces[size_t(stream_index + unit_index) % 4];
}

double quantile(std::vector<float>* values, double q) {
    if (values->empty()) return 0;
    const size_t i = std::min(values->size() - 1, size_t(q * double(values->size())));
    std::nth_element(values->begin(), values->begin() + long(i), values->end());
    return double((*values)[i]);
}

// Finer than 1-2-5, for scales that nobody reads but from their bar.
double room_for(double v) {
    const double decade = std::pow(10, std::floor(std::log10(v)));
    for (double step : {1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5}) {
        if (step * decade >= v) return step * decade;
    }
    return 10 * decade;
}

}  // namespace

QString unit_text(const std::string& unit) {
    for (const char* micro : {"uV", "uS", "uT", "uA"})
        if (unit == micro) return QStringLiteral("µ") + QLatin1Char(micro[1]);
    if (unit == "degC") return QStringLiteral("°C");
    if (unit == "deg/s") return QStringLiteral("°/s");
    if (unit == "counts") return QStringLiteral("count");
    return QString::fromStdString(unit);
}

QString value_text(double v, const QString& unit) {
    const int decimals = std::abs(v) >= 100 ? 0 : std::abs(v) >= 10 ? 1 : std::abs(v) >= 1 ? 2 : 3;
    return QStringLiteral("%L1 %2").arg(v, 0, 'f', decimals).arg(unit).trimmed();
}

QString kind_text(const std::string& kind, const std::string& name) {
    const QString text = QString::fromStdString(name.empty() ? kind : name);
    return text.size() <= 4 ? text.toUpper() : text.left(1).toUpper() + text.mid(1);
}

FilterSpec display_filter(const std::string& kind, double mains_hz) {
    if (kind == "eeg") return {1, 40, mains_hz};
    if (kind == "ecg") return {0.5, 40, mains_hz};
    if (kind == "emg") return {10, 0, mains_hz};
    if (kind == "ppg") return {0.4, 12, 0};
    return {};
}

double nice_above(double v) {
    if (!(v > 0)) return 1;
    const double decade = std::pow(10, std::floor(std::log10(v)));
    for (double step : {1.0, 2.0, 5.0}) {
        if (step * decade >= v * (1 - 1e-9)) return step * decade;
    }
    return 10 * decade;
}

double nice_below(double v) {
    const double above = nice_above(v);
    if (above <= v * (1 + 1e-9)) return above;
    const double decade = std::pow(10, std::floor(std::log10(above) + 1e-9));
    const double lead = above / decade;
    return lead > 4 ? 2 * decade : lead > 1.5 ? decade : decade / 2;
}

double amplitude_step(double amplitude, int direction) {
    return direction > 0 ? nice_above(amplitude * 1.01) : nice_below(amplitude * 0.99);
}

void LaneSet::build(const std::vector<StreamInfo>& streams,
                    const std::map<std::string, StreamChoice>& choices) {
    const std::vector<Scale> old_scales = std::move(scales);
    const std::vector<Lane> old_lanes = std::move(lanes);
    lanes.clear();
    scales.clear();
    groups.clear();
    for (size_t s = 0; s < streams.size(); ++s) {
        const StreamInfo& info = streams[s];
        auto chosen = choices.find(info.name);
        const StreamChoice choice = chosen == choices.end() ? StreamChoice{} : chosen->second;
        if (!info.enabled || !choice.visible) continue;
        Group group{int(s), kind_text(info.kind, info.name), {}, 0, 0, int(lanes.size()), 0};
        group.detail = QStringLiteral("%1 Hz").arg(info.rate(), 0, 'g', 5);
        int units = -1;
        QString unit;
        for (size_t c = 0; c < info.channels.size(); ++c) {
            if (choice.hidden.count(int(c))) continue;
            const QString own = unit_text(info.channels[c].unit);
            // Light of different colours comes back at quite different strengths.
            if (units < 0 || own != unit || info.kind == "ppg") {
                unit = own;
                ++units;
                Scale scale;
                scale.key = info.channels[c].unit;
                if (info.kind == "ppg") scale.key += ' ' + info.channels[c].name;
                scale.stream = int(s);
                scale.unit = unit;
                scale.first_lane = int(lanes.size());
                scale.level = info.rate() <= 64 && info.channels.size() == 1;
                const auto fixed = choice.amplitude.find(scale.key);
                if (fixed != choice.amplitude.end() && fixed->second > 0) {
                    scale.amplitude = fixed->second;
                    scale.automatic = false;
                    scale.valid = true;
                }
                for (const Scale& o : old_scales) {
                    if (scale.automatic && o.automatic && o.valid && o.stream == scale.stream &&
                        o.key == scale.key) {
                        scale.amplitude = o.amplitude;
                        scale.valid = true;
                    }
                }
                scales.push_back(scale);
            }
            Lane lane;
            lane.stream = int(s);
            lane.channel = int(c);
            lane.name = QString::fromStdString(info.channels[c].name);
            lane.unit = own;
            lane.color = color_of(info, c, units, int(s));
            lane.scale = int(scales.size()) - 1;
            lane.inverted = choice.inverted.count(int(c)) > 0;
            if (const auto gain = choice.gain.find(int(c)); gain != choice.gain.end())
                lane.gain = gain->second;
            for (const Lane& o : old_lanes) {
                if (o.stream == lane.stream && o.channel == lane.channel) {
                    lane.base = o.base;
                    lane.hint = o.hint;
                }
            }
            lanes.push_back(lane);
            ++scales.back().lanes;
            ++group.lanes;
        }
        if (group.lanes > 0) groups.push_back(group);
    }
}

void LaneSet::place(int height, int head, int gap) {
    if (groups.empty()) return;
    // A lone lane gets some more room: it is a level, not one of many alike.
    double weight = 0;
    auto weight_of = [](const Group& g) { return g.lanes == 1 ? 1.6 : double(g.lanes); };
    for (const Group& g : groups)
        weight += weight_of(g);
    const int fixed = int(groups.size()) * head + int(groups.size() - 1) * gap;
    const double unit = std::max(1.0, double(height - fixed) / weight);
    double y = 0;
    for (Group& g : groups) {
        y += head;
        g.top = int(std::lround(y));
        const double lane_height = unit * weight_of(g) / g.lanes;
        for (int i = 0; i < g.lanes; ++i) {
            Lane& lane = lanes[size_t(g.first_lane) + size_t(i)];
            lane.top = int(std::lround(y));
            y += lane_height;
            lane.height = int(std::lround(y)) - lane.top;
        }
        g.height = int(std::lround(y)) - g.top;
        y += gap;
    }
}

const Lane* LaneSet::lane_at(int y) const {
    for (const Lane& lane : lanes) {
        if (y >= lane.top && y < lane.top + lane.height) return &lane;
    }
    return nullptr;
}

bool fit_scales(LaneSet* set, const TraceSource& source, double t0, double t1) {
    constexpr int kColumns = 256;
    constexpr double kRoom = 1.15;      // of the range, so that a trace does not touch its lane's edges
    constexpr double kLevelRoom = 1.4;  // and for where a level goes until the next look at it
    bool changed = false;
    for (Scale& scale : set->scales) {
        const double begin = std::max(t0, source.begin_time(scale.stream));
        const double end = std::min(t1, source.end_time(scale.stream));
        if (end - begin <= 0) continue;
        std::vector<float> ranges;
        std::vector<double> middles;
        std::vector<double> halves;
        for (int i = 0; i < scale.lanes; ++i) {
            const Lane& lane = set->lanes[size_t(scale.first_lane) + size_t(i)];
            Extent extents[kColumns];
            source.extent(lane.stream, lane.channel, begin, end, kColumns, extents);
            std::vector<float> low;
            std::vector<float> high;
            for (const Extent& e : extents) {
                if (!e.valid) continue;
                low.push_back(e.min);
                high.push_back(e.max);
            }
            const double bottom = quantile(&low, scale.level ? 0 : 0.02);
            const double top = quantile(&high, scale.level ? 1 : 0.98);
            if (!low.empty()) ranges.push_back(float(top - bottom));
            middles.push_back((bottom + top) / 2);
            halves.push_back((top - bottom) / 2);
        }
        if (ranges.empty()) continue;
        // Of many channels alike, a bad one must not set the scale.
        const double range = ranges.size() >= 4 ? quantile(&ranges, 0.6)
                                                : double(*std::max_element(ranges.begin(), ranges.end()));
        if (scale.automatic) {
            const double wanted = room_for(std::max(range * (scale.level ? kLevelRoom : kRoom), 1e-6));
            if (!scale.valid || range > scale.amplitude || wanted < 0.6 * scale.amplitude) {
                changed = changed || wanted != scale.amplitude;
                scale.amplitude = wanted;
                scale.valid = true;
            }
        }
        for (int i = 0; i < scale.lanes; ++i) {
            Lane& lane = set->lanes[size_t(scale.first_lane) + size_t(i)];
            // A level that still fits stays where it is.
            const double off = std::abs(middles[size_t(i)] - lane.base);
            if (off + halves[size_t(i)] <= 0.5 * scale.amplitude && off <= 0.3 * scale.amplitude) continue;
            if (off <= 0.05 * scale.amplitude) continue;
            lane.base = middles[size_t(i)];
            changed = true;
        }
    }
    return changed;
}

QString quality_text(const SignalQuality& quality) {
    switch (quality.state) {
        case SignalState::flat:
            return QStringLiteral("flat");
        case SignalState::clipped:
            return QStringLiteral("clipped");
        case SignalState::hum:
            return QStringLiteral("%1 Hz hum").arg(quality.mains_hz);
        default:
            return {};
    }
}

}  // namespace lockstep::ui
