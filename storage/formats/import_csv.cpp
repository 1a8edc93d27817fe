// Plain CSV (also with ';' or tabs) and Weka's ARFF. What the file does not say itself - the rate, units,
// which columns belong together - comes from options or from a description in JSON (docs/exports.md).
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>

#include "storage/formats/csv_table.h"
#include "storage/formats/iso_time.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {
namespace {

bool matches(const std::string& source, const std::string& head) {
    if (head.empty()) return false;
    const std::string extension = lower(std::filesystem::path(source).extension().string());
    if (extension != ".csv" && extension != ".tsv" && extension != ".txt" && extension != ".arff")
        return false;
    return head.find('\0') == std::string::npos;
}

struct Column {
    bool numeric = true;
    bool whole = true;
    double low = std::numeric_limits<double>::max();
    double high = std::numeric_limits<double>::lowest();
};

// How far rows are apart: counted and added up by size, eight sizes to an octave, so that the usual step is
// known where a recording has pauses, without keeping every step.
class Steps {
  public:
    void add(double step) {
        const double size = step > 0 ? 8 * std::log2(step) + kSizes / 2.0 : 0;
        Size& s = sizes_[size_t(std::clamp(size, 0.0, kSizes - 1.0))];
        ++s.count;
        s.sum += step;
        ++all_;
    }
    // The mean step of the size that the middle one has.
    double usual() const {
        uint64_t below = 0;
        for (const Size& s : sizes_) {
            below += s.count;
            if (s.count > 0 && 2 * below >= all_) return s.sum / double(s.count);
        }
        return 0;
    }
    // Mean of all steps that are no longer than `longest`; 0 when there are none.
    double mean(double longest) const { return part(-1, longest).mean(); }
    // Do nearly all steps have one length? Then a longer one is a loss, not a late stamp.
    bool even() const {
        const double step = usual();
        return step > 0 && double(part(0.75 * step, 1.33 * step).count) >= 0.99 * double(all_);
    }

  private:
    static constexpr int kSizes = 2048;
    struct Size {
        uint64_t count = 0;
        double sum = 0;
        double mean() const { return count > 0 ? sum / double(count) : 0; }
    };
    Size part(double shortest, double longest) const {
        Size found;
        for (const Size& s : sizes_)
            if (s.count > 0 && s.mean() <= longest && (shortest < 0 || s.mean() >= shortest)) {
                found.count += s.count;
                found.sum += s.sum;
            }
        return found;
    }
    std::vector<Size> sizes_ = std::vector<Size>(kSizes);
    uint64_t all_ = 0;
};

struct Survey {
    std::vector<Column> columns;
    uint64_t rows = 0;
    int64_t first_date = 0;  // of dates; times count from it
    double first_time = 0;
    double last_time = 0;
    double first_count = 0;  // of the sample counter
    double last_count = 0;
    Steps steps;
};

// The time in a cell, as its column has it: a number, or seconds since the first date.
Status cell_time(const Table& table, const Description& d, const std::string& text, const Lines& lines,
                 int64_t first_date, double* out) {
    if (trimmed(text).empty()) return fail(ErrorKind::usage, "a time is missing", lines.where());
    if (!d.dates) {
        if (cell_number(table, text, out)) return {};
        return fail(ErrorKind::usage, "\"" + trimmed(text) + "\" is no number, as the times before it are",
                    lines.where());
    }
    int64_t date = 0;
    bool zoned = false;
    if (!parse_iso_time(text, &date, &zoned))
        return fail(ErrorKind::usage, "\"" + trimmed(text) + "\" is no date and time, as those before it are",
                    lines.where());
    if (zoned != d.zoned)
        return fail(
            ErrorKind::usage,
            "\"" + trimmed(text) + "\" has " + (zoned ? "a" : "no") + " time zone, unlike the first row",
            lines.where());
    *out = double(date - first_date) * 1e-9;
    return {};
}

Result<Survey> survey(const std::string& source, const Table& table, const Description& d) {
    Survey s;
    s.columns.resize(table.names.size());
    bool zoned = false;
    if (d.dates) (void)parse_iso_time(table.first[size_t(d.time)], &s.first_date, &zoned);
    Lines lines(source);
    skip_head(lines, table);
    std::vector<std::string> fields;
    for (;;) {
        const Row row = next_row(lines, table, &fields);
        if (row == Row::end) break;
        if (row == Row::bad)
            return fail(ErrorKind::usage,
                        "has " + std::to_string(fields.size()) + " fields, the first line " +
                            std::to_string(table.names.size()),
                        lines.where());
        for (size_t c = 0; c < fields.size(); ++c) {
            Column& column = s.columns[c];
            double value = 0;
            if (int(c) == d.time) {
                if (auto status = cell_time(table, d, fields[c], lines, s.first_date, &value); !status)
                    return tl::make_unexpected(status.error());
                if (s.rows == 0) s.first_time = value;
                if (s.rows > 0) s.steps.add(value - s.last_time);
                s.last_time = value;
            } else if (trimmed(fields[c]).empty() || lower(trimmed(fields[c])) == "nan") {
                column.whole = false;
            } else if (!cell_number(table, fields[c], &value)) {
                column.numeric = false;
            } else {
                column.whole = column.whole && value == std::round(value);
                column.low = std::min(column.low, value);
                column.high = std::max(column.high, value);
                if (int(c) == d.counter) {
                    if (s.rows == 0) s.first_count = value;
                    s.last_count = value;
                }
            }
        }
        ++s.rows;
    }
    if (s.rows == 0) return fail(ErrorKind::usage, "holds no rows", source);
    return s;
}

SampleType type_of(const Group& group, const Survey& s) {
    SampleType type = SampleType::int16;
    for (const int c : group.columns) {
        const Column& column = s.columns[size_t(c)];
        if (!column.whole || column.low < -2147483648.0 || column.high > 2147483647.0)
            return SampleType::float32;
        if (column.low < -32768 || column.high > 32767) type = SampleType::int32;
    }
    return type;
}

Status emit(const std::string& source, const Table& table, const Description& d,
            const std::vector<SampleType>& types, const Survey& s, const ImportOptions& options,
            ImportSink* sink) {
    std::vector<Timeline> timelines;
    std::vector<std::vector<int32_t>> counts(d.groups.size());
    for (size_t g = 0; g < d.groups.size(); ++g)
        timelines.emplace_back(sink, int(g), d.rate, d.groups[g].columns.size(),
                               d.even ? 0.75 / d.rate : std::max(0.5, 5 / d.rate));
    // Even times, as this program's own, show every lost sample; other clocks jitter.
    const double back = std::max(0.5, 5 / d.rate);
    double latest = 0;
    const double slack = d.even ? 0.75 / d.rate : std::max(0.05, 2 / d.rate);
    Lines lines(source);
    skip_head(lines, table);
    std::vector<std::string> fields;
    std::string label;
    double label_start = 0;
    double block_time = 0;
    double time = 0;
    uint64_t held = 0;
    const auto flush = [&]() -> Status {
        for (size_t g = 0; held > 0 && g < counts.size(); ++g) {
            if (auto status = timelines[g].add(block_time, counts[g]); !status) return status;
            counts[g].clear();
        }
        held = 0;
        return {};
    };
    for (uint64_t row = 0; next_row(lines, table, &fields) == Row::data; ++row) {
        double now = double(row) / d.rate;
        if (d.time >= 0) {
            double value = 0;
            if (auto status = cell_time(table, d, fields[size_t(d.time)], lines, s.first_date, &value);
                !status)
                return status;
            value = (value - s.first_time) * d.time_unit;
            // Senders stamp a batch late now and then; more than that is another clock or another order.
            if (value < latest - back)
                return fail(ErrorKind::usage,
                            "the time goes back by " + number_text(float(latest - value)) + " s",
                            lines.where(), "sort the rows by time, or import the parts one by one");
            latest = std::max(latest, value);
            now = std::max(0.0, value);
            // A block ends where its rows no longer follow each other at the rate.
            if (held > 0 && std::fabs(now - (block_time + double(held) / d.rate)) > slack)
                if (auto status = flush(); !status) return status;
        }
        time = now;
        if (held == 0) block_time = now;
        for (size_t g = 0; g < d.groups.size(); ++g)
            for (const int c : d.groups[g].columns) {
                double value = std::numeric_limits<double>::quiet_NaN();
                (void)cell_number(table, fields[size_t(c)], &value);
                counts[g].push_back(types[g] == SampleType::float32 ? float_bits(float(value))
                                                                    : int32_t(value));
            }
        if (++held == 256)
            if (auto status = flush(); !status) return status;
        if (d.label >= 0) {
            const std::string name = trimmed(fields[size_t(d.label)]);
            if (name != label) {
                if (auto status = sink->label(label_start, now, label); !status) return status;
                label = name;
                label_start = now;
            }
        }
        if (row % 8192 == 0 && options.progress && !options.progress(lines.done()))
            return fail(ErrorKind::usage, "stopped");
    }
    if (!lines.whole() && fields.size() != table.names.size())
        sink->note("the last line is cut off and was left out");
    if (auto status = flush(); !status) return status;
    return sink->label(label_start, time + 1 / d.rate, label);
}

Status read(const std::string& source, const ImportOptions& options, ImportSink* sink) {
    auto table = read_head(source);
    if (!table) return tl::make_unexpected(table.error());
    auto d = describe(source, *table, options);
    if (!d) return tl::make_unexpected(d.error());
    double number = 0;
    if (d->time >= 0 && !d->dates && !cell_number(*table, table->first.at(size_t(d->time)), &number)) {
        const std::string told =
            "the column " + table->names[size_t(d->time)] + " holds no numbers and no dates";
        if (d->rate == 0)
            return fail(ErrorKind::usage, told, source,
                        "times are numbers or like 2024-05-01T10:00:00.25Z; or give the option rate");
        sink->note(told + " and is not used as time");
        d->time = -1;
    }
    auto s = survey(source, *table, *d);
    if (!s) return tl::make_unexpected(s.error());
    int64_t start = 0;
    if (d->time >= 0) {
        const double counted = s->last_count - s->first_count;
        const double steps = d->counter >= 0 && counted > 0 ? counted : double(s->rows) - 1;
        double per_row = steps > 0 ? (s->last_time - s->first_time) / steps : 0;
        if (d->dates) d->time_unit = 1;
        if (d->time_unit == 0) {
            const double t = s->first_time;
            d->time_unit = t > 1e17 ? 1e-9 : t > 1e14 ? 1e-6 : t > 1e11 || per_row >= 1 ? 1e-3 : 1.0;
            sink->note(std::string("the time column is taken as ") + (d->time_unit == 1      ? "seconds"
                                                                      : d->time_unit == 1e-3 ? "milliseconds"
                                                                      : d->time_unit == 1e-6
                                                                          ? "microseconds"
                                                                          : "nanoseconds"));
        }
        // What emit() takes for a pause does not make the rate lower.
        const double usual = s->steps.usual();
        const bool even = s->steps.even();
        if (d->counter < 0)
            per_row = s->steps.mean(even ? 1.33 * usual : std::max(0.5 / d->time_unit, 5 * usual));
        if (d->rate == 0 && per_row > 0) {
            d->rate = 1 / (per_row * d->time_unit);
            // Three digits more than a clock's error would leave.
            d->rate = d->rate > 10 ? std::round(d->rate * 100) / 100 : std::round(d->rate * 10000) / 10000;
            sink->note("the rate is measured from the time column: " + number_text(d->rate) + " Hz");
        }
        // A rate that somebody gave may not be the clock's: then steps tell nothing of losses.
        d->even = d->counter >= 0 || (even && std::fabs(d->rate * per_row * d->time_unit - 1) < 1e-4);
        const double unix_seconds = s->first_time * d->time_unit;
        if (d->dates) {
            start = s->first_date;
            if (!d->zoned) sink->note("the dates have no time zone; taken as UTC");
        } else if (unix_seconds > 1e8 && unix_seconds < 8e9) {
            start = int64_t(std::llround(unix_seconds * 1e6)) * 1000;
        }
    }
    if (!(d->rate > 0))
        return fail(ErrorKind::usage, "does not say its sampling rate", source,
                    "give the option rate, or name the time column");
    std::vector<StreamInfo> streams;
    std::vector<SampleType> types;
    for (auto group = d->groups.begin(); group != d->groups.end();) {
        std::vector<int> numeric;
        for (const int c : group->columns) {
            if (s->columns[size_t(c)].numeric)
                numeric.push_back(c);
            else
                sink->note("the column " + table->names[size_t(c)] + " holds no numbers and was left out");
        }
        group->columns = numeric;
        if (numeric.empty()) {
            group = d->groups.erase(group);
            continue;
        }
        if (group->kind.empty()) group->kind = guess_kind(table->names[size_t(numeric.front())], "");
        types.push_back(type_of(*group, *s));
        streams.push_back(make_stream(group->name, group->kind, types.back(), d->rate));
        for (size_t i = 0; i < numeric.size(); ++i)
            add_channel(&streams.back(), table->names[size_t(numeric[i])],
                        i < group->units.size() ? group->units[i] : "", float(group->scale));
        ++group;
    }
    if (streams.empty()) return fail(ErrorKind::usage, "has no column of numbers", source);
    if (auto status = sink->begin("CSV file", start, std::move(streams)); !status) return status;
    return emit(source, *table, *d, types, *s, options, sink);
}

OptionInfo option_info(const char* name, const char* text) {
    OptionInfo info;
    info.name = name;
    info.text = text;
    return info;
}

}  // namespace

ImportFormat csv_import() {
    return {"csv",
            "CSV or ARFF with a small description",
            {option_info("rate", "Samples per second (otherwise from the time column)"),
             option_info("time", "Name of the time column"), option_info("time_unit", "s, ms, us or ns"),
             option_info("label", "Name of the label column"), option_info("kind", "eeg, imu, ppg, gsr ..."),
             option_info("unit", "Unit of all columns"),
             option_info("description", "JSON file that describes the columns"), label_file_option()},
            matches,
            read};
}

}  // namespace lockstep::storage
