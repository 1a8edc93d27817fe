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

#include "storage/formats/edf_lock.h"
#include "storage/formats/exports.h"
#include "storage/formats/samples.h"

namespace lockstep::storage {

std::mutex& edf_lock() {
    static std::mutex mutex;
    return mutex;
}

namespace {

// How one channel's counts become the digits of a file.
struct Scaling {
    double middle = 0;  // value - middle, in steps, is the digit
    double step = 1;
    int digital_min = 0;
    int digital_max = 0;
    bool lossless = true;
};

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

double as_number(const StreamInfo& info, int32_t count) {
    if (info.type != SampleType::float32) return count;
    StreamInfo plain;
    plain.type = SampleType::float32;
    return double(physical(plain, 0, count));
}

bool direct(SampleType type, bool bdf) {
    return type == SampleType::int16 || (bdf && type == SampleType::int24);
}

// Reads the stream once when its values may not fit the file's digits as they are.
Result<std::vector<Scaling>> choose_scaling(SessionReader& session, int index, bool bdf) {
    const StreamInfo& info = session.streams()[size_t(index)].info;
    const int limit = bdf ? 8388607 : 32767;
    std::vector<Scaling> scaling(info.channels.size());
    if (direct(info.type, bdf)) {
        const int full = info.type == SampleType::int16 ? 32767 : 8388607;
        for (Scaling& s : scaling)
            s = {0, 1, -full - 1, full, true};
        return scaling;
    }
    std::vector<std::pair<double, double>> range(scaling.size(), {1e300, -1e300});
    auto status =
        for_rows(session, index, 8192, [&](uint64_t, uint64_t count, const int32_t* counts) -> Status {
            for (uint64_t i = 0; i < count; ++i)
                for (size_t c = 0; c < range.size(); ++c) {
                    const double value = as_number(info, counts[i * range.size() + c]);
                    if (!std::isfinite(value)) continue;
                    range[c].first = std::min(range[c].first, value);
                    range[c].second = std::max(range[c].second, value);
                }
            return {};
        });
    if (!status) return tl::make_unexpected(status.error());
    for (size_t c = 0; c < scaling.size(); ++c) {
        auto [low, high] = range[c];
        if (low > high) low = high = 0;
        Scaling& s = scaling[c];
        s.digital_min = -limit - 1;
        s.digital_max = limit;
        s.lossless = info.type != SampleType::float32 && high - low <= 2.0 * limit;
        s.middle = s.lossless ? std::floor((low + high) / 2) : (low + high) / 2;
        s.step = s.lossless ? 1 : std::max((high - low) / (2.0 * limit), 1e-30);
        if (s.lossless && low >= s.digital_min && high <= s.digital_max) s.middle = 0;
    }
    return scaling;
}

int digit(const Scaling& s, double value, int hold) {
    if (!std::isfinite(value)) return hold;
    const double steps = std::nearbyint((value - s.middle) / s.step);
    return int(std::clamp(steps, double(s.digital_min), double(s.digital_max)));
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
        edf_set_subsecond_starttime(handle, int(start % 1000000000 / 100));
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

}  // namespace

Status write_edf_file(SessionReader& session, const std::vector<int>& streams, bool bdf,
                      const std::string& path, ExportReport* report) {
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

    double origin = std::numeric_limits<double>::max();
    for (const int index : streams)
        origin = std::min(origin, row_time(all[size_t(index)], 0));
    std::vector<Grid> grids;
    std::vector<std::vector<Scaling>> scaling;
    size_t channels = 0;
    uint64_t length = 0;
    for (const int index : streams) {
        grids.emplace_back(all[size_t(index)], origin);
        auto chosen = choose_scaling(session, index, bdf);
        if (!chosen) return tl::make_unexpected(chosen.error());
        scaling.push_back(std::move(*chosen));
        channels += scaling.back().size();
        length = std::max(length, grids.back().size());
        for (size_t c = 0; c < scaling.back().size(); ++c)
            if (!scaling.back()[c].lossless)
                report->notes.push_back(
                    all[size_t(index)].info.name + "/" + all[size_t(index)].info.channels[c].name +
                    ": rounded to " + (bdf ? "24" : "16") + " bits, one step is " +
                    number_text(
                        float(scaling.back()[c].step * double(all[size_t(index)].info.channels[c].scale))) +
                    " " + all[size_t(index)].info.channels[c].unit);
    }
    const uint64_t records = (length + uint64_t(record.samples) - 1) / uint64_t(record.samples);

    // Holes first, so that a reader meets them in time order with the labels.
    std::vector<Annotation> annotations;
    uint64_t filled = 0;
    for (size_t s = 0; s < streams.size(); ++s) {
        const double rate = lead.rate();
        uint64_t end = 0;
        const auto hole = [&](uint64_t from, uint64_t to) {
            if (to <= from) return;
            annotations.push_back({double(from) / rate, double(to - from) / rate,
                                   "BAD_gap " + all[size_t(streams[s])].info.name});
            filled += to - from;
        };
        for (const auto& piece : grids[s].pieces()) {
            hole(end, piece.position);
            end = piece.position + piece.count;
        }
        hole(end, records * uint64_t(record.samples));
    }
    if (filled > 0)
        report->notes.push_back(std::to_string(filled) +
                                " samples were never received or fill the last record; they hold "
                                "the value before them and are annotated BAD_gap");
    auto current = current_labels(session);
    if (!current) return tl::make_unexpected(current.error());
    for (const Label& label : current->labels) {
        const double start = std::max(0.0, grids.front().seconds(label.start));
        const double stop = grids.front().seconds(label.stop);
        annotations.push_back(
            {start, label.stop > label.start ? std::max(0.0, stop - start) : -1, label.label_class});
    }
    std::stable_sort(annotations.begin(), annotations.end(),
                     [](const Annotation& a, const Annotation& b) { return a.start < b.start; });

    int handle = -1;
    {
        const std::lock_guard<std::mutex> held(edf_lock());
        handle = edfopen_file_writeonly(path.c_str(), bdf ? EDFLIB_FILETYPE_BDFPLUS : EDFLIB_FILETYPE_EDFPLUS,
                                        int(channels));
    }
    if (handle == EDFLIB_NUMBER_OF_SIGNALS_INVALID || handle == EDFLIB_TOO_MANY_SIGNALS)
        return fail(ErrorKind::usage,
                    std::to_string(channels) + " channels of one rate; the format holds 640", path);
    if (handle < 0) return fail(ErrorKind::system, "the file cannot be created", path);
    Edf edf(handle);

    int signal = 0;
    int problems = 0;
    for (size_t s = 0; s < streams.size(); ++s) {
        const StreamInfo& info = all[size_t(streams[s])].info;
        for (size_t c = 0; c < info.channels.size(); ++c, ++signal) {
            const ChannelInfo& channel = info.channels[c];
            const Scaling& k = scaling[s][c];
            const double gain = double(channel.scale) * k.step;
            double low = gain * k.digital_min + double(channel.scale) * k.middle + double(channel.offset);
            double high = gain * k.digital_max + double(channel.scale) * k.middle + double(channel.offset);
            if (!(std::fabs(high - low) > 0)) high = low + 1;
            problems += edf_set_samplefrequency(handle, signal, record.samples) != 0;
            problems += edf_set_digital_minimum(handle, signal, k.digital_min) != 0;
            problems += edf_set_digital_maximum(handle, signal, k.digital_max) != 0;
            problems += edf_set_physical_minimum(handle, signal, low) != 0;
            problems += edf_set_physical_maximum(handle, signal, high) != 0;
            edf_set_label(handle, signal, plain(channel.name, 16).c_str());
            edf_set_physical_dimension(handle, signal, plain(channel.unit, 8).c_str());
        }
    }
    problems += edf_set_datarecord_duration(handle, record.duration) != 0;
    const uint64_t tracks = records == 0 ? 1 : (annotations.size() + records - 1) / records + 1;
    edf_set_number_of_annotation_signals(handle, int(std::clamp<uint64_t>(tracks, 1, 64)));
    if (tracks > 64)
        report->notes.push_back("more annotations than the file can hold: the last ones are missing");
    if (problems > 0)
        return fail(ErrorKind::usage, "a channel's range does not fit the format", path, "try bdf or csv");
    set_header(handle, session, origin);

    std::vector<int32_t> counts;
    std::vector<int> digits(static_cast<size_t>(record.samples));
    for (uint64_t r = 0; r < records; ++r) {
        for (size_t s = 0; s < streams.size(); ++s) {
            const StreamInfo& info = all[size_t(streams[s])].info;
            const size_t width = info.channels.size();
            const uint64_t first = r * uint64_t(record.samples);
            if (auto status = grids[s].read(session, streams[s], first, uint64_t(record.samples), &counts);
                !status)
                return status;
            for (size_t c = 0; c < width; ++c) {
                int hold = 0;
                for (size_t i = 0; i < digits.size(); ++i)
                    hold = digits[i] = digit(scaling[s][c], as_number(info, counts[i * width + c]), hold);
                if (const int error = edfwrite_digital_samples(handle, digits.data()); error != 0)
                    return fail(
                        error == EDFLIB_DATARECORD_SIZE_TOO_BIG ? ErrorKind::usage : ErrorKind::system,
                        error == EDFLIB_DATARECORD_SIZE_TOO_BIG ? "too many channels and samples for one file"
                                                                : "the file cannot be written",
                        path, "is the disk full?");
            }
        }
    }
    for (const Annotation& a : annotations) {
        const auto length_units = a.length < 0 ? -1LL : std::llround(a.length * 1e4);
        edfwrite_annotation_utf8(handle, std::llround(a.start * 1e4), length_units, a.text.c_str());
    }
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
        if (auto status = write_edf_file(**session, indices, options.format == "bdf", file, report); !status)
            return status;
        if (options.progress && !options.progress(double(++done) / double(by_rate.size())))
            return fail(ErrorKind::usage, "stopped", path);
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
