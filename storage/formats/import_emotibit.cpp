// EmotiBit's raw log: one packet a line (ms, packet number, count, type, version, reliability, data...).
// The time stamp is taken as that of the packet's last sample. Beats, heart rate and markers become labels.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>

#include "storage/formats/import_text.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {
namespace {

struct Channel {
    const char* type;
    const char* stream;
    const char* kind;
    const char* name;
    const char* unit;
    double rate;
};

// Channels of one stream stand together, in the order of their columns.
const Channel kChannels[] = {
    {"PI", "ppg", "ppg", "infrared", "counts", 25},
    {"PR", "ppg", "ppg", "red", "counts", 25},
    {"PG", "ppg", "ppg", "green", "counts", 25},
    {"EA", "eda", "gsr", "EDA", "uS", 15},
    {"EL", "edl", "gsr", "EDL", "counts", 15},
    {"AX", "acc", "imu", "acc_x", "g", 25},
    {"AY", "acc", "imu", "acc_y", "g", 25},
    {"AZ", "acc", "imu", "acc_z", "g", 25},
    {"GX", "gyro", "imu", "gyro_x", "deg/s", 25},
    {"GY", "gyro", "imu", "gyro_y", "deg/s", 25},
    {"GZ", "gyro", "imu", "gyro_z", "deg/s", 25},
    {"MX", "mag", "imu", "mag_x", "uT", 25},
    {"MY", "mag", "imu", "mag_y", "uT", 25},
    {"MZ", "mag", "imu", "mag_z", "uT", 25},
    {"T0", "temp0", "temperature", "T0", "degC", 7.5},
    {"T1", "temp1", "temperature", "T1", "degC", 7.5},
    {"TH", "thermopile", "temperature", "TH", "degC", 7.5},
};

struct Packet {
    double ms = 0;
    double number = 0;  // counts all packets, 16 bits
    std::string type;
    std::vector<std::string> data;
};

bool parse(const std::string& line, Packet* packet) {
    const std::vector<std::string> fields = csv_split(line);
    double values = 0;
    if (fields.size() < 6 || !parse_number(fields[0], &packet->ms) || packet->ms < 0 || packet->ms > 1e11)
        return false;
    if (!parse_number(fields[1], &packet->number) || !parse_number(fields[2], &values)) return false;
    packet->type = fields[3];
    packet->data.assign(fields.begin() + 6, fields.end());
    return packet->type.size() == 2;
}

bool matches(const std::string&, const std::string& head) {
    Packet packet;
    const size_t end = head.find('\n');
    return end != std::string::npos && parse(head.substr(0, end), &packet);
}

struct Seen {
    uint64_t samples = 0;
    size_t first_count = 0;
    double first_ms = 0;
    double last_ms = 0;
};

// "2025-06-27_09-56-59-929206"
std::optional<int64_t> parse_date(const std::string& text) {
    struct tm t {};
    int micro = 0;
    if (std::sscanf(text.c_str(), "%4d-%2d-%2d_%2d-%2d-%2d-%6d", &t.tm_year, &t.tm_mon, &t.tm_mday,
                    &t.tm_hour, &t.tm_min, &t.tm_sec, &micro) != 7 ||
        t.tm_year < 1990 || t.tm_year > 2200)
        return {};
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    return int64_t(timegm(&t)) * 1000000000 + int64_t(micro) * 1000;
}

struct Target {
    int stream = 0;
    size_t channel = 0;
};

// What a stream's channels have sent until all of a moment are there: the device may put a sample of one
// channel into the packet after the one that its neighbours are in.
struct Set {
    std::vector<std::vector<double>> columns;
    double ms = 0;  // of the latest packet

    bool waiting() const {
        return std::any_of(columns.begin(), columns.end(), [](const auto& c) { return !c.empty(); });
    }
    void clear() {
        for (auto& column : columns)
            column.clear();
    }
};

Status read(const std::string& source, const ImportOptions& options, ImportSink* sink) {
    std::map<std::string, Seen> seen;
    std::optional<std::pair<double, int64_t>> date;  // ms, utc ns
    std::string line;
    Packet packet;
    {
        Lines lines(source);
        while (lines.next(&line)) {
            if (!parse(line, &packet)) continue;
            if (packet.type == "RB" && !packet.data.empty() && !date)
                if (const auto utc = parse_date(packet.data[0])) date = {packet.ms, *utc};
            Seen& s = seen[packet.type];
            if (s.samples == 0) {
                s.first_ms = packet.ms;
                s.first_count = packet.data.size();
            }
            s.samples += packet.data.size();
            s.last_ms = packet.ms;
        }
        if (lines.failed()) return fail(ErrorKind::usage, "a line longer than 1 MiB", lines.where());
    }
    std::vector<StreamInfo> streams;
    std::map<std::string, Target> targets;
    double origin_ms = 1e18;
    for (const Channel& channel : kChannels) {
        const auto found = seen.find(channel.type);
        if (found == seen.end()) continue;
        const Seen& s = found->second;
        double rate = channel.rate;
        const double seconds = (s.last_ms - s.first_ms) / 1000;
        if (seconds > 5) {
            const double measured = double(s.samples - s.first_count) / seconds;
            if (measured > 0 && std::fabs(measured / rate - 1) > 0.1) rate = std::round(measured * 10) / 10;
        }
        if (streams.empty() || streams.back().name != channel.stream)
            streams.push_back(
                make_stream(channel.stream, channel.kind, SampleType::float32, std::max(0.1, rate)));
        targets[channel.type] = {int(streams.size()) - 1, streams.back().channels.size()};
        add_channel(&streams.back(), channel.name, channel.unit);
        origin_ms = std::min(origin_ms, s.first_ms - 1000 * double(s.first_count) / rate);
    }
    if (streams.empty()) return fail(ErrorKind::usage, "holds no packets of a known type", source);
    origin_ms = std::max(0.0, origin_ms);
    const int64_t start = date ? date->second + int64_t((origin_ms - date->first) * 1e6) : 0;
    if (date) sink->note("the log's date has no time zone; taken as UTC");
    std::vector<Timeline> timelines;
    std::vector<Set> sets;
    std::vector<double> rates;
    for (size_t i = 0; i < streams.size(); ++i) {
        rates.push_back(streams[i].rate());
        timelines.emplace_back(sink, int(i), rates.back(), streams[i].channels.size(),
                               std::max(0.5, 8 / rates.back()));
        sets.push_back({std::vector<std::vector<double>>(streams[i].channels.size()), 0});
    }
    if (auto status = sink->begin("EmotiBit", start, std::move(streams)); !status) return status;

    Lines lines(source);
    uint64_t unreadable = 0;
    uint64_t incomplete = 0;
    uint64_t skipped = 0;
    std::optional<double> before;  // number of the packet before
    while (lines.next(&line)) {
        if (trimmed(line).empty()) continue;
        if (!parse(line, &packet)) {
            ++unreadable;
            continue;
        }
        const double time = (packet.ms - origin_ms) / 1000;
        const auto target = targets.find(packet.type);
        const bool missing = before && std::fmod(packet.number - *before + 65536, 65536) != 1;
        before = packet.number;
        // Where packets are missing, channels no longer match.
        if (missing)
            for (Set& other : sets)
                if (other.waiting() && std::fabs(packet.ms - other.ms) > 10) {
                    other.clear();
                    ++incomplete;
                }
        if (target == targets.end()) {
            const auto field = [&](const char* key) {
                for (size_t i = 0; i + 1 < packet.data.size(); i += 2)
                    if (packet.data[i] == key) return packet.data[i + 1];
                return std::string();
            };
            Status status;
            double at = 0;
            for (const std::string& value : packet.data) {
                if (packet.type == "BI" && parse_number(value, &at))
                    status = sink->label(time, time, "beat", "ibi_s=" + number_text(float(at / 1000)));
                if (packet.type == "HR" && parse_number(value, &at))
                    status = sink->label(time, time, "heart rate", "bpm=" + value);
                if (!status) return status;
            }
            if (packet.type == "LM") status = sink->label(time, time, field("LD"), "LSL marker");
            if (!status) return status;
            // "2025-06-27_09-57-10-123456", then what the person wrote, commas and all.
            if (packet.type == "UN" && !packet.data.empty()) {
                std::string text;
                for (size_t i = parse_date(packet.data[0]) ? 1 : 0; i < packet.data.size(); ++i)
                    text += (text.empty() ? "" : ",") + packet.data[i];
                status = sink->label(time, time, "user note", trimmed(text));
            }
            if (!status) return status;
            skipped +=
                packet.type != "BI" && packet.type != "HR" && packet.type != "LM" && packet.type != "UN";
            continue;
        }
        Set& set = sets[size_t(target->second.stream)];
        set.ms = packet.ms;
        std::vector<double>& column = set.columns[target->second.channel];
        const size_t already = column.size();
        for (const std::string& value : packet.data) {
            double number = 0;
            if (!parse_number(value, &number)) break;
            column.push_back(number);
        }
        if (column.size() != already + packet.data.size() || packet.data.empty()) {
            ++unreadable;
            set.clear();
            continue;
        }
        size_t rows = column.size();
        for (const auto& c : set.columns)
            rows = std::min(rows, c.size());
        const double rate = rates[size_t(target->second.stream)];
        if (rows > 0) {
            std::vector<int32_t> counts;
            for (size_t i = 0; i < rows; ++i)
                for (const auto& c : set.columns)
                    counts.push_back(float_bits(float(c[i])));
            const double first = time - double(column.size() - 1) / rate;
            if (auto status = timelines[size_t(target->second.stream)].add(std::max(0.0, first), counts);
                !status)
                return status;
            for (auto& c : set.columns)
                c.erase(c.begin(), c.begin() + std::ptrdiff_t(rows));
        } else if (double(column.size()) > 1000 + 10 * rate) {  // a channel that is alone
            set.clear();
            ++incomplete;
        }
        if (lines.number() % 1024 == 0 && options.progress && !options.progress(lines.done()))
            return fail(ErrorKind::usage, "stopped");
    }
    if (unreadable > 0)
        sink->note(std::to_string(unreadable) + " lines or packets could not be read and were left out");
    if (incomplete > 0) sink->note(std::to_string(incomplete) + " packets lack a channel and were left out");
    if (skipped > 0)
        sink->note(std::to_string(skipped) + " packets of the device's own bookkeeping were left out");
    return {};
}

}  // namespace

ImportFormat emotibit_import() {
    return {"emotibit", "EmotiBit raw log", {label_file_option()}, matches, read};
}

}  // namespace lockstep::storage
