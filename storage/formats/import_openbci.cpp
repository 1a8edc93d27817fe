// Text files of the OpenBCI GUI (versions 3 to 6): electrodes in uV, accelerometer in g, analogue inputs,
// digital inputs and markers, where they were used. Lost samples are found by the sample index that the board
// counts.
#include <algorithm>
#include <cmath>
#include <set>

#include "storage/formats/import_text.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"
#include "storage/formats/triggers.h"

namespace lockstep::storage {
namespace {

bool matches(const std::string&, const std::string& head) {
    return head.rfind("%OpenBCI", 0) == 0;
}

double number_after(const std::string& line, char mark) {
    const size_t at = line.find(mark);
    std::string text = at == std::string::npos ? "" : trimmed(line.substr(at + 1));
    double value = 0;
    text = text.substr(0, text.find_first_of(" H"));
    return parse_number(text, &value) ? value : 0;
}

// Columns that become one stream.
struct Group {
    const char* name;
    const char* kind;
    const char* unit;
    std::vector<size_t> columns;
    std::vector<std::string> channels;
    std::vector<int32_t> rows;

    void add(size_t column, const std::string& channel) {
        columns.push_back(column);
        channels.push_back(channel);
    }
};

struct Header {
    std::string board = "OpenBCI";
    double rate = 0;
    size_t channels = 0;
    std::vector<std::string> names;  // of the columns; versions before 5 have none
};

// A line of the head, and whether it was one.
bool read_head(const std::string& line, Header* head) {
    if (line.rfind("Sample Index", 0) == 0) {
        head->names = csv_split(line);
        for (std::string& name : head->names)
            name = trimmed(name);
        return true;
    }
    if (line.rfind('%', 0) != 0) return trimmed(line).empty();
    if (line.find("Sample Rate") != std::string::npos) head->rate = number_after(line, '=');
    if (line.find("Number of channels") != std::string::npos)
        head->channels = size_t(std::max(0.0, std::min(64.0, number_after(line, '='))));
    if (line.find("Board") != std::string::npos) head->board = trimmed(line.substr(line.find('=') + 1));
    return true;
}

bool starts_with(const std::string& text, const char* start) {
    return text.rfind(start, 0) == 0;
}

// The inputs beside the electrodes stand in every file; most are never used.
std::set<size_t> used_columns(const std::string& source) {
    Lines lines(source);
    Header head;
    std::string line;
    std::set<size_t> unused;
    std::set<size_t> used;
    while (lines.next(&line)) {
        if (read_head(line, &head)) {
            unused.clear();
            for (size_t i = 0; i < head.names.size(); ++i)
                for (const char* start : {"Analog Channel", "Digital Channel", "Marker"})
                    if (starts_with(head.names[i], start)) unused.insert(i);
            continue;
        }
        if (unused.empty()) break;
        const std::vector<std::string> fields = csv_split(line);
        for (auto column = unused.begin(); column != unused.end();) {
            double value = 0;
            const bool zero =
                *column >= fields.size() || !parse_number(fields[*column], &value) || value == 0;
            if (!zero) used.insert(*column);
            column = zero ? std::next(column) : unused.erase(column);
        }
    }
    return used;
}

// "Digital Channel 0 (D11)" -> "D11"
std::string input_name(const std::string& column) {
    const size_t open = column.find('(');
    const size_t close = column.find(')');
    if (open != std::string::npos && close != std::string::npos && close > open + 1)
        return column.substr(open + 1, close - open - 1);
    return column;
}

std::vector<Group> group_columns(const Header& head, const std::set<size_t>& used) {
    Group exg{"eeg", "eeg", "uV", {}, {}, {}};
    Group accel{"acc", "imu", "g", {}, {}, {}};
    Group analog{"analog", "other", "counts", {}, {}, {}};
    Group trigger{"trigger", "trigger", "", {}, {}, {}};
    for (size_t i = 1; i < head.names.size(); ++i) {
        const std::string& name = head.names[i];
        if (starts_with(name, "EXG Channel")) exg.add(i, "EXG" + std::to_string(exg.columns.size()));
        if (starts_with(name, "Accel Channel"))
            accel.add(i, std::string("acc_") + char('x' + accel.columns.size() % 3));
        if (used.count(i) == 0) continue;
        if (starts_with(name, "Analog Channel")) analog.add(i, "A" + trimmed(name.substr(14)));
        if (starts_with(name, "Digital Channel")) trigger.add(i, input_name(name));
        if (starts_with(name, "Marker")) trigger.add(i, "Marker");
    }
    for (size_t i = 1; head.names.empty() && i <= head.channels; ++i)
        exg.add(i, "EXG" + std::to_string(i - 1));
    std::vector<Group> groups;
    for (Group* group : {&exg, &accel, &analog, &trigger})
        if (!group->columns.empty() || group == &exg) groups.push_back(std::move(*group));
    return groups;
}

int64_t start_utc_ns(const Header& head, const std::vector<std::string>& fields) {
    const auto column = std::find(head.names.begin(), head.names.end(), "Timestamp");
    const auto i = size_t(column - head.names.begin());
    double ms = 0;
    if (column == head.names.end() || i >= fields.size() || !parse_number(fields[i], &ms)) return 0;
    if (ms < 1e11) ms *= 1000;  // newer versions write seconds
    return ms > 0 && ms < 4e12 ? int64_t(std::llround(ms * 1e3)) * 1000 : 0;
}

Status read(const std::string& source, const ImportOptions& options, ImportSink* sink) {
    const std::set<size_t> used = used_columns(source);
    Lines lines(source);
    std::string line;
    Header head;
    std::vector<Group> groups;
    std::vector<TriggerCodes> triggers;
    bool counts_by_one = false;
    int last = -1;
    uint64_t rows = 0;
    uint64_t held = 0;
    uint64_t at = 0;  // counter of the first waiting row
    uint64_t lost = 0;
    bool cut = false;
    const auto flush = [&]() -> Status {
        for (size_t g = 0; held > 0 && g < groups.size(); ++g) {
            if (auto status = sink->samples(int(g), double(at) / head.rate, groups[g].rows); !status)
                return status;
            groups[g].rows.clear();
        }
        at += held;
        held = 0;
        return {};
    };
    while (lines.next(&line)) {
        if (read_head(line, &head)) continue;
        const std::vector<std::string> fields = csv_split(line);
        if (groups.empty()) {
            groups = group_columns(head, used);
            if (groups[0].columns.empty() || head.rate <= 0)
                return fail(ErrorKind::usage, "the header names no channels or no rate", lines.where());
            std::vector<StreamInfo> streams;
            for (const Group& group : groups) {
                streams.push_back(make_stream(group.name, group.kind, SampleType::float32, head.rate));
                for (const std::string& channel : group.channels)
                    add_channel(&streams.back(), channel, group.unit);
                for (const std::string& channel : group.channels)
                    if (group.kind == std::string("trigger"))
                        triggers.emplace_back(channel, channel != "Marker");
            }
            counts_by_one = head.board.find("Cyton") != std::string::npos &&
                            head.board.find("Daisy") == std::string::npos;
            if (auto status = sink->begin(head.board, start_utc_ns(head, fields), std::move(streams));
                !status)
                return status;
        }
        double index = 0;
        if (!parse_number(fields[0], &index)) {
            cut = !lines.whole();  // the writer was stopped in the middle of a line
            if (cut) break;
            return fail(ErrorKind::usage, "the sample index is no number", lines.where());
        }
        std::vector<float> values;
        bool complete = true;
        for (const Group& group : groups)
            for (const size_t i : group.columns) {
                double value = 0;
                complete = complete && i < fields.size() && parse_number(fields[i], &value);
                values.push_back(float(value));
            }
        if (!complete) {
            cut = !lines.whole();
            if (cut) break;
            return fail(ErrorKind::usage, "a value is missing or no number", lines.where());
        }
        const int counter = int(std::clamp(index, 0.0, 255.0));
        const int missing = counts_by_one && last >= 0 ? (counter - last - 1) & 255 : 0;
        if (missing > 0) {
            if (auto status = flush(); !status) return status;
            for (size_t g = 0; g < groups.size(); ++g)
                if (auto status = sink->gap(int(g), uint64_t(missing)); !status) return status;
            at += uint64_t(missing);
            lost += uint64_t(missing);
        }
        last = counter;
        size_t next = 0;
        for (Group& group : groups)
            for (size_t c = 0; c < group.columns.size(); ++c) {
                if (&group == &groups.back() && !triggers.empty())
                    triggers[c].add(double(values[next]), double(at + held) / head.rate);
                group.rows.push_back(float_bits(values[next++]));
            }
        ++held;
        ++rows;
        if (held >= 256)
            if (auto status = flush(); !status) return status;
        if (rows % 4096 == 0 && options.progress && !options.progress(lines.done()))
            return fail(ErrorKind::usage, "stopped");
    }
    if (lines.failed()) return fail(ErrorKind::usage, "a line longer than 1 MiB", lines.where());
    if (groups.empty()) return fail(ErrorKind::usage, "holds no samples", source);
    if (cut) sink->note("the last line is cut off and was left out");
    if (lost > 0)
        sink->note(std::to_string(lost) + " samples are missing by the board's counter: stored as gaps");
    if (!counts_by_one) sink->note("this board's counter does not tell lost samples");
    if (auto status = flush(); !status) return status;
    for (const TriggerCodes& codes : triggers)
        if (auto status = codes.finish(sink, double(at) / head.rate); !status) return status;
    return {};
}

}  // namespace

ImportFormat openbci_import() {
    return {"openbci", "OpenBCI GUI text file", {label_file_option()}, matches, read};
}

}  // namespace lockstep::storage
