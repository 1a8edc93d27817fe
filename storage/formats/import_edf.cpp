// EDF, EDF+C, BDF and BDF+C through edflib. Signals of one rate become one stream, with the digits of
// the file as counts and its calibration as scale and offset; annotations become labels.
#include <edflib.h>

#include <cmath>
#include <ctime>
#include <map>
#include <memory>
#include <numeric>

#include "storage/formats/edf_lock.h"
#include "storage/formats/import_text.h"

namespace lockstep::storage {
namespace {

bool matches(const std::string&, const std::string& head) {
    return head.size() >= 8 && (head.compare(0, 8, "0       ") == 0 || head.compare(0, 8,
                                                                                    "\xff"
                                                                                    "BIOSEMI") == 0);
}

std::string why(int code) {
    switch (code) {
        case EDFLIB_FILE_CONTAINS_FORMAT_ERRORS:
            return "is no valid EDF or BDF file, or not all of it is there";
        case EDFLIB_FILE_IS_DISCONTINUOUS:
            return "has interruptions (EDF+D), which are not read";
        case EDFLIB_NO_SUCH_FILE_OR_DIRECTORY:
            return "cannot be opened for reading";
        case EDFLIB_MAXFILES_REACHED:
            return "too many EDF files are open";
        case EDFLIB_FILE_ALREADY_OPENED:
            return "is being read already";
        default:
            return "cannot be read";
    }
}

struct Opened {
    edf_hdr_struct header{};
    bool open = false;
    ~Opened() {
        if (!open) return;
        const std::lock_guard<std::mutex> held(edf_lock());
        edfclose_file(header.handle);
    }
};

Status read_signals(Opened& file, const std::vector<std::vector<int>>& groups, const ImportOptions& options,
                    ImportSink* sink) {
    const edf_hdr_struct& header = file.header;
    std::vector<int> column;
    std::vector<int32_t> counts;
    // A few records at a time, so that memory does not grow with the file.
    const long long at_once = 8;
    for (long long record = 0; record < header.datarecords_in_file; record += at_once) {
        const long long n = std::min(at_once, header.datarecords_in_file - record);
        for (size_t g = 0; g < groups.size(); ++g) {
            const auto per_record = size_t(header.signalparam[groups[g].front()].smp_in_datarecord);
            const size_t rows = per_record * size_t(n);
            column.resize(rows);
            counts.resize(rows * groups[g].size());
            for (size_t c = 0; c < groups[g].size(); ++c) {
                if (edfread_digital_samples(header.handle, groups[g][c], int(rows), column.data()) !=
                    int(rows))
                    return fail(ErrorKind::usage, "ends before its header says");
                for (size_t i = 0; i < rows; ++i)
                    counts[i * groups[g].size() + c] = column[i];
            }
            const double time =
                double(record) * double(header.datarecord_duration) / double(EDFLIB_TIME_DIMENSION);
            if (auto status = sink->samples(int(g), time, counts); !status) return status;
        }
        if (options.progress && !options.progress(double(record) / double(header.datarecords_in_file)))
            return fail(ErrorKind::usage, "stopped");
    }
    return {};
}

Status read(const std::string& source, const ImportOptions& options, ImportSink* sink) {
    auto file = std::make_unique<Opened>();
    {
        const std::lock_guard<std::mutex> held(edf_lock());
        file->open = edfopen_file_readonly(source.c_str(), &file->header, EDFLIB_READ_ALL_ANNOTATIONS) == 0;
    }
    const edf_hdr_struct& header = file->header;
    if (!file->open) return fail(ErrorKind::usage, why(header.filetype), source);

    const bool bdf = header.filetype == EDFLIB_FILETYPE_BDF || header.filetype == EDFLIB_FILETYPE_BDFPLUS;
    std::map<int, std::vector<int>, std::greater<>> by_rate;
    for (int s = 0; s < header.edfsignals; ++s)
        if (header.signalparam[s].smp_in_datarecord > 0)
            by_rate[header.signalparam[s].smp_in_datarecord].push_back(s);
    std::vector<StreamInfo> streams;
    std::vector<std::vector<int>> groups;
    std::map<std::string, int> used;
    for (const auto& [per_record, signals] : by_rate) {
        if (header.datarecord_duration <= 0)
            return fail(ErrorKind::usage, "its data records have no length", source);
        const uint64_t num = uint64_t(per_record) * EDFLIB_TIME_DIMENSION;
        const auto den = uint64_t(header.datarecord_duration);
        const uint64_t common = std::gcd(num, den);
        if (num / common > UINT32_MAX || den / common > UINT32_MAX)
            return fail(ErrorKind::usage, "a sampling rate that cannot be", source);
        StreamInfo info;
        info.type = bdf ? SampleType::int24 : SampleType::int16;
        info.rate_num = uint32_t(num / common);
        info.rate_den = uint32_t(den / common);
        std::map<std::string, int> kinds;
        for (const int s : signals) {
            const edf_param_struct& p = header.signalparam[s];
            const double scale = (p.phys_max - p.phys_min) / (double(p.dig_max) - double(p.dig_min));
            std::string unit = trimmed(p.physdimension);
            add_channel(&info, trimmed(p.label), unit, float(scale), float(p.phys_max - scale * p.dig_max));
            ++kinds[guess_kind(p.label, unit)];
        }
        info.kind = "other";
        for (const auto& [kind, n] : kinds)
            if (n > kinds[info.kind]) info.kind = kind;
        info.name = info.kind == "other" ? "signals" : info.kind;
        if (const int n = ++used[info.name]; n > 1) info.name += std::to_string(n);
        streams.push_back(std::move(info));
        groups.push_back(signals);
    }

    int64_t start = 0;
    struct tm parts {};
    parts.tm_year = header.startdate_year - 1900;
    parts.tm_mon = header.startdate_month - 1;
    parts.tm_mday = header.startdate_day;
    parts.tm_hour = header.starttime_hour;
    parts.tm_min = header.starttime_minute;
    parts.tm_sec = header.starttime_second;
    start = int64_t(timegm(&parts)) * 1000000000 + header.starttime_subsecond * 100;
    // Names of people stay where they are: the subject is what the caller says.
    if (auto status = sink->begin(bdf ? "BDF file" : "EDF file", start, std::move(streams)); !status)
        return status;
    if (auto status = read_signals(*file, groups, options, sink); !status) return status;
    for (long long n = 0; n < header.annotations_in_file; ++n) {
        edf_annotation_struct a{};
        if (edf_get_annotation(header.handle, int(n), &a) != 0)
            return fail(ErrorKind::usage, "an annotation that cannot be read", source);
        const double onset = double(a.onset) / double(EDFLIB_TIME_DIMENSION);
        const double length = a.duration_l > 0 ? double(a.duration_l) / double(EDFLIB_TIME_DIMENSION) : 0;
        std::string text = trimmed(a.annotation);
        int stream = -1;
        int channel = -1;
        // EDF+ names the signal that a text is about after "@@".
        if (const size_t at = text.rfind("@@"); at != std::string::npos && at > 0)
            for (size_t g = 0; g < groups.size(); ++g)
                for (size_t c = 0; c < groups[g].size(); ++c)
                    if (stream < 0 &&
                        trimmed(header.signalparam[groups[g][c]].label) == text.substr(at + 2)) {
                        stream = int(g);
                        channel = int(c);
                    }
        if (stream >= 0) text.resize(text.rfind("@@"));
        if (auto status = sink->label(onset, onset + length, text, {}, stream, channel); !status)
            return status;
    }
    return {};
}

}  // namespace

ImportFormat edf_import() {
    return {"edf", "EDF, EDF+, BDF, BDF+", {label_file_option()}, matches, read};
}

}  // namespace lockstep::storage
