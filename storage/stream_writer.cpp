#include "storage/stream_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lockstep::storage {
namespace {

constexpr double kRunSeconds = 60;
constexpr double kChunkSeconds = 20;
constexpr uint32_t kPlainLevel = 4096;  // what a first look at a long session reads

// Twenty seconds of one channel: a jump to any ten unpacks one chunk or two. Shorter ones would repeat their
// codes too often. At most 32 Ki rows: as far back as deflate sees (storage/pack.h), and under 128 KiB.
size_t chunk_rows(const StreamInfo& info) {
    return size_t(std::clamp(std::ceil(info.rate() * kChunkSeconds), 256.0, 32768.0));
}

float as_float(int32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

}  // namespace

StreamWriter::StreamWriter(hid_t acquisition, const std::string& name, int index, int device,
                           const StreamInfo& info)
    : info_(info), device_(device), group_(h5::create_group(acquisition, name)) {
    const size_t channels = info.channels.size();
    if (channels == 0) h5::refuse("the stream has no channels", name);
    const hid_t type = stored_type(info.type);
    h5::write_number(group_.get(), "index", int32_t(index));
    h5::write_number(group_.get(), "device", int32_t(device));
    h5::write_attribute(group_.get(), "name", info.name);
    h5::write_attribute(group_.get(), "kind", info.kind);
    h5::write_number(group_.get(), "sample_type", uint8_t(info.type));
    h5::write_number(group_.get(), "rate_nominal", info.rate());
    h5::write_number(group_.get(), "rate_num", info.rate_num);
    h5::write_number(group_.get(), "rate_den", info.rate_den);

    data_ = h5::Grower(group_.get(), "data", type, {channels, 0, chunk_rows(info)});
    // NWB's words; where channels differ, /channels has each one's own.
    const ChannelInfo& c0 = info.channels[0];
    const bool uniform = std::all_of(info.channels.begin(), info.channels.end(), [&](const ChannelInfo& c) {
        return c.unit == c0.unit && c.scale == c0.scale && c.offset == c0.offset;
    });
    h5::write_attribute(data_.dataset(), "axis_names", "time,channel");
    h5::write_attribute(data_.dataset(), "unit", uniform ? c0.unit : "see channels");
    h5::write_number(data_.dataset(), "conversion", uniform ? c0.scale : 1.0f);
    h5::write_number(data_.dataset(), "offset", uniform ? c0.offset : 0.0f);
    h5::write_number(data_.dataset(), "resolution", uniform ? c0.scale : -1.0f);

    blocks_ = h5::Grower(group_.get(), "blocks", row_type<BlockRow>().get(), {0, 0, 4096});
    gaps_ = h5::Grower(group_.get(), "gaps", row_type<GapRow>().get(), {0, 0, 256});
    const h5::Id overview = h5::create_group(group_.get(), "overview");
    for (size_t i = 0; i < levels_.size(); ++i) {
        levels_[i].out = h5::Grower(overview.get(), std::to_string(kLevels[i]), type,
                                    {channels, 2, 1024, kLevels[i] < kPlainLevel});
        levels_[i].bins.resize(channels);
    }

    std::vector<ChannelRow> rows;
    std::vector<h5::TextColumn> texts = {{"name", {}}, {"type", {}}, {"units", {}}};
    for (const ChannelInfo& c : info.channels) {
        rows.push_back({info.rate(), c.scale, c.offset});
        texts[0].texts.push_back(c.name);
        texts[1].texts.push_back(info.kind == "eeg"   ? "EEG"
                                 : info.kind == "gsr" ? "GSR"
                                 : info.kind == "ppg" ? "PPG"
                                                      : "MISC");
        texts[2].texts.push_back(c.unit);
    }
    h5::write_table(group_.get(), "channels",
                    {LOCKSTEP_COLUMN(ChannelRow, sampling_frequency), LOCKSTEP_COLUMN(ChannelRow, scale),
                     LOCKSTEP_COLUMN(ChannelRow, offset)},
                    sizeof(ChannelRow), rows.data(), rows.size(), texts);
}

bool StreamWriter::fits(const Block& block) const {
    if (block.channels != info_.channels.size() ||
        block.counts.size() != size_t(block.count) * block.channels)
        return false;
    if (info_.type != SampleType::int16) return true;
    return std::all_of(block.counts.begin(), block.counts.end(),
                       [](int32_t v) { return v >= INT16_MIN && v <= INT16_MAX; });
}

void StreamWriter::put_row(h5::Grower* out, size_t plane, const int32_t* values, size_t count) const {
    if (info_.type == SampleType::int16) {
        int16_t narrow[2] = {};
        for (size_t i = 0; i < count; ++i)
            narrow[i] = int16_t(values[i]);
        out->append(plane, narrow);
    } else {
        out->append(plane, values);
    }
}

void StreamWriter::widen(Bin* bin, int32_t min, int32_t max) const {
    if (info_.type == SampleType::float32) {
        // A value that is no number widens nothing; a bin of nothing else stays NaN.
        if (bin->empty || std::isnan(as_float(bin->min))) {
            *bin = {min, max, false};
            return;
        }
        if (as_float(min) < as_float(bin->min)) bin->min = min;
        if (as_float(max) > as_float(bin->max)) bin->max = max;
        return;
    }
    if (bin->empty) {
        *bin = {min, max, false};
        return;
    }
    bin->min = std::min(bin->min, min);
    bin->max = std::max(bin->max, max);
}

void StreamWriter::end_bin(size_t level) {
    Level& l = levels_[level];
    for (size_t c = 0; c < l.bins.size(); ++c) {
        const int32_t extent[2] = {l.bins[c].min, l.bins[c].max};
        put_row(&l.out, c, extent, 2);
        if (level + 1 < levels_.size()) widen(&levels_[level + 1].bins[c], extent[0], extent[1]);
        l.bins[c] = Bin();
    }
    l.filled = 0;
    if (level + 1 < levels_.size() && ++levels_[level + 1].filled == kLevels[level + 1] / kLevels[level])
        end_bin(level + 1);
}

void StreamWriter::add(const Block& block, uint64_t order) {
    if (block.count == 0) return;
    const BlockRow row = {
        order,         rows_,          block.first,
        block.count,   block.segment,  block.device_us,
        block.host_ns, block.sequence, block.discontinuity ? kFlagDiscontinuity : uint16_t(0)};
    blocks_.append(&row);
    // A run ends at a gap, and after a minute, so that its one time stamp serves every row in it.
    if (!runs_.empty() && runs_.back().segment == block.segment &&
        runs_.back().first + runs_.back().count == block.first &&
        double(runs_.back().count) < info_.rate() * kRunSeconds)
        runs_.back().count += block.count;
    else
        runs_.push_back({rows_, block.count, block.first, block.device_us, block.host_ns, 0, block.segment});
    if (spans_.empty() || spans_.back().segment != block.segment)
        spans_.push_back({block.segment, block.first, block.first, block.device_us, block.device_us,
                          block.host_ns, block.host_ns});
    Span& span = spans_.back();
    span.last = block.first;
    span.last_us = block.device_us;
    span.last_ns = block.host_ns;

    const size_t channels = info_.channels.size();
    const int32_t* at = block.counts.data();
    for (uint32_t i = 0; i < block.count; ++i, at += channels) {
        for (size_t c = 0; c < channels; ++c) {
            put_row(&data_, c, at + c, 1);
            widen(&levels_[0].bins[c], at[c], at[c]);
        }
        if (++levels_[0].filled == kLevels[0]) end_bin(0);
    }
    rows_ += block.count;
}

void StreamWriter::add(const Gap& gap, uint64_t order) {
    const GapRow row = {order, rows_, gap.first, gap.missing, gap.segment, uint8_t(gap.cause), gap.host_ns};
    gaps_.append(&row);
}

uint64_t StreamWriter::bytes() const {
    uint64_t total = data_.bytes() + blocks_.bytes() + gaps_.bytes();
    for (const Level& l : levels_)
        total += l.out.bytes();
    return total;
}

uint64_t StreamWriter::pending_bytes() const {
    uint64_t total = data_.pending_bytes() + blocks_.pending_bytes() + gaps_.pending_bytes() +
                     runs_.size() * sizeof(RunRow);
    for (const Level& l : levels_)
        total += l.out.pending_bytes();
    return total;
}

void StreamWriter::close(int64_t start_host_ns, const HostTime& host_time) {
    // The last bin of each level holds what is left over.
    for (size_t i = 0; i < levels_.size(); ++i)
        if (levels_[i].filled != 0) end_bin(i);
    data_.close();
    blocks_.close();
    gaps_.close();
    for (Level& l : levels_)
        l.out.close();
    for (RunRow& run : runs_)
        run.time = double(host_time(device_, run.segment, run.device_us, run.host_ns) - start_host_ns) / 1e9;
    h5::write_table(group_.get(), "runs", columns(static_cast<const RunRow*>(nullptr)), sizeof(RunRow),
                    runs_.data(), runs_.size(), {});

    uint64_t samples = 0;
    double seconds = 0;
    for (const Span& s : spans_) {
        if (s.last <= s.first) continue;
        samples += s.last - s.first;
        seconds += double(host_time(device_, s.segment, s.last_us, s.last_ns) -
                          host_time(device_, s.segment, s.first_us, s.first_ns)) /
                   1e9;
    }
    h5::write_number(group_.get(), "rate_measured", seconds > 0 ? double(samples) / seconds : 0.0);
    h5::write_number(group_.get(), "valid_rows", rows_);
    h5::write_number(group_.get(), "starting_time", runs_.empty() ? 0.0 : double(runs_[0].time));
    group_.reset();
}

}  // namespace lockstep::storage
