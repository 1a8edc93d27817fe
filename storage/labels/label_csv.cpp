#include "storage/labels/label_csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

namespace lockstep::storage {
namespace {

constexpr size_t kMaxBytes = 64u << 20;
enum Field {
    start_s,
    stop_s,
    duration,
    label_class,
    stream,
    channel,
    source,
    confidence,
    note,
    author,
    file,
    subject,
    field_count
};
// The first name is this program's own.
const std::vector<const char*> kNames[field_count] = {
    {"start_s", "start", "onset"},
    {"stop_s", "stop", "end_s", "end"},
    {"duration", "duration_s"},
    {"class", "label", "trial_type", "description", "annotation"},
    {"stream"},
    {"channel"},
    {"source"},
    {"confidence"},
    {"note"},
    {"author"},
    {"file"},
    {"subject"}};

// One record from `at` on; false at the end of the text or when a quote is not closed (*broken).
bool next_record(const std::string& text, size_t* at, int* line, std::vector<std::string>* fields,
                 bool* broken) {
    fields->clear();
    if (*at >= text.size()) return false;
    fields->emplace_back();
    bool quoted = false;
    for (; *at < text.size(); ++*at) {
        const char c = text[*at];
        if (c == '\n') ++*line;
        if (quoted) {
            if (c != '"') {
                fields->back().push_back(c);
            } else if (*at + 1 < text.size() && text[*at + 1] == '"') {
                fields->back().push_back('"');
                ++*at;
            } else {
                quoted = false;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',') {
            fields->emplace_back();
        } else if (c == '\n') {
            ++*at;
            return true;
        } else if (c != '\r') {
            fields->back().push_back(c);
        }
    }
    *broken = quoted;
    return !quoted;
}

bool number(const std::string& text, double* out) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), *out);
    return code == std::errc() && end == text.data() + text.size() && std::isfinite(*out);
}

std::string quoted(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"') out.push_back('"');
        out.push_back(c);
    }
    return out + "\"";
}

}  // namespace

std::string shortest(double v) {
    char buffer[40];
    const auto [end, code] = std::to_chars(buffer, buffer + sizeof buffer, v);
    return code == std::errc() ? std::string(buffer, end) : "nan";
}

Result<std::string> read_label_text(const std::string& path) {
    std::string text;
    if (path == "-") {
        text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
        std::ifstream file(path, std::ios::binary);
        if (!file) return fail(ErrorKind::usage, "cannot open the label file", path);
        char piece[1 << 16];
        while (text.size() <= kMaxBytes && (file.read(piece, sizeof piece), file.gcount() > 0))
            text.append(piece, size_t(file.gcount()));
    }
    if (text.size() > kMaxBytes) return fail(ErrorKind::usage, "the label file is larger than 64 MB", path);
    return text;
}

Result<std::vector<LabelLine>> read_label_csv(const std::string& path) {
    const auto text = read_label_text(path);
    if (!text) return tl::make_unexpected(text.error());
    return parse_label_csv(*text, path);
}

Result<std::vector<LabelLine>> parse_label_csv(const std::string& text, const std::string& where) {
    size_t at = text.rfind("\xEF\xBB\xBF", 0) == 0 ? 3 : 0;
    int line = 1;
    bool broken = false;
    std::vector<std::string> fields;
    const auto wrong = [&](int number_of_line, const std::string& what) {
        return fail(ErrorKind::usage, what, where + ": line " + std::to_string(number_of_line),
                    "the header is start_s,stop_s,class,stream,channel; times are seconds");
    };
    if (!next_record(text, &at, &line, &fields, &broken)) return wrong(1, "the label file is empty");
    int column[field_count];
    std::fill(std::begin(column), std::end(column), -1);
    for (int f = 0; f < field_count; ++f)
        for (auto name = kNames[f].rbegin(); name != kNames[f].rend(); ++name)
            for (size_t i = 0; i < fields.size(); ++i)
                if (fields[i] == *name) column[f] = int(i);
    if (column[stop_s] < 0 && column[duration] >= 0) column[stop_s] = column[duration];
    for (const Field f : {start_s, label_class})
        if (column[f] < 0) return wrong(1, std::string("the column ") + kNames[f].front() + " is missing");
    const bool lasts = column[stop_s] == column[duration];
    std::string whose[2];  // file, subject

    std::vector<LabelLine> lines;
    for (int first_line = line; next_record(text, &at, &line, &fields, &broken); first_line = line) {
        if (fields.size() == 1 && fields[0].empty()) continue;
        const auto value = [&](Field f) {
            return column[f] >= 0 && size_t(column[f]) < fields.size() ? fields[size_t(column[f])]
                                                                       : std::string();
        };
        LabelLine l;
        l.line = first_line;
        if (!number(value(start_s), &l.label.start))
            return wrong(first_line, "start_s \"" + value(start_s) + "\" is not a time");
        l.label.stop = l.label.start;
        if (!value(stop_s).empty() && !number(value(stop_s), &l.label.stop))
            return wrong(first_line, "stop_s \"" + value(stop_s) + "\" is not a time");
        if (lasts && !value(stop_s).empty()) l.label.stop += l.label.start;
        for (const Field f : {file, subject}) {
            std::string& before = whose[f - file];
            if (before.empty()) before = value(f);
            if (value(f) != before)
                return fail(
                    ErrorKind::usage, "the table is about several recordings",
                    where + ": line " + std::to_string(first_line),
                    "'lockstep session import --set labels=" + where + "' takes what is about its source");
        }
        if (l.label.stop < l.label.start) return wrong(first_line, "the label stops before it starts");
        l.label.label_class = value(label_class);
        if (l.label.label_class.empty()) return wrong(first_line, "the label has no class");
        l.stream = value(stream);
        l.channel = value(channel);
        if (l.stream.empty() && !l.channel.empty()) return wrong(first_line, "a channel needs its stream");
        if (!value(source).empty()) l.label.source = value(source);
        if (!value(confidence).empty() && !number(value(confidence), &l.label.confidence))
            return wrong(first_line, "confidence \"" + value(confidence) + "\" is not a number");
        l.label.note = value(note);
        l.author = value(author);
        lines.push_back(std::move(l));
    }
    if (broken) return wrong(line, "a quote is not closed");
    return lines;
}

Result<Label> resolve(const LabelLine& line, const std::vector<StreamInfo>& streams) {
    Label label = line.label;
    const std::string where = "label line " + std::to_string(line.line);
    if (line.stream.empty()) {
        int of = -1;
        for (size_t s = 0; s < streams.size() && !line.channel.empty(); ++s)
            for (size_t c = 0; c < streams[s].channels.size(); ++c)
                if (streams[s].channels[c].name == line.channel) {
                    of = of < 0 ? int(s) : int(streams.size());
                    label.channel = int(c);
                }
        // A channel that is not there, or in several streams, stays readable in the name.
        if (of < 0 || of >= int(streams.size())) {
            label.channel = -1;
            if (!line.channel.empty()) label.label_class += "@@" + line.channel;
        } else {
            label.stream = of;
        }
        return label;
    }
    const auto found = std::find_if(streams.begin(), streams.end(),
                                    [&](const StreamInfo& s) { return s.name == line.stream; });
    if (found == streams.end())
        return fail(ErrorKind::usage, "the session has no stream \"" + line.stream + "\"", where);
    label.stream = int(found - streams.begin());
    if (line.channel.empty()) return label;
    const auto& channels = found->channels;
    const auto named = std::find_if(channels.begin(), channels.end(),
                                    [&](const ChannelInfo& c) { return c.name == line.channel; });
    if (named != channels.end()) {
        label.channel = int(named - channels.begin());
        return label;
    }
    double index = -1;
    if (!number(line.channel, &index) || index < 0 || index >= double(channels.size()) ||
        index != std::floor(index))
        return fail(ErrorKind::usage, "stream " + line.stream + " has no channel \"" + line.channel + "\"",
                    where);
    label.channel = int(index);
    return label;
}

std::string label_csv(const std::vector<Label>& labels, const std::vector<StreamInfo>& streams,
                      const std::map<uint64_t, std::string>& authors) {
    std::string out = std::string("start_s,stop_s,class,stream,channel,source,confidence,note") +
                      (authors.empty() ? "\n" : ",author\n");
    for (const Label& l : labels) {
        const bool has_stream = l.stream >= 0 && size_t(l.stream) < streams.size();
        const StreamInfo* s = has_stream ? &streams[size_t(l.stream)] : nullptr;
        out += shortest(l.start) + "," + (l.stop == l.start ? "" : shortest(l.stop)) + "," +
               quoted(l.label_class) + "," + (s != nullptr ? quoted(s->name) : "") + ",";
        if (s != nullptr && l.channel >= 0 && size_t(l.channel) < s->channels.size())
            out += quoted(s->channels[size_t(l.channel)].name);
        out += "," + quoted(l.source) + "," + shortest(l.confidence) + "," + quoted(l.note);
        const auto by = authors.find(l.id);
        if (!authors.empty()) out += "," + (by == authors.end() ? "" : quoted(by->second));
        out += "\n";
    }
    return out;
}

}  // namespace lockstep::storage
