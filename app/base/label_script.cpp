#include "app/base/label_script.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>

namespace lockstep::app {
namespace {

// Fields of one line; quotes as in RFC 4180, without line breaks inside.
std::vector<std::string> fields_of(const std::string& line) {
    std::vector<std::string> out(1);
    bool quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
            out.back() += '"';
            ++i;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            out.emplace_back();
        } else if (c != '\r') {
            out.back() += c;
        }
    }
    return out;
}

bool number(const std::string& text, double* out) {
    char* end = nullptr;
    *out = std::strtod(text.c_str(), &end);
    return !text.empty() && *end == 0 && std::isfinite(*out);
}

}  // namespace

Result<std::vector<ScriptLabel>> read_label_script(const std::string& path) {
    std::ifstream file(path);
    if (!file) return fail(ErrorKind::usage, "cannot read the label script", path, "check the path");
    std::string line;
    std::getline(file, line);
    const std::string remedy = "the columns are start_s,stop_s,class,stream,channel";
    const std::vector<std::string> header = fields_of(line);
    if (header.size() < 3 || header[0] != "start_s" || header[1] != "stop_s" || header[2] != "class")
        return fail(ErrorKind::usage, "not a label script", path + ":1", remedy);
    std::vector<ScriptLabel> out;
    for (size_t at = 2; std::getline(file, line); ++at) {
        if (line.empty() || line == "\r") continue;
        const std::string where = path + ":" + std::to_string(at);
        const std::vector<std::string> fields = fields_of(line);
        ScriptLabel entry;
        if (fields.size() < 3 || fields[2].empty())
            return fail(ErrorKind::usage, "a label needs a start and a class", where, remedy);
        if (!number(fields[0], &entry.label.start) || entry.label.start < 0)
            return fail(ErrorKind::usage, "start_s '" + fields[0] + "' is no time", where,
                        "give seconds from the session's start");
        entry.label.stop = entry.label.start;
        if (!fields[1].empty() &&
            (!number(fields[1], &entry.label.stop) || entry.label.stop < entry.label.start))
            return fail(ErrorKind::usage, "stop_s '" + fields[1] + "' is no time after start_s", where,
                        "leave it empty for a point");
        entry.where = where;
        entry.label.label_class = fields[2];
        entry.label.source = "script";
        if (fields.size() > 3) entry.stream = fields[3];
        if (fields.size() > 4) entry.channel = fields[4];
        out.push_back(std::move(entry));
    }
    return out;
}

LabelScript::LabelScript(std::vector<ScriptLabel> labels, std::function<void(const LabelEdit&)> publish)
    : labels_(std::move(labels)), publish_(std::move(publish)) {
    std::stable_sort(labels_.begin(), labels_.end(),
                     [](const ScriptLabel& a, const ScriptLabel& b) { return a.label.stop < b.label.stop; });
}

Status LabelScript::bind(const std::vector<StreamInfo>& streams) {
    for (ScriptLabel& entry : labels_) {
        if (entry.stream.empty()) {
            if (entry.channel.empty()) continue;
            return fail(ErrorKind::usage, "the channel '" + entry.channel + "' stands without its stream",
                        entry.where, "name the stream, too, or leave both empty for all");
        }
        const auto stream = std::find_if(streams.begin(), streams.end(),
                                         [&](const StreamInfo& s) { return s.name == entry.stream; });
        if (stream == streams.end())
            return fail(ErrorKind::usage,
                        "the label script names the stream '" + entry.stream + "', which no device has",
                        entry.where, "'lockstep info URI' lists the streams");
        entry.label.stream = int(stream - streams.begin());
        if (entry.channel.empty()) continue;
        const auto& channels = stream->channels;
        auto channel = std::find_if(channels.begin(), channels.end(),
                                    [&](const ChannelInfo& c) { return c.name == entry.channel; });
        double index = -1;
        if (channel == channels.end() && number(entry.channel, &index) && index >= 0 &&
            index < double(channels.size()))
            channel = channels.begin() + int(index);
        if (channel == channels.end())
            return fail(ErrorKind::usage,
                        "the label script names the channel '" + entry.channel + "', which '" + entry.stream +
                            "' has not",
                        entry.where, "'lockstep info URI' lists the channels; the first is number 0");
        entry.label.channel = int(channel - channels.begin());
    }
    return {};
}

void LabelScript::give(Label label) {
    LabelEdit edit;
    edit.operation = LabelOperation::add;
    edit.after = std::move(label);
    edit.author = "script";
    const auto applied = track_.apply(edit);
    if (applied) publish_(*applied);
}

void LabelScript::advance(double seconds) {
    while (next_ < labels_.size() && labels_[next_].label.stop <= seconds)
        give(labels_[next_++].label);
}

size_t LabelScript::finish(double seconds) {
    advance(seconds);
    size_t left_out = 0;
    for (; next_ < labels_.size(); ++next_) {
        Label label = labels_[next_].label;
        if (label.start >= seconds) {
            ++left_out;
            continue;
        }
        label.stop = seconds;
        give(std::move(label));
    }
    return left_out;
}

}  // namespace lockstep::app
