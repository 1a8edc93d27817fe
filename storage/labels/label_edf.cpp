// EDF+ without signals: time-stamped annotation lists (edfplus.info, "The EDF+ specifications", 2.2).
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "storage/labels/label_files.h"

namespace lockstep::storage {
namespace {

std::string padded(std::string text, size_t width) {
    text.resize(width, ' ');
    return text;
}
std::string trimmed(std::string text) {
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}
std::string seconds(double v) {
    char text[40];
    std::snprintf(text, sizeof text, "%.6f", v);
    return text;
}
bool number(const std::string& text, double* out) {
    const char* first = text.data() + (!text.empty() && text[0] == '+' ? 1 : 0);
    const auto [end, code] = std::from_chars(first, text.data() + text.size(), *out);
    return code == std::errc() && end == text.data() + text.size() && std::isfinite(*out);
}

}  // namespace

std::string edf_annotations(const LabelSet& set) {
    const time_t start = time_t(set.start_utc_ns / 1'000'000'000);
    tm t{};
    gmtime_r(&start, &t);
    static const char* const months[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                         "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
    char date[64] = "Startdate X X X X", clock[64] = "01.01.8500.00.00";
    // EDF's two digits of a year reach from 1985 to 2084; before lies what nobody knows.
    const bool known = t.tm_year >= 85 && t.tm_year <= 184;
    if (known)
        std::snprintf(date, sizeof date, "Startdate %02d-%s-%04d X X X", t.tm_mday, months[t.tm_mon],
                      t.tm_year + 1900);
    if (known)
        std::snprintf(clock, sizeof clock, "%02d.%02d.%02d%02d.%02d.%02d", t.tm_mday, t.tm_mon + 1,
                      t.tm_year % 100, t.tm_hour, t.tm_min, t.tm_sec);
    // One record a label, each beginning with the time stamp that EDF+ asks for.
    std::vector<std::string> records;
    for (const Label& l : set.labels) {
        std::string text = l.label_class;
        // EDF+ names the signal that a text is about after "@@".
        if (l.stream >= 0 && size_t(l.stream) < set.streams.size() && l.channel >= 0 &&
            size_t(l.channel) < set.streams[size_t(l.stream)].channels.size())
            text += "@@" + set.streams[size_t(l.stream)].channels[size_t(l.channel)].name;
        for (char& c : text)
            if (uint8_t(c) < 32) c = ' ';
        std::string record("+0\x14\x14\0", 5);
        record += (l.start < 0 ? "" : "+") + seconds(l.start);
        if (l.stop > l.start) record += "\x15" + seconds(l.stop - l.start);
        record += "\x14" + text + "\x14";
        record += '\0';
        records.push_back(std::move(record));
    }
    if (records.empty()) records.emplace_back("+0\x14\x14\0", 5);
    size_t width = 0;
    for (const std::string& r : records)
        width = std::max(width, r.size());
    width += width % 2;
    std::string out = padded("0", 8) + padded("X X X X", 80) + padded(date, 80) + clock + padded("512", 8) +
                      padded("EDF+C", 44) + padded(std::to_string(records.size()), 8) + padded("0", 8) +
                      padded("1", 4) + padded("EDF Annotations", 16) + padded("", 80) + padded("", 8) +
                      padded("-1", 8) + padded("1", 8) + padded("-32768", 8) + padded("32767", 8) +
                      padded("", 80) + padded(std::to_string(width / 2), 8) + padded("", 32);
    for (std::string& r : records) {
        r.resize(width, '\0');
        out += r;
    }
    return out;
}

Result<std::vector<LabelLine>> parse_edf_annotations(const std::string& bytes, const std::string& where) {
    const auto wrong = [&](const std::string& what) { return fail(ErrorKind::usage, what, where); };
    const auto cell = [&](size_t at, size_t width) {
        return at + width <= bytes.size() ? trimmed(bytes.substr(at, width)) : std::string();
    };
    double signals = 0, record_count = 0, header = 0;
    if (bytes.size() < 256 || !number(cell(252, 4), &signals) || !number(cell(236, 8), &record_count) ||
        !number(cell(184, 8), &header) || signals < 1 || signals > 4096 || header != 256 * (signals + 1) ||
        double(bytes.size()) < header)
        return wrong("this is not an EDF file");
    const auto n = size_t(signals);
    // Where in a record the annotations lie.
    std::vector<std::pair<size_t, size_t>> parts;
    const size_t sample_bytes = uint8_t(bytes[0]) == 0xFF ? 3 : 2;
    size_t record_bytes = 0;
    for (size_t i = 0; i < n; ++i) {
        double samples = 0;
        if (!number(cell(256 + n * 216 + i * 8, 8), &samples) || samples < 1 || samples > 1e7)
            return wrong("the EDF header has no usable number of samples");
        const std::string name = cell(256 + i * 16, 16);
        if (name == "EDF Annotations" || name == "BDF Annotations")
            parts.emplace_back(record_bytes, size_t(samples) * sample_bytes);
        record_bytes += size_t(samples) * sample_bytes;
    }
    if (parts.empty()) return wrong("the EDF file has no annotations");
    std::vector<LabelLine> lines;
    for (size_t at = size_t(header); at + record_bytes <= bytes.size(); at += record_bytes)
        for (const auto& [offset, size] : parts) {
            const std::string part = bytes.substr(at + offset, size);
            for (size_t begin = 0; begin < part.size();) {
                const size_t end = std::min(part.find('\0', begin), part.size());
                const std::string list = part.substr(begin, end - begin);
                begin = end + 1;
                const size_t stamp = list.find('\x14');
                if (stamp == std::string::npos) continue;
                const size_t mark = std::min(list.find('\x15'), stamp);
                double start = 0, duration = 0;
                if (!number(list.substr(0, mark), &start) ||
                    (mark < stamp && !number(list.substr(mark + 1, stamp - mark - 1), &duration)) ||
                    duration < 0)
                    return wrong("an annotation has no usable time");
                for (size_t text = stamp + 1; text < list.size();) {
                    const size_t next = std::min(list.find('\x14', text), list.size());
                    if (next > text) {
                        LabelLine l;
                        l.line = int(lines.size()) + 1;
                        l.label.start = start;
                        l.label.stop = start + duration;
                        l.label.label_class = list.substr(text, next - text);
                        const size_t at_signal = l.label.label_class.rfind("@@");
                        if (at_signal != std::string::npos && at_signal > 0) {
                            l.channel = l.label.label_class.substr(at_signal + 2);
                            l.label.label_class.resize(at_signal);
                        }
                        lines.push_back(std::move(l));
                    }
                    text = next + 1;
                }
            }
        }
    return lines;
}

}  // namespace lockstep::storage
