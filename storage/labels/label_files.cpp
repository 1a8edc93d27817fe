#include "storage/labels/label_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

namespace lockstep::storage {
namespace {

using nlohmann::json;

bool number(const std::string& text, double* out) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), *out);
    return code == std::errc() && end == text.data() + text.size() && std::isfinite(*out);
}
// A field of a table whose only separators are tab and line end.
std::string field(std::string text) {
    for (char& c : text)
        if (c == '\t' || c == '\n' || c == '\r') c = ' ';
    return text;
}
std::string or_na(const std::string& text) {
    return text.empty() ? "n/a" : field(text);
}
std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts(1);
    for (const char c : text) {
        if (c == separator)
            parts.emplace_back();
        else if (c != '\r')
            parts.back() += c;
    }
    return parts;
}
std::string stream_of(const LabelSet& set, const Label& l) {
    return l.stream >= 0 && size_t(l.stream) < set.streams.size() ? set.streams[size_t(l.stream)].name : "";
}
std::string channel_of(const LabelSet& set, const Label& l) {
    if (stream_of(set, l).empty() || l.channel < 0) return {};
    const auto& channels = set.streams[size_t(l.stream)].channels;
    return size_t(l.channel) < channels.size() ? channels[size_t(l.channel)].name : "";
}

std::string author_of(const LabelSet& set, const Label& l) {
    const auto found = set.authors.find(l.id);
    return found == set.authors.end() ? "" : found->second;
}

// BIDS: onset, duration, trial_type; HED where the class has tags; then what only Lockstep knows.
std::string tsv(const LabelSet& set) {
    std::string out = "onset\tduration\ttrial_type\tHED\tstream\tchannel\n";
    for (const Label& l : set.labels) {
        std::string hed;
        for (const LabelClass& c : set.classes)
            if (c.name == l.label_class) hed = c.hed;
        out += shortest(l.start) + "\t" + shortest(l.stop - l.start) + "\t" + or_na(l.label_class) + "\t" +
               or_na(hed) + "\t" + or_na(stream_of(set, l)) + "\t" + or_na(channel_of(set, l)) + "\n";
    }
    return out;
}

std::string audacity(const LabelSet& set) {
    std::string out;
    for (const Label& l : set.labels)
        out += shortest(l.start) + "\t" + shortest(l.stop) + "\t" + field(l.label_class) + "\n";
    return out;
}

std::string to_json_text(const LabelSet& set) {
    json labels = json::array(), classes = json::array();
    for (const Label& l : set.labels)
        labels.push_back({{"start_s", l.start},
                          {"stop_s", l.stop},
                          {"class", l.label_class},
                          {"stream", stream_of(set, l)},
                          {"channel", channel_of(set, l)},
                          {"source", l.source},
                          {"confidence", l.confidence},
                          {"note", l.note},
                          {"author", author_of(set, l)}});
    for (const LabelClass& c : set.classes)
        classes.push_back({{"name", c.name},
                           {"color", c.color},
                           {"hotkey", c.hotkey == 0 ? "" : std::string(1, c.hotkey)},
                           {"HED", c.hed}});
    return json{{"labels", labels}, {"classes", classes}}.dump(1, ' ', false,
                                                               json::error_handler_t::replace) +
           "\n";
}

using Lines = Result<std::vector<LabelLine>>;

tl::unexpected<Error> wrong(const std::string& where, int line, const std::string& what) {
    return fail(ErrorKind::usage, what, where + ": line " + std::to_string(line));
}

Lines parse_tsv(const std::string& text, const std::string& where, std::vector<LabelClass>* classes) {
    const auto rows = split(text, '\n');
    const auto names = split(rows[0], '\t');
    const auto column = [&](const std::vector<std::string>& fields, const char* name) -> std::string {
        const auto at = size_t(std::find(names.begin(), names.end(), name) - names.begin());
        return at < names.size() && at < fields.size() && fields[at] != "n/a" ? fields[at] : "";
    };
    std::vector<LabelLine> lines;
    for (size_t i = 1; i < rows.size(); ++i) {
        if (rows[i].empty()) continue;
        const auto fields = split(rows[i], '\t');
        LabelLine l;
        l.line = int(i) + 1;
        double duration = 0;
        const std::string given = column(fields, "duration");
        if (!number(column(fields, "onset"), &l.label.start))
            return wrong(where, l.line, "there is no onset in seconds");
        if (!given.empty() && (!number(given, &duration) || duration < 0))
            return wrong(where, l.line, "the duration \"" + given + "\" is not a time");
        l.label.stop = l.label.start + duration;
        l.label.label_class = column(fields, "trial_type");
        if (l.label.label_class.empty()) l.label.label_class = column(fields, "value");
        if (l.label.label_class.empty()) return wrong(where, l.line, "there is neither trial_type nor value");
        l.stream = column(fields, "stream");
        if (!l.stream.empty()) l.channel = column(fields, "channel");
        if (const std::string tags = column(fields, "HED"); classes != nullptr && !tags.empty()) {
            LabelClass c;
            c.name = l.label.label_class;
            c.hed = tags;
            classes->push_back(std::move(c));
        }
        lines.push_back(std::move(l));
    }
    return lines;
}

Lines parse_audacity(const std::string& text, const std::string& where) {
    std::vector<LabelLine> lines;
    const auto rows = split(text, '\n');
    for (size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].empty() || rows[i][0] == '\\') continue;  // "\": the frequency range of the label before
        const auto fields = split(rows[i], '\t');
        LabelLine l;
        l.line = int(i) + 1;
        if (fields.size() < 2 || !number(fields[0], &l.label.start) || !number(fields[1], &l.label.stop) ||
            l.label.stop < l.label.start)
            return wrong(where, l.line, "a label is start, stop and text, with tabs between");
        l.label.label_class = fields.size() > 2 && !fields[2].empty() ? fields[2] : "label";
        lines.push_back(std::move(l));
    }
    return lines;
}

bool is_color(const std::string& text) {
    return text.size() == 7 && text[0] == '#' &&
           text.find_first_not_of("0123456789abcdefABCDEF", 1) == std::string::npos;
}

std::vector<LabelClass> parse_json_classes(const json& root) {
    std::vector<LabelClass> classes;
    if (!root.is_object() || !root.contains("classes") || !root["classes"].is_array()) return classes;
    for (const json& j : root["classes"]) {
        const auto text_of = [&j](const char* key) {
            return j.is_object() && j.contains(key) && j[key].is_string() ? j[key].get<std::string>() : "";
        };
        LabelClass c;
        c.name = text_of("name");
        if (is_color(text_of("color"))) c.color = text_of("color");
        const std::string hotkey = text_of("hotkey");
        if (hotkey.size() == 1 && hotkey[0] >= '1' && hotkey[0] <= '9') c.hotkey = hotkey[0];
        c.hed = text_of("HED");
        if (!c.name.empty()) classes.push_back(std::move(c));
    }
    return classes;
}

Lines parse_json(const std::string& text, const std::string& where, std::vector<LabelClass>* classes) {
    const json root = json::parse(text, nullptr, false);
    const json* all = root.is_object() && root.contains("labels") ? &root["labels"] : &root;
    if (!all->is_array())
        return fail(ErrorKind::usage, "this is no JSON list of labels", where,
                    R"(it is [{"start_s": 1, "stop_s": 2, "class": "walk"}, ...] or {"labels": [...]})");
    if (classes != nullptr) *classes = parse_json_classes(root);
    std::vector<LabelLine> lines;
    for (const json& j : *all) {
        LabelLine l;
        l.line = int(lines.size()) + 1;
        const auto text_of = [&j](const char* key) {
            return j.is_object() && j.contains(key) && j[key].is_string() ? j[key].get<std::string>() : "";
        };
        const auto number_of = [&j](const char* key, double fallback) {
            return j.is_object() && j.contains(key) && j[key].is_number() ? j[key].get<double>() : fallback;
        };
        l.label.start = number_of("start_s", NAN);
        l.label.stop = number_of("stop_s", l.label.start);
        l.label.label_class = text_of("class");
        if (!std::isfinite(l.label.start) || !std::isfinite(l.label.stop) || l.label.stop < l.label.start ||
            l.label.label_class.empty())
            return fail(ErrorKind::usage, "a label has no start_s, a stop_s before it, or no class",
                        where + ": label " + std::to_string(l.line));
        l.stream = text_of("stream");
        l.channel = text_of("channel");
        if (l.stream.empty()) l.channel.clear();
        if (!text_of("source").empty()) l.label.source = text_of("source");
        l.label.confidence = number_of("confidence", 1);
        l.label.note = text_of("note");
        l.author = text_of("author");
        lines.push_back(std::move(l));
    }
    return lines;
}

}  // namespace

Result<std::string> label_format(const std::string& path, const std::string& wanted) {
    const std::string ending =
        wanted.empty() ? (path == "-" ? "csv" : path.substr(std::min(path.rfind('.'), path.size() - 1) + 1))
                       : wanted;
    for (const char* format : {"csv", "tsv", "audacity", "json", "edf"})
        if (ending == format) return std::string(format);
    if (ending == "txt") return std::string("audacity");
    return fail(ErrorKind::usage, "\"" + ending + "\" is no form of labels", path,
                "csv, tsv (BIDS events), txt (Audacity), json or edf; or name it with --format");
}

Result<std::string> write_labels(const std::string& format, const LabelSet& set) {
    if (format == "csv") return label_csv(set.labels, set.streams, set.authors);
    if (format == "tsv") return tsv(set);
    if (format == "audacity") return audacity(set);
    if (format == "json") return to_json_text(set);
    if (format == "edf") return edf_annotations(set);
    return fail(ErrorKind::usage, "there is no such form of labels", format);
}

Lines read_labels(const std::string& path, const std::string& format, std::vector<LabelClass>* classes) {
    auto read = read_label_text(path);
    if (!read) return tl::make_unexpected(read.error());
    std::string& text = *read;
    if (format == "csv") return parse_label_csv(text, path);
    if (format == "edf") return parse_edf_annotations(text, path);
    if (text.rfind("\xEF\xBB\xBF", 0) == 0) text.erase(0, 3);
    if (format == "tsv") return parse_tsv(text, path, classes);
    if (format == "audacity") return parse_audacity(text, path);
    if (format == "json") return parse_json(text, path, classes);
    return fail(ErrorKind::usage, "there is no such form of labels", format);
}

}  // namespace lockstep::storage
