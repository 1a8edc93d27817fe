// Plain CSV (also with ';' or tabs) and Weka's ARFF. What the file does not say itself - the rate, units,
// which columns belong together - comes from options or from a description in JSON (docs/exports.md).
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "storage/formats/import_text.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {
namespace {

using json = nlohmann::json;

bool matches(const std::string& source, const std::string& head) {
    if (head.empty()) return false;
    const std::string extension = lower(std::filesystem::path(source).extension().string());
    if (extension != ".csv" && extension != ".tsv" && extension != ".txt" && extension != ".arff")
        return false;
    return head.find('\0') == std::string::npos;
}

struct Table {
    std::vector<std::string> names;
    std::vector<std::string> units;  // a second row without numbers; empty when there is none
    char separator = ',';
    uint64_t first_line = 0;  // lines before the first row
    bool arff = false;
};

struct Group {  // of columns: a stream
    std::string name = "signals";
    std::string kind;
    std::vector<int> columns;
    std::vector<std::string> units;
    double scale = 1;
};

struct Description {
    double rate = 0;
    int time = -1;
    double time_unit = 0;  // seconds per unit, 0 = to be guessed
    int label = -1;
    int counter = -1;  // the sample counter of this program's own tables
    std::vector<Group> groups;
};

struct Column {
    bool numeric = true;
    bool whole = true;
    double low = std::numeric_limits<double>::max();
    double high = std::numeric_limits<double>::lowest();
};

char find_separator(const std::string& line) {
    char best = ',';
    for (const char c : {',', ';', '\t'})
        if (std::count(line.begin(), line.end(), c) > std::count(line.begin(), line.end(), best)) best = c;
    return best;
}

// The number in a cell; where cells are not parted by commas, a comma may stand for the point.
bool cell_number(const Table& table, const std::string& text, double* out) {
    if (parse_number(text, out)) return true;
    const size_t comma = text.find(',');
    if (table.separator == ',' || comma == std::string::npos) return false;
    std::string point = text;
    point[comma] = '.';
    return parse_number(point, out);
}

// A row of units under the names: words or nothing in every cell.
bool is_units(const Table& table, const std::vector<std::string>& cells) {
    bool words = false;
    for (const std::string& cell : cells) {
        double number = 0;
        const std::string text = lower(trimmed(cell));
        if (cell_number(table, text, &number) || text == "nan" || text == "na" || text == "n/a") return false;
        words = words || !text.empty();
    }
    return words && cells.size() == table.names.size();
}

Result<Table> read_head(const std::string& source) {
    Table table;
    Lines lines(source);
    std::string line;
    while (lines.next(&line)) {
        const std::string text = trimmed(line);
        if (text.empty() || text[0] == '%' || text[0] == '#') continue;
        const std::string start = lower(text.substr(0, 10));
        if (start.rfind("@relation", 0) == 0) {
            table.arff = true;
        } else if (start == "@attribute") {
            std::string rest = trimmed(text.substr(10));
            const char quote = !rest.empty() && (rest[0] == '\'' || rest[0] == '"') ? rest[0] : ' ';
            const size_t end =
                rest.find_first_of(quote == ' ' ? " \t" : std::string(1, quote), quote == ' ' ? 0 : 1);
            table.names.push_back(rest.substr(quote == ' ' ? 0 : 1,
                                              end == std::string::npos ? end : end - (quote == ' ' ? 0 : 1)));
        } else if (start.rfind("@data", 0) == 0) {
            table.first_line = lines.number();
            return table;
        } else if (table.arff) {
            return fail(ErrorKind::usage, "neither an attribute nor the data", lines.where());
        } else {
            table.separator = find_separator(line);
            std::vector<std::string> fields = csv_split(line, table.separator);
            bool words = false;
            for (std::string& field : fields) {
                double number = 0;
                field = trimmed(field);
                words = words || (!field.empty() && !cell_number(table, field, &number));
            }
            if (words) {
                table.first_line = lines.number();
                table.names = fields;
                if (lines.next(&line)) {
                    const std::vector<std::string> second = csv_split(line, table.separator);
                    if (is_units(table, second)) {
                        table.first_line = lines.number();
                        for (const std::string& unit : second)
                            table.units.push_back(trimmed(unit));
                    }
                }
            } else {
                table.first_line = lines.number() - 1;
                for (size_t i = 0; i < fields.size(); ++i)
                    table.names.push_back("column" + std::to_string(i + 1));
            }
            return table;
        }
    }
    return fail(ErrorKind::usage, lines.failed() ? "a line longer than 1 MiB" : "holds no rows", source);
}

int find_column(const Table& table, std::initializer_list<const char*> names) {
    for (const char* name : names)
        for (size_t i = 0; i < table.names.size(); ++i)
            if (lower(table.names[i]) == name) return int(i);
    return -1;
}

Result<int> named_column(const Table& table, const std::string& name, const char* option_name) {
    for (size_t i = 0; i < table.names.size(); ++i)
        if (table.names[i] == name) return int(i);
    return fail(ErrorKind::usage, "has no column \"" + name + "\"", option_name);
}

Result<double> unit_seconds(const std::string& unit) {
    if (unit.empty()) return 0.0;
    if (unit == "s") return 1.0;
    if (unit == "ms") return 1e-3;
    if (unit == "us") return 1e-6;
    if (unit == "ns") return 1e-9;
    return fail(ErrorKind::usage, "\"" + unit + "\" is no unit of time", "time_unit",
                "one of: s, ms, us, ns");
}

Result<Description> describe(const std::string& source, const Table& table, const ImportOptions& options) {
    Description d;
    json j = json::object();
    std::string path = options.value("description");
    std::error_code error;
    if (path.empty() && std::filesystem::exists(source + ".json", error)) path = source + ".json";
    if (!path.empty()) {
        std::ifstream file(path);
        j = json::parse(file, nullptr, false);
        if (!j.is_object()) return fail(ErrorKind::usage, "is no JSON object", path, "see docs/exports.md");
    }
    const auto text = [&](const char* key) {
        if (!options.value(key).empty()) return options.value(key);
        return j.contains(key) && j[key].is_string() ? j[key].get<std::string>() : std::string();
    };
    if (!options.value("rate").empty() && !parse_number(options.value("rate"), &d.rate))
        return fail(ErrorKind::usage, "\"" + options.value("rate") + "\" is no number", "rate");
    if (d.rate == 0 && j.contains("rate") && j["rate"].is_number()) d.rate = j["rate"].get<double>();
    if (d.rate < 0 || d.rate > 1e7) return fail(ErrorKind::usage, "a rate that cannot be", "rate");

    d.time = find_column(table, {"time", "timestamp", "timer", "time_s", "t"});
    d.label = find_column(table, {"label", "class", "annotation", "eyedetection"});
    if (const std::string name = text("time"); !name.empty()) {
        auto column = named_column(table, name, "time");
        if (!column) return tl::make_unexpected(column.error());
        d.time = *column;
    }
    if (const std::string name = text("label"); !name.empty()) {
        auto column = named_column(table, name, "label");
        if (!column) return tl::make_unexpected(column.error());
        d.label = *column;
    }
    auto unit = unit_seconds(text("time_unit"));
    if (!unit) return tl::make_unexpected(unit.error());
    d.time_unit = *unit;
    const auto unit_of = [&](int column) {
        return column >= 0 && size_t(column) < table.units.size() ? table.units[size_t(column)]
                                                                  : std::string();
    };
    if (auto told = unit_seconds(unit_of(d.time)); told && d.time_unit == 0) d.time_unit = *told;
    const bool own = table.names.size() > 3 && table.names[0] == "time" && table.names[1] == "segment" &&
                     table.names[2] == "sample" && !table.units.empty();
    if (own && d.time == 0) d.counter = 2;

    if (j.contains("streams")) {
        if (!j["streams"].is_array()) return fail(ErrorKind::usage, "is no list", path + ": streams");
        for (const json& s : j["streams"]) {
            Group group;
            if (!s.is_object() || !s.contains("columns") || !s["columns"].is_array())
                return fail(ErrorKind::usage, "a stream without a list of columns", path);
            if (s.contains("name") && s["name"].is_string()) group.name = s["name"].get<std::string>();
            if (s.contains("kind") && s["kind"].is_string()) group.kind = s["kind"].get<std::string>();
            if (s.contains("scale") && s["scale"].is_number()) group.scale = s["scale"].get<double>();
            for (const json& name : s["columns"]) {
                if (!name.is_string()) return fail(ErrorKind::usage, "a column that is no name", path);
                auto column = named_column(table, name.get<std::string>(), "streams");
                if (!column) return tl::make_unexpected(column.error());
                group.columns.push_back(*column);
            }
            if (s.contains("unit") && s["unit"].is_string())
                group.units.assign(group.columns.size(), s["unit"].get<std::string>());
            else
                for (const int column : group.columns)
                    group.units.push_back(unit_of(column));
            d.groups.push_back(std::move(group));
        }
    } else {
        Group group;
        for (size_t i = 0; i < table.names.size(); ++i)
            if (int(i) != d.time && int(i) != d.label && (d.counter < 0 || i > 2))
                group.columns.push_back(int(i));
        group.kind = text("kind");
        for (const int column : group.columns)
            group.units.push_back(text("unit").empty() ? unit_of(column) : text("unit"));
        d.groups.push_back(std::move(group));
    }
    return d;
}

struct Survey {
    std::vector<Column> columns;
    uint64_t rows = 0;
    double first_time = 0;
    double last_time = 0;
    double first_count = 0;  // of the sample counter
    double last_count = 0;
};

// One row's fields, or the reason why it is none.
enum class Row { data, end, bad };
Row next_row(Lines& lines, const Table& table, std::vector<std::string>* fields) {
    std::string line;
    while (lines.next(&line)) {
        if (trimmed(line).empty() || line[0] == '%' || line[0] == '#') continue;
        *fields = csv_split(line, table.separator);
        if (fields->size() == table.names.size()) return Row::data;
        return lines.whole() ? Row::bad : Row::end;
    }
    return lines.failed() ? Row::bad : Row::end;
}

void skip_head(Lines& lines, const Table& table) {
    std::string line;
    while (lines.number() < table.first_line && lines.next(&line)) {
    }
}

Result<Survey> survey(const std::string& source, const Table& table, const Description& d) {
    Survey s;
    s.columns.resize(table.names.size());
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
            if (trimmed(fields[c]).empty() || lower(trimmed(fields[c])) == "nan") {
                column.whole = false;
            } else if (!cell_number(table, fields[c], &value)) {
                column.numeric = false;
            } else {
                column.whole = column.whole && value == std::round(value);
                column.low = std::min(column.low, value);
                column.high = std::max(column.high, value);
                if (int(c) == d.time) {
                    if (s.rows == 0) s.first_time = value;
                    s.last_time = value;
                }
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
                               d.counter >= 0 ? 0.75 / d.rate : std::max(0.5, 5 / d.rate));
    // This program's own times show every lost sample; other clocks jitter.
    const double slack = d.counter >= 0 ? 0.75 / d.rate : std::max(0.05, 2 / d.rate);
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
            if (!cell_number(table, fields[size_t(d.time)], &value))
                return fail(ErrorKind::usage, "a time that is no number", lines.where());
            now = std::max(0.0, (value - s.first_time) * d.time_unit);
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
    auto s = survey(source, *table, *d);
    if (!s) return tl::make_unexpected(s.error());
    if (d->time >= 0 && !s->columns[size_t(d->time)].numeric) {
        sink->note("the column " + table->names[size_t(d->time)] +
                   " holds no numbers and is not used as time");
        d->time = -1;
    }
    int64_t start = 0;
    if (d->time >= 0) {
        const double counted = s->last_count - s->first_count;
        const double steps = d->counter >= 0 && counted > 0 ? counted : double(s->rows) - 1;
        const double per_row = steps > 0 ? (s->last_time - s->first_time) / steps : 0;
        if (d->time_unit == 0) {
            d->time_unit = s->first_time > 1e11 || per_row >= 1 ? 1e-3 : 1.0;
            sink->note(std::string("the time column is taken as ") +
                       (d->time_unit == 1 ? "seconds" : "milliseconds"));
        }
        if (d->rate == 0 && per_row > 0) {
            d->rate = 1 / (per_row * d->time_unit);
            // Three digits more than a clock's error would leave.
            d->rate = d->rate > 10 ? std::round(d->rate * 100) / 100 : std::round(d->rate * 10000) / 10000;
            sink->note("the rate is measured from the time column: " + number_text(d->rate) + " Hz");
        }
        const double unix_seconds = s->first_time * d->time_unit;
        if (unix_seconds > 1e8 && unix_seconds < 8e9)
            start = int64_t(std::llround(unix_seconds * 1e6)) * 1000;
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
