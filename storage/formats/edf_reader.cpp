#include "storage/formats/edf_reader.h"

#include <array>
#include <cmath>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "storage/formats/import_text.h"

namespace lockstep::storage {
namespace {

constexpr size_t kHeaderBytes = 256;
constexpr size_t kMostSignals = 4096;
constexpr size_t kLongestRecord = 64u << 20;

bool parse_whole(const std::string& text, double low, double high, double* out) {
    return parse_number(text, out) && *out == std::round(*out) && *out >= low && *out <= high;
}

// Days, months and years of both places in a header; false when there is no such day.
bool parse_day(const std::string& day, const std::string& month, const std::string& year, struct tm* out) {
    static const std::array<const char*, 12> names = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                      "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
    double d = 0, m = 0, y = 0;
    if (!parse_whole(month, 1, 12, &m))
        for (size_t i = 0; i < names.size(); ++i)
            if (month == names[i]) m = double(i + 1);
    if (m == 0 || !parse_whole(day, 1, 31, &d) || !parse_whole(year, 0, 9999, &y)) return false;
    if (year.size() == 2) y += y < 85 ? 2000 : 1900;
    out->tm_mday = int(d);
    out->tm_mon = int(m) - 1;
    out->tm_year = int(y) - 1900;
    return true;
}

// 0: not told.
int64_t parse_start(const std::string& date, const std::string& time, const std::string& recording) {
    struct tm t {};
    double hour = 0, minute = 0, second = 0;
    if (!parse_day(date.substr(0, 2), date.substr(3, 2), date.substr(6, 2), &t) ||
        !parse_whole(time.substr(0, 2), 0, 23, &hour) || !parse_whole(time.substr(3, 2), 0, 59, &minute) ||
        !parse_whole(time.substr(6, 2), 0, 59, &second))
        return 0;
    // EDF+ writes the whole year, too: "Startdate 02-MAR-2002 ...".
    if (recording.rfind("Startdate ", 0) == 0 && recording.size() >= 21)
        (void)parse_day(recording.substr(10, 2), recording.substr(13, 3), recording.substr(17, 4), &t);
    if (t.tm_year < 50 || t.tm_year > 250) return 0;  // nobody recorded then
    t.tm_hour = int(hour);
    t.tm_min = int(minute);
    t.tm_sec = int(second);
    return int64_t(timegm(&t)) * 1000000000;
}

}  // namespace

Status EdfReader::open(const std::string& path) {
    path_ = path;
    file_.open(path, std::ios::binary);
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(path, error);
    std::string head(kHeaderBytes, 0);
    if (!file_ || error) return fail(ErrorKind::usage, "cannot be opened for reading", path);
    if (!file_.read(head.data(), std::streamsize(head.size())))
        return fail(ErrorKind::usage, "not all of its header is there", path, "copy the file once more");
    const auto field = [&](size_t at, size_t n) { return trimmed(head.substr(at, n)); };
    bdf_ = head.compare(0, 8,
                        "\xff"
                        "BIOSEMI") == 0;
    if (!bdf_ && field(0, 8) != "0") return fail(ErrorKind::usage, "is no EDF or BDF file", path);
    const std::string reserved = field(192, 44);
    plus_ = reserved.rfind(bdf_ ? "BDF+" : "EDF+", 0) == 0;
    interrupted_ = plus_ && reserved.size() > 4 && reserved[4] == 'D';
    start_utc_ns_ = parse_start(head.substr(168, 8), head.substr(176, 8), field(88, 80));
    double header_bytes = 0, records = 0, count = 0;
    if (!parse_whole(field(252, 4), 1, kMostSignals, &count))
        return fail(ErrorKind::usage, "its header's number of signals is none", path + ": byte 252");
    if (!parse_whole(field(184, 8), 0, 99999999, &header_bytes) ||
        header_bytes != double(kHeaderBytes) * (count + 1))
        return fail(ErrorKind::usage, "its header's length does not fit its number of signals",
                    path + ": byte 184");
    if (!parse_whole(field(236, 8), -1, 99999999, &records))
        return fail(ErrorKind::usage, "its header's number of records is none", path + ": byte 236");
    if (!parse_number(field(244, 8), &record_seconds_) || record_seconds_ < 0 || record_seconds_ > 1e6)
        return fail(ErrorKind::usage, "its header's duration of a record is none", path + ": byte 244");
    if (auto status = read_signals(size_t(count)); !status) return status;
    const auto whole = uint64_t((double(size) - header_bytes) / double(record_bytes_));
    declared_ = records < 0 ? kUnknown : uint64_t(records);
    records_ = std::min(declared_, whole);
    longer_ = whole > records_;
    record_.resize(record_bytes_);
    return read_first_onset();
}

Status EdfReader::read_signals(size_t count) {
    std::string text(count * kHeaderBytes, 0);
    if (!file_.read(text.data(), std::streamsize(text.size())))
        return fail(ErrorKind::usage, "not all of its header is there", path_, "copy the file once more");
    size_t from = 0;
    const auto column = [&](size_t width) {
        std::vector<std::string> cells;
        for (size_t i = 0; i < count; ++i)
            cells.push_back(trimmed(text.substr(from + i * width, width)));
        from += count * width;
        return cells;
    };
    const auto labels = column(16);
    column(80);
    const auto units = column(8);
    const auto physical_min = column(8), physical_max = column(8);
    const auto digital_min = column(8), digital_max = column(8);
    const auto filters = column(80);
    const auto samples = column(8);
    const double limit = bdf_ ? 8388608 : 32768;
    for (size_t i = 0; i < count; ++i) {
        EdfFileSignal s;
        s.label = labels[i];
        s.unit = units[i];
        s.filters = filters[i];
        s.annotations = plus_ && s.label == (bdf_ ? "BDF Annotations" : "EDF Annotations");
        double number = 0;
        const std::string where = path_ + ": signal " + std::to_string(i + 1) + " (" + s.label + ")";
        if (!parse_whole(samples[i], 1, 1e8, &number))
            return fail(ErrorKind::usage, "its number of samples in a record is none", where);
        s.samples = size_t(number);
        s.at = record_bytes_;
        record_bytes_ += s.samples * (bdf_ ? 3 : 2);
        if (record_bytes_ > kLongestRecord)
            return fail(ErrorKind::usage, "a record of more than 64 MiB", where);
        if (!s.annotations) {
            if (!parse_number(physical_min[i], &s.physical_min) ||
                !parse_number(physical_max[i], &s.physical_max) || s.physical_min == s.physical_max)
                return fail(ErrorKind::usage, "its physical minimum and maximum span no range", where);
            if (!parse_whole(digital_min[i], -limit, limit - 1, &s.digital_min) ||
                !parse_whole(digital_max[i], -limit, limit - 1, &s.digital_max) ||
                s.digital_min >= s.digital_max)
                return fail(ErrorKind::usage, "its digital minimum and maximum span no range", where);
        }
        signals_.push_back(std::move(s));
    }
    return {};
}

// The first record's onset is a fraction of a second after the header's time.
Status EdfReader::read_first_onset() {
    if (!plus_ || records_ == 0) return {};
    double time = 0;
    if (auto status = next(&time, nullptr); !status) return status;
    first_onset_ = time;
    if (std::fabs(first_onset_) > 1e9)
        return fail(ErrorKind::usage, "the first record begins at a time that cannot be", path_);
    if (start_utc_ns_ != 0) start_utc_ns_ += std::llround(first_onset_ * 1e9);
    read_ = 0;
    file_.seekg(std::streamoff(kHeaderBytes * (signals_.size() + 1)));
    return {};
}

Status EdfReader::next(double* time, std::vector<EdfAnnotation>* annotations) {
    if (read_ >= records_ || !file_.read(record_.data(), std::streamsize(record_.size())))
        return fail(ErrorKind::usage, "ends in the middle of a record", path_);
    double onset = double(read_) * record_seconds_;
    ++read_;
    bool first = true;
    for (const EdfFileSignal& signal : signals_) {
        if (!signal.annotations) continue;
        if (auto status = parse_annotations(signal, first, &onset, annotations); !status) return status;
        first = false;
    }
    if (interrupted_ && first)
        return fail(ErrorKind::usage, "is interrupted (EDF+D), but has no signal that says when", path_);
    *time = onset - (first ? 0 : first_onset_);
    return {};
}

// Lists of "+onset[\x15duration]\x14text\x14...text\x14\0"; the first of a record has an empty text and says
// when the record begins.
Status EdfReader::parse_annotations(const EdfFileSignal& signal, bool keeps_time, double* onset,
                                    std::vector<EdfAnnotation>* out) const {
    const auto bad = [&](const char* what) {
        return fail(ErrorKind::usage, what, path_ + ": record " + std::to_string(read_));
    };
    const char* at = record_.data() + signal.at;
    const char* const end = at + signal.samples * (bdf_ ? 3 : 2);
    bool first = keeps_time;
    while (at < end) {
        if (*at == 0) {
            ++at;
            continue;
        }
        const auto* stop = static_cast<const char*>(std::memchr(at, 0, size_t(end - at)));
        if (stop == nullptr) stop = end;
        const std::string list(at, stop);
        at = stop;
        const size_t mark = list.find('\x14');
        if (mark == std::string::npos || (list[0] != '+' && list[0] != '-'))
            return bad("an annotation that cannot be read");
        const size_t middle = std::min(list.find('\x15'), mark);
        EdfAnnotation found;
        if (!parse_number(list.substr(0, middle), &found.onset) ||
            (middle < mark && !parse_number(list.substr(middle + 1, mark - middle - 1), &found.duration)) ||
            std::fabs(found.onset) > 1e9 || found.duration < 0 || found.duration > 1e9)
            return bad("an annotation's time cannot be read");
        if (first) *onset = found.onset;
        found.onset -= first_onset_;
        for (size_t text = mark + 1; text < list.size();) {
            const size_t next = std::min(list.find('\x14', text), list.size());
            found.text = trimmed(list.substr(text, next - text));
            if (!found.text.empty() && out != nullptr) out->push_back(found);
            text = next + 1;
        }
        first = false;
    }
    if (first) return bad("the record does not say when it begins");
    return {};
}

int32_t EdfReader::digit(const EdfFileSignal& signal, size_t i) const {
    const auto* byte = reinterpret_cast<const unsigned char*>(record_.data()) + signal.at;
    if (!bdf_) return int16_t(uint16_t(byte[2 * i]) | uint16_t(byte[2 * i + 1]) << 8);
    const uint32_t low = byte[3 * i] | uint32_t(byte[3 * i + 1]) << 8 | uint32_t(byte[3 * i + 2]) << 16;
    return int32_t(low ^ 0x800000u) - 0x800000;
}

}  // namespace lockstep::storage
