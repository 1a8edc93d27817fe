// EDF+ and BDF+ through edflib: one file per sampling rate, so nothing is resampled. A hole in the data
// holds the value before it and is marked by an annotation BAD_gap, which MNE leaves out of its epochs.
#include <edflib.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <set>

#include "storage/formats/edf_lock.h"
#include "storage/formats/edf_scaling.h"
#include "storage/formats/exports.h"
#include "storage/formats/samples.h"

namespace lockstep::storage {

std::mutex& edf_lock() {
    static std::mutex mutex;
    return mutex;
}

namespace {

// A data record: so many samples in so many units of 10 us.
struct Record {
    int samples = 0;
    int duration = 0;
    bool exact = true;
};

Record choose_record(uint32_t num, uint32_t den) {
    constexpr uint64_t kSecond = 100000;
    for (uint64_t seconds = 1; seconds <= 10; ++seconds)
        if (seconds * num % den == 0) return {int(seconds * num / den), int(seconds * kSecond)};
    // The smallest number of samples that lasts a whole number of units.
    const uint64_t ticks = kSecond * den;
    const uint64_t samples = num / std::gcd<uint64_t>(num, ticks);
    const uint64_t duration = samples * ticks / num;
    if (duration >= 100 && duration <= 60 * kSecond) {
        const uint64_t repeat = std::max<uint64_t>(1, kSecond / duration);
        return {int(samples * repeat), int(duration * repeat)};
    }
    // No exact one: about ten seconds, so that the rounding stays below 1e-6.
    const double rate = double(num) / den;
    const double about = std::max(1.0, std::round(rate * 10));
    const double rounded = std::round(about / rate * double(kSecond));
    if (about > 1e8 || rounded < 100 || rounded > 60.0 * double(kSecond)) return {};
    return {int(about), int(rounded), false};
}

// An open file, closed on every way out.
class Edf {
  public:
    explicit Edf(int handle) : handle_(handle) {}
    ~Edf() { close(); }
    Edf(const Edf&) = delete;
    Edf& operator=(const Edf&) = delete;
    int get() const { return handle_; }
    int close() {
        if (handle_ < 0) return 0;
        const std::lock_guard<std::mutex> held(edf_lock());
        const int result = edfclose_file(handle_);
        handle_ = -1;
        return result;
    }

  private:
    int handle_;
};

struct Annotation {
    double start = 0;
    double length = -1;
    std::string text;
};

std::string plain(std::string text, size_t limit) {
    for (char& c : text)
        if (c < 32 || c > 126) c = '_';
    if (text.size() > limit) text.resize(limit);
    return text;
}

void set_header(int handle, const SessionReader& session, double origin) {
    const SessionHeader& header = session.header();
    const int64_t start = header.start_utc_ns + int64_t(std::floor(origin * 1e9));
    const time_t second = time_t(start / 1000000000);
    struct tm parts {};
    gmtime_r(&second, &parts);
    if (parts.tm_year >= 85 && parts.tm_year <= 184) {
        edf_set_startdatetime(handle, parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                              parts.tm_min, parts.tm_sec);
        // In tenths of a millisecond, as annotations are.
        edf_set_subsecond_starttime(handle, int(start % 1000000000 / 100000) * 1000);
    } else {
        edf_set_startdatetime(handle, 1985, 1, 1, 0, 0, 0);
    }
    if (!header.subject.empty()) edf_set_patientcode(handle, plain(header.subject, 20).c_str());
    if (!header.task.empty()) edf_set_recording_additional(handle, plain(header.task, 20).c_str());
    if (!session.segments().empty()) {
        const std::string board = plain(session.segments().front().started.info.board, 20);
        if (!board.empty()) edf_set_equipment(handle, board.c_str());
    }
}

// Names of the file's signals: 16 characters, each one once.
std::vector<std::string> signal_names(const SessionReader& session, const std::vector<int>& streams) {
    std::map<std::string, int> seen;
    for (const int index : streams)
        for (const ChannelInfo& channel : session.streams()[size_t(index)].info.channels)
            ++seen[plain(channel.name, 16)];
    std::vector<std::string> names;
    std::set<std::string> used;
    for (const int index : streams) {
        const StreamInfo& info = session.streams()[size_t(index)].info;
        for (const ChannelInfo& channel : info.channels) {
            std::string name = plain(channel.name, 16);
            if (seen[name] > 1) name = plain(info.name + " " + channel.name, 16);
            const std::string stem = name;
            for (int n = 2; !used.insert(name).second; ++n)
                name = plain(stem, 16 - 1 - std::to_string(n).size()) + "_" + std::to_string(n);
            names.push_back(name);
        }
    }
    return names;
}

// edflib keeps 40 bytes of a text; a character is not cut in two.
std::string annotation_text(const std::string& text, size_t* cut) {
    constexpr size_t kLongest = 40;
    if (text.size() <= kLongest) return text;
    ++*cut;
    size_t end = kLongest;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
        --end;
    return text.substr(0, end);
}

// One file: the streams of one rate, laid on grids that begin together.
struct Sheet {
    std::vector<int> streams;
    std::vector<Grid> grids;
    std::vector<EdfStream> scaling;
    std::vector<std::string> names;  // of the signals
    double rate = 0;
    uint64_t length = 0;  // samples in whole records
    size_t channels = 0;
};

// Holes first, so that a reader meets them in time order with the labels.
std::vector<Annotation> gaps_of(const SessionReader& session, const Sheet& sheet, ExportReport* report) {
    std::vector<Annotation> annotations;
    uint64_t invalid = 0;
    const auto note = [&](const std::string& text) {
        report->notes.push_back(text + "; they hold the value before them and are annotated BAD_gap");
    };
    for (size_t s = 0; s < sheet.streams.size(); ++s) {
        const std::string& name = session.streams()[size_t(sheet.streams[s])].info.name;
        const auto mark = [&](const char* what, uint64_t from, uint64_t to) {
            annotations.push_back({double(from) / sheet.rate, double(to - from) / sheet.rate, what + name});
        };
        const auto& pieces = sheet.grids[s].pieces();
        uint64_t end = 0;
        uint64_t lost = 0;
        uint64_t filled = 0;
        for (size_t p = 0; p <= pieces.size(); ++p) {
            const uint64_t next = p < pieces.size() ? pieces[p].position : sheet.length;
            if (next > end) {
                mark("BAD_gap ", end, next);
                (p < pieces.size() ? lost : filled) += next - end;
            }
            if (p < pieces.size()) end = pieces[p].position + pieces[p].count;
        }
        if (lost > 0) note(name + ": " + std::to_string(lost) + " samples were never received");
        if (filled > 0) note(name + ": " + std::to_string(filled) + " samples fill the last record");
        for (const auto& [first, last] : sheet.scaling[s].invalid) {
            invalid += last - first;
            for (const auto& piece : pieces) {
                const uint64_t from = std::max(first, piece.row);
                const uint64_t to = std::min(last, piece.row + piece.count);
                if (from < to)
                    mark("BAD_nan ", piece.position + (from - piece.row), piece.position + (to - piece.row));
            }
        }
    }
    if (invalid > 0)
        report->notes.push_back(std::to_string(invalid) +
                                " samples hold no number in some channel; they hold the value before them "
                                "and are annotated BAD_nan");
    return annotations;
}

// Labels about other streams' files are left to these. EDF+ names a label's channel after "@@".
Status add_labels(SessionReader& session, const Sheet& sheet, std::vector<Annotation>* annotations) {
    auto current = current_labels(session);
    if (!current) return tl::make_unexpected(current.error());
    for (const Label& label : current->labels) {
        std::string text = label.label_class;
        const bool scoped =
            !stream_name(session, label).empty() && session.streams()[size_t(label.stream)].rows > 0;
        size_t signal = 0;
        bool here = !scoped;
        for (const int index : sheet.streams) {
            if (scoped && index == label.stream) {
                here = true;
                if (!channel_name(session, label).empty())
                    text += "@@" + sheet.names[signal + size_t(label.channel)];
            }
            signal += session.streams()[size_t(index)].info.channels.size();
        }
        if (!here) continue;
        const double start = sheet.grids.front().seconds(label.start);
        const double stop = sheet.grids.front().seconds(label.stop);
        annotations->push_back({std::max(0.0, start),
                                label.stop > label.start ? std::max(0.0, stop - std::max(0.0, start)) : -1,
                                text});
    }
    return {};
}

Status write_header(int handle, const SessionReader& session, const Sheet& sheet, const Record& record,
                    const std::string& path) {
    int signal = 0;
    int problems = 0;
    for (size_t s = 0; s < sheet.streams.size(); ++s)
        for (const EdfScaling& k : sheet.scaling[s].channels) {
            problems += edf_set_samplefrequency(handle, signal, record.samples) != 0;
            problems += edf_set_digital_minimum(handle, signal, k.digital_min) != 0;
            problems += edf_set_digital_maximum(handle, signal, k.digital_max) != 0;
            problems += edf_set_physical_minimum(handle, signal, edf_header_value(k.low)) != 0;
            problems += edf_set_physical_maximum(handle, signal, edf_header_value(k.high)) != 0;
            edf_set_label(handle, signal, sheet.names[size_t(signal)].c_str());
            edf_set_physical_dimension(handle, signal, plain(k.unit, 8).c_str());
            ++signal;
        }
    problems += edf_set_datarecord_duration(handle, record.duration) != 0;
    if (problems > 0)
        return fail(ErrorKind::usage, "a channel's range does not fit the format", path, "try bdf or csv");
    double origin = std::numeric_limits<double>::max();
    for (const int index : sheet.streams)
        origin = std::min(origin, row_time(session.streams()[size_t(index)], 0));
    set_header(handle, session, origin);
    return {};
}

Status write_records(int handle, SessionReader& session, Sheet& sheet, const Record& record,
                     const std::string& path, const Progress& progress) {
    const auto rows = uint64_t(record.samples);
    std::vector<int32_t> counts;
    std::vector<int> digits(rows);
    std::vector<int> held(sheet.channels, 0);
    for (uint64_t first = 0; first < sheet.length; first += rows) {
        size_t signal = 0;
        for (size_t s = 0; s < sheet.streams.size(); ++s) {
            const StreamInfo& info = session.streams()[size_t(sheet.streams[s])].info;
            const size_t width = info.channels.size();
            if (auto status = sheet.grids[s].read(session, sheet.streams[s], first, rows, &counts); !status)
                return status;
            for (size_t c = 0; c < width; ++c, ++signal) {
                const EdfScaling& k = sheet.scaling[s].channels[c];
                int& hold = held[signal];
                for (size_t i = 0; i < digits.size(); ++i)
                    hold = digits[i] =
                        k.digit(info.channels[c], edf_number(info, counts[i * width + c]), hold);
                if (const int error = edfwrite_digital_samples(handle, digits.data()); error != 0)
                    return fail(
                        error == EDFLIB_DATARECORD_SIZE_TOO_BIG ? ErrorKind::usage : ErrorKind::system,
                        error == EDFLIB_DATARECORD_SIZE_TOO_BIG ? "too many channels and samples for one file"
                                                                : "the file cannot be written",
                        path, "is the disk full?");
            }
        }
        if (progress && !progress(double(first + rows) / double(sheet.length)))
            return fail(ErrorKind::usage, "stopped", path);
    }
    return {};
}

}  // namespace

Status write_edf_file(SessionReader& session, const std::vector<int>& streams, bool bdf,
                      const std::string& path, const Progress& progress, ExportReport* report,
                      std::vector<EdfSignal>* named) {
    const auto& all = session.streams();
    const StreamInfo& lead = all[size_t(streams.front())].info;
    const Record record = choose_record(lead.rate_num, lead.rate_den);
    if (record.samples == 0)
        return fail(ErrorKind::usage, "a rate of " + number_text(lead.rate()) + " Hz does not fit the format",
                    lead.name, "export this session as csv or xdf");
    if (!record.exact)
        report->notes.push_back(
            lead.name + ": the header holds the rate with a rounding of " +
            number_text(float(std::fabs(record.samples * 1e5 / record.duration / lead.rate() - 1))));

    Sheet sheet;
    sheet.streams = streams;
    sheet.names = signal_names(session, streams);
    sheet.rate = lead.rate();
    double origin = std::numeric_limits<double>::max();
    for (const int index : streams)
        origin = std::min(origin, row_time(all[size_t(index)], 0));
    for (const int index : streams) {
        const StreamInfo& info = all[size_t(index)].info;
        sheet.grids.emplace_back(all[size_t(index)], origin);
        auto chosen = edf_scaling(session, index, bdf);
        if (!chosen) return tl::make_unexpected(chosen.error());
        sheet.scaling.push_back(std::move(*chosen));
        sheet.length = std::max(sheet.length, sheet.grids.back().size());
        for (size_t c = 0; c < info.channels.size(); ++c) {
            const EdfScaling& k = sheet.scaling.back().channels[c];
            if (named != nullptr) named->push_back({sheet.names[sheet.channels + c], k.unit});
            if (!k.lossless)
                report->notes.push_back(info.name + "/" + info.channels[c].name + ": rounded to " +
                                        (bdf ? "24" : "16") + " bits, one step is " +
                                        number_text(float(k.step())) + " " + k.unit);
        }
        sheet.channels += info.channels.size();
    }
    const auto samples = uint64_t(record.samples);
    const uint64_t records = (sheet.length + samples - 1) / samples;
    sheet.length = records * samples;
    std::vector<Annotation> annotations = gaps_of(session, sheet, report);
    if (auto status = add_labels(session, sheet, &annotations); !status) return status;
    std::stable_sort(annotations.begin(), annotations.end(),
                     [](const Annotation& a, const Annotation& b) { return a.start < b.start; });

    int handle = -1;
    {
        const std::lock_guard<std::mutex> held(edf_lock());
        handle = edfopen_file_writeonly(path.c_str(), bdf ? EDFLIB_FILETYPE_BDFPLUS : EDFLIB_FILETYPE_EDFPLUS,
                                        int(sheet.channels));
    }
    if (handle == EDFLIB_NUMBER_OF_SIGNALS_INVALID || handle == EDFLIB_TOO_MANY_SIGNALS)
        return fail(ErrorKind::usage,
                    std::to_string(sheet.channels) + " channels of one rate; the format holds 640", path);
    if (handle < 0) return fail(ErrorKind::system, "the file cannot be created", path);
    Edf edf(handle);
    if (auto status = write_header(handle, session, sheet, record, path); !status) return status;
    const uint64_t tracks = records == 0 ? 1 : (annotations.size() + records - 1) / records + 1;
    edf_set_number_of_annotation_signals(handle, int(std::clamp<uint64_t>(tracks, 1, 64)));
    if (tracks > 64)
        report->notes.push_back("more annotations than the file can hold: the last ones are missing");
    if (auto status = write_records(handle, session, sheet, record, path, progress); !status) return status;
    size_t cut = 0;
    for (const Annotation& a : annotations) {
        const auto length_units = a.length < 0 ? -1LL : std::llround(a.length * 1e4);
        edfwrite_annotation_utf8(handle, std::llround(a.start * 1e4), length_units,
                                 annotation_text(a.text, &cut).c_str());
    }
    if (cut > 0)
        report->notes.push_back(std::to_string(cut) +
                                " annotations are longer than the format's 40 bytes: cut");
    if (edf.close() != 0)
        return fail(ErrorKind::system, "the file cannot be finished", path, "is the disk full?");
    report->files.push_back(path);
    return {};
}

namespace {

Status write_rates(SessionSource& sessions, const ExportOptions& options, const std::string& path,
                   ExportReport* report) {
    auto session = sessions.open(0);
    if (!session) return tl::make_unexpected(session.error());
    const auto& streams = (*session)->streams();
    std::map<std::pair<uint32_t, uint32_t>, std::vector<int>> by_rate;
    for (const int index : stored_streams(**session)) {
        const StreamInfo& info = streams[size_t(index)].info;
        const uint32_t common = std::gcd(info.rate_num, info.rate_den);
        by_rate[{info.rate_num / common, info.rate_den / common}].push_back(index);
    }
    if (by_rate.empty()) return fail(ErrorKind::usage, "the session holds no samples", (*session)->path());
    size_t done = 0;
    for (const auto& [rate, indices] : by_rate) {
        std::string file = path;
        if (by_rate.size() > 1) {
            std::string names;
            for (const int index : indices)
                names += "_" + file_safe(streams[size_t(index)].info.name);
            file = stem_of(path) + names + (options.format == "bdf" ? ".bdf" : ".edf");
        }
        const auto part = [&](double share) {
            return !options.progress || options.progress((double(done) + share) / double(by_rate.size()));
        };
        if (auto status =
                write_edf_file(**session, indices, options.format == "bdf", file, part, report, nullptr);
            !status)
            return status;
        ++done;
    }
    return {};
}

}  // namespace

ExportFormat edf_format() {
    return {"edf", "EDF+ (16 bits), one file per sampling rate", ".edf", false, {}, write_rates};
}
ExportFormat bdf_format() {
    return {"bdf", "BDF+ (24 bits), one file per sampling rate", ".bdf", false, {}, write_rates};
}

}  // namespace lockstep::storage
