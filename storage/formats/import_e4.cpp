// A folder as the Empatica E4 exports it: one CSV per sensor (start time, rate, values), beat intervals
// and button marks.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "storage/formats/import_text.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;

struct Sensor {
    const char* file;
    const char* stream;
    const char* kind;
    const char* unit;
    std::vector<const char*> channels;
    bool counts;  // 1/64 g
};

const std::vector<Sensor>& sensors() {
    static const std::vector<Sensor> table = {
        {"EDA.csv", "eda", "gsr", "uS", {"EDA"}, false},
        {"BVP.csv", "bvp", "ppg", "counts", {"BVP"}, false},
        {"ACC.csv", "acc", "imu", "g", {"acc_x", "acc_y", "acc_z"}, true},
        {"TEMP.csv", "temp", "temperature", "degC", {"TEMP"}, false},
        {"HR.csv", "hr", "heart_rate", "bpm", {"HR"}, false},
    };
    return table;
}

bool matches(const std::string& source, const std::string& head) {
    std::error_code error;
    if (!head.empty() || !fs::is_directory(source, error)) return false;
    for (const Sensor& sensor : sensors())
        if (fs::exists(fs::path(source) / sensor.file, error)) return true;
    return false;
}

struct Start {
    const Sensor* sensor = nullptr;
    std::string path;
    double time = 0;  // Unix seconds
    double rate = 0;
};

Status read_sensor(const Start& start, double origin, int stream, ImportSink* sink) {
    Lines lines(start.path);
    std::string line;
    lines.next(&line);
    lines.next(&line);
    const size_t width = start.sensor->channels.size();
    std::vector<int32_t> counts;
    uint64_t rows = 0;
    const auto flush = [&]() -> Status {
        const double time = start.time - origin + double(rows) / start.rate;
        rows += counts.size() / width;
        auto status = sink->samples(stream, time, counts);
        counts.clear();
        return status;
    };
    while (lines.next(&line)) {
        if (trimmed(line).empty()) continue;
        const std::vector<std::string> fields = csv_split(line);
        std::vector<double> values(width);
        bool complete = fields.size() >= width;
        for (size_t c = 0; complete && c < width; ++c)
            complete = parse_number(fields[c], &values[c]);
        if (!complete) {
            if (!lines.whole()) {
                sink->note("the last line of " + start.path + " is cut off and was left out");
                break;
            }
            return fail(ErrorKind::usage, "a value is missing or no number", lines.where());
        }
        for (const double value : values)
            counts.push_back(start.sensor->counts ? int32_t(std::clamp(std::round(value), -32768.0, 32767.0))
                                                  : float_bits(float(value)));
        if (counts.size() >= 4096 * width)
            if (auto status = flush(); !status) return status;
    }
    if (lines.failed()) return fail(ErrorKind::usage, "a line longer than 1 MiB", lines.where());
    return flush();
}

// "time" or "offset, interval" lines become points.
Status read_points(const fs::path& path, const char* name, bool intervals, double origin, ImportSink* sink) {
    std::error_code error;
    if (!fs::exists(path, error)) return {};
    Lines lines(path.string());
    std::string line;
    double base = 0;
    bool first = intervals;
    while (lines.next(&line)) {
        const std::vector<std::string> fields = csv_split(line);
        double time = 0;
        double interval = 0;
        if (trimmed(line).empty()) continue;
        const bool complete =
            parse_number(fields[0], &time) &&
            (first || !intervals || (fields.size() > 1 && parse_number(fields[1], &interval)));
        if (!complete) {
            if (!lines.whole()) break;
            return fail(ErrorKind::usage, "a time that is no number", lines.where());
        }
        if (first) {
            base = time;
            first = false;
            continue;
        }
        const double at = (intervals ? base + time : time) - origin;
        if (at < 0) {
            sink->note(std::string(name) + " at " + number_text(at) + " s, before the recording: left out");
            continue;
        }
        if (at > 10 * 365.0 * 86400) return fail(ErrorKind::usage, "a time that cannot be", lines.where());
        const std::string note = intervals ? "ibi_s=" + number_text(float(interval)) : std::string();
        if (auto status = sink->label(at, at, name, note); !status) return status;
    }
    return {};
}

Status read(const std::string& source, const ImportOptions& options, ImportSink* sink) {
    std::vector<Start> found;
    std::error_code error;
    for (const Sensor& sensor : sensors()) {
        const fs::path path = fs::path(source) / sensor.file;
        if (!fs::exists(path, error)) continue;
        Start start{&sensor, path.string(), 0, 0};
        Lines lines(start.path);
        std::string line;
        if (!lines.next(&line) || !parse_number(csv_split(line)[0], &start.time) || start.time < 0 ||
            start.time > 4e9)
            return fail(ErrorKind::usage, "the first line is no start time", start.path);
        if (!lines.next(&line) || !parse_number(csv_split(line)[0], &start.rate) || start.rate < 1e-3 ||
            start.rate > 1e6)
            return fail(ErrorKind::usage, "the second line is no sampling rate", start.path);
        found.push_back(start);
    }
    if (found.empty()) return fail(ErrorKind::usage, "holds no E4 files", source);
    // Session time 0 is where the first listed sensor (EDA) starts if it is the earliest.
    double origin = found.front().time;
    for (const Start& start : found)
        origin = std::min(origin, start.time);
    std::vector<StreamInfo> streams;
    for (const Start& start : found) {
        streams.push_back(make_stream(start.sensor->stream, start.sensor->kind,
                                      start.sensor->counts ? SampleType::int16 : SampleType::float32,
                                      start.rate));
        for (const char* channel : start.sensor->channels)
            add_channel(&streams.back(), channel, start.sensor->unit,
                        start.sensor->counts ? 1.0f / 64 : 1.0f);
        if (start.sensor->kind == std::string("heart_rate"))
            sink->note("HR.csv is the E4's own smoothed and delayed estimate");
    }
    if (auto status =
            sink->begin("Empatica E4", int64_t(std::llround(origin * 1e6)) * 1000, std::move(streams));
        !status)
        return status;
    for (size_t i = 0; i < found.size(); ++i) {
        if (auto status = read_sensor(found[i], origin, int(i), sink); !status) return status;
        if (options.progress && !options.progress(double(i + 1) / double(found.size())))
            return fail(ErrorKind::usage, "stopped");
    }
    if (auto status = read_points(fs::path(source) / "IBI.csv", "beat", true, origin, sink); !status)
        return status;
    return read_points(fs::path(source) / "tags.csv", "tag", false, origin, sink);
}

}  // namespace

ImportFormat e4_import() {
    return {"e4", "Empatica E4 folder", {label_file_option()}, matches, read};
}

}  // namespace lockstep::storage
