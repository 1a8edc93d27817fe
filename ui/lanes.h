// What the lanes are: which channels of which streams, in which colour, at which scale, and where.
// Plain values, no painting. Pixel numbers are device pixels of the trace image.
#pragma once

#include <QColor>
#include <QString>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "acquisition/display_filter.h"
#include "acquisition/signal_quality.h"

namespace lockstep::ui {

// What the user chose for a stream; kept while the stream's name stays.
struct StreamChoice {
    std::map<std::string, double> amplitude;  // units over one lane, by scale; none = automatic
    std::map<int, double> gain;               // of single channels, over their scale; none = 1
    bool remove_dc = true;
    std::set<int> hidden;  // channels
    std::set<int> inverted;
    bool visible = true;
};

struct Lane {
    int stream = 0;
    int channel = 0;
    QString name;
    QString unit;
    QColor color;
    int scale = 0;  // index into LaneSet::scales
    int top = 0;    // device px
    int height = 0;
    double base = 0;  // value at the lane's middle
    double gain = 1;  // over its scale
    bool inverted = false;
    QString hint;  // "flat", "clipped", "60 Hz"; "" = good
};

// Channels of one stream and unit share their amplitude, so that they can be compared.
struct Scale {
    std::string key;  // in StreamChoice::amplitude
    int stream = 0;
    QString unit;
    double amplitude = 1;  // units over a lane's height
    bool automatic = true;
    bool level = false;  // a slow level, which must not drift out of its lane
    bool valid = false;  // an amplitude has been found
    int first_lane = 0;
    int lanes = 0;
};

struct Group {
    int stream = 0;
    QString title;   // "EEG"
    QString detail;  // "250 Hz"
    int top = 0;     // of its lanes
    int height = 0;
    int first_lane = 0;
    int lanes = 0;
};

struct LaneSet {
    std::vector<Lane> lanes;
    std::vector<Scale> scales;
    std::vector<Group> groups;

    // In order of the streams; group heads of `head` px, `gap` px between groups, `height` px in all.
    void build(const std::vector<StreamInfo>& streams, const std::map<std::string, StreamChoice>& choices);
    void place(int height, int head, int gap);
    const Lane* lane_at(int y) const;
};

// "µV" for "uV", and the like.
QString unit_text(const std::string& unit);
// Three digits or more, "1,884 µV".
QString value_text(double v, const QString& unit);
QString kind_text(const std::string& kind, const std::string& name);
// What removing the DC means for this kind of signal; none for kinds whose level matters.
FilterSpec display_filter(const std::string& kind, double mains_hz);
// Next step of 1-2-5 at or above v; and one step up or down the amplitudes offered.
double nice_above(double v);
double nice_below(double v);
double amplitude_step(double amplitude, int direction);
// Finds base and automatic amplitude from what [t0, t1) shows. True when something changed enough that
// everything must be drawn again.
bool fit_scales(LaneSet* set, const TraceSource& source, double t0, double t1);
// "" when there is nothing to complain of.
QString quality_text(const SignalQuality& quality);

}  // namespace lockstep::ui
