#include "storage/formats/import_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "storage/formats/samples.h"

namespace lockstep::storage {

Lines::Lines(const std::string& path) : path_(path), file_(path, std::ios::binary) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    if (!error) size_ = size;
}

bool Lines::next(std::string* line) {
    constexpr size_t kLongest = 1 << 20;
    line->clear();
    if (!file_ || failed_) return false;
    std::streambuf* buffer = file_.rdbuf();
    whole_ = false;
    for (;;) {
        const int c = buffer->sbumpc();
        if (c == std::char_traits<char>::eof()) break;
        ++read_;
        if (c == '\n') {
            whole_ = true;
            break;
        }
        if (line->size() >= kLongest) {
            failed_ = true;
            return false;
        }
        line->push_back(char(c));
    }
    if (line->empty() && !whole_) return false;
    if (!line->empty() && line->back() == '\r') line->pop_back();
    if (number_++ == 0 && line->rfind("\xef\xbb\xbf", 0) == 0) line->erase(0, 3);
    return true;
}

double Lines::done() const {
    return size_ == 0 ? 1 : double(read_) / double(size_);
}

std::string trimmed(const std::string& text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return text;
}

std::string to_utf8(const std::string& text) {
    const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    bool valid = true;
    for (size_t i = 0; i < text.size() && valid;) {
        const unsigned first = byte(i);
        const size_t more = first < 0x80                    ? 0
                            : first >= 0xC2 && first < 0xE0 ? 1
                            : (first & 0xF0) == 0xE0        ? 2
                                                            : 3;
        valid = more < 3 || (first >= 0xF0 && first < 0xF5);
        for (size_t k = 1; k <= more; ++k)
            valid = valid && (byte(i + k) & 0xC0) == 0x80;
        // Longer than it need be, half of a pair, or past the last character.
        if (first == 0xE0) valid = valid && byte(i + 1) >= 0xA0;
        if (first == 0xED) valid = valid && byte(i + 1) < 0xA0;
        if (first == 0xF0) valid = valid && byte(i + 1) >= 0x90;
        if (first == 0xF4) valid = valid && byte(i + 1) < 0x90;
        i += more + 1;
    }
    if (valid) return text;
    std::string out;
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (code >= 0x80) out += char(0xC0 | code >> 6);
        out += code >= 0x80 ? char(0x80 | (code & 0x3F)) : c;
    }
    return out;
}

bool parse_number(const std::string& text, double* out) {
    const char* first = text.data();
    const char* last = first + text.size();
    while (first < last && (*first == ' ' || *first == '\t'))
        ++first;
    while (last > first && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r'))
        --last;
    if (first < last && *first == '+') ++first;
    double value = 0;
    const auto [end, error] = std::from_chars(first, last, value);
    if (error != std::errc() || end != last || first == last || !std::isfinite(value)) return false;
    *out = value;
    return true;
}

void set_rate(StreamInfo* info, double rate) {
    for (uint32_t den = 1; den <= 1000; ++den) {
        const double num = std::round(rate * den);
        if (num >= 1 && num < 4e9 && std::fabs(num / den - rate) <= 1e-9 * rate) {
            info->rate_num = uint32_t(num);
            info->rate_den = den;
            return;
        }
    }
    info->rate_num = uint32_t(std::clamp(std::round(rate * 1000), 1.0, 4e9));
    info->rate_den = 1000;
}

StreamInfo make_stream(const std::string& name, const std::string& kind, SampleType type, double rate) {
    StreamInfo info;
    info.name = name;
    info.kind = kind;
    info.type = type;
    set_rate(&info, rate);
    return info;
}

void add_channel(StreamInfo* info, const std::string& name, const std::string& unit, float scale,
                 float offset) {
    ChannelInfo channel;
    channel.name = to_utf8(name);
    channel.unit = to_utf8(unit);
    for (const char* micro : {"\xC2\xB5", "\xCE\xBC"})  // the sign and the Greek letter
        if (channel.unit.rfind(micro, 0) == 0) channel.unit.replace(0, 2, "u");
    channel.scale = scale;
    channel.offset = offset;
    info->channels.push_back(channel);
}

std::string guess_kind(const std::string& name, const std::string& unit) {
    static const struct {
        const char* part;
        const char* kind;
    } known[] = {{"eeg", "eeg"}, {"ecg", "ecg"},   {"ekg", "ecg"},   {"emg", "emg"},          {"eog", "eog"},
                 {"ppg", "ppg"}, {"bvp", "ppg"},   {"pleth", "ppg"}, {"eda", "gsr"},          {"gsr", "gsr"},
                 {"scl", "gsr"}, {"resp", "resp"}, {"rsp", "resp"},  {"temp", "temperature"}, {"acc", "imu"},
                 {"gyr", "imu"}, {"mag", "imu"}};
    const std::string text = lower(name);
    for (const auto& entry : known)
        if (text.find(entry.part) != std::string::npos) return entry.kind;
    static const char* const electrodes[] = {"fp1", "fp2", "f3", "f4",  "f7",  "f8",  "fz",  "c3", "c4", "cz",
                                             "p3",  "p4",  "p7", "p8",  "pz",  "o1",  "o2",  "t3", "t4", "t5",
                                             "t6",  "t7",  "t8", "af3", "af4", "fc5", "fc6", "oz"};
    for (const char* electrode : electrodes)
        if (text.substr(0, text.find('-')) == electrode) return "eeg";
    const std::string u = lower(unit);
    return u == "us" ? "gsr" : u == "degc" ? "temperature" : "other";
}

Status Timeline::add(double time, const std::vector<int32_t>& counts) {
    const size_t rows = counts.size() / channels_;
    const double width = double(rows) / rate_;
    if (!started_) {
        started_ = true;
        expected_ = time;
    }
    const double jump = time - expected_;
    if (jump > tolerance_) {
        if (jump * rate_ > 1e12) return fail(ErrorKind::usage, "a time stamp that cannot be");
        if (auto status = sink_->gap(stream_, uint64_t(std::llround(jump * rate_))); !status) return status;
        expected_ = time;
    } else if (jump < -tolerance_) {
        if (!noted_)
            sink_->note("stream " + std::to_string(stream_) + ": its clock jumps back by " +
                        number_text(-jump) + " s at " + number_text(expected_) +
                        " s; samples are kept in order");
        noted_ = true;
        time = expected_;
    }
    if (auto status = sink_->samples(stream_, std::max(0.0, time), counts); !status) return status;
    // Small differences are the sender's batching: follow its clock slowly, so that they do not add up.
    expected_ = expected_ + width + 0.1 * (time - expected_);
    return {};
}

}  // namespace lockstep::storage
