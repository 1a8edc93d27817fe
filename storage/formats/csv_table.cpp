#include "storage/formats/csv_table.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "storage/formats/iso_time.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {

using json = nlohmann::json;

bool cell_number(const Table& table, const std::string& text, double* out) {
    if (parse_number(text, out)) return true;
    const size_t comma = text.find(',');
    if (table.separator == ',' || comma == std::string::npos) return false;
    std::string point = text;
    point[comma] = '.';
    return parse_number(point, out);
}

namespace {

char find_separator(const std::string& line) {
    char best = ',';
    for (const char c : {',', ';', '\t'})
        if (std::count(line.begin(), line.end(), c) > std::count(line.begin(), line.end(), best)) best = c;
    return best;
}

// A row of units under the names: words or nothing in every cell.
bool is_units(const Table& table, const std::vector<std::string>& cells) {
    bool words = false;
    for (const std::string& cell : cells) {
        double number = 0;
        const std::string text = lower(trimmed(cell));
        int64_t date = 0;
        bool zoned = false;
        if (cell_number(table, text, &number) || parse_iso_time(text, &date, &zoned) || text == "nan" ||
            text == "na" || text == "n/a")
            return false;
        words = words || !text.empty();
    }
    return words && cells.size() == table.names.size();
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
    std::string known;
    for (size_t i = 0; i < std::min<size_t>(table.names.size(), 20); ++i)
        known += (i > 0 ? ", " : "its columns are ") + table.names[i];
    return fail(ErrorKind::usage, "the table has no column \"" + name + "\"", option_name, known);
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

Result<Table> read_names(const std::string& source) {
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
                int64_t date = 0;
                bool zoned = false;
                field = trimmed(field);
                words = words || (!field.empty() && !cell_number(table, field, &number) &&
                                  !parse_iso_time(field, &date, &zoned));
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

}  // namespace

Result<Table> read_head(const std::string& source) {
    auto table = read_names(source);
    if (!table) return table;
    Lines lines(source);
    skip_head(lines, *table);
    (void)next_row(lines, *table, &table->first);
    table->first.resize(table->names.size());
    return table;
}

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

Result<Description> describe(const std::string& source, const Table& table, const ImportOptions& options) {
    Description d;
    json j = json::object();
    std::string path = options.value("description");
    std::error_code error;
    if (path.empty() && std::filesystem::exists(source + ".json", error)) path = source + ".json";
    if (!path.empty()) {
        std::ifstream file(path);
        if (!file) return fail(ErrorKind::usage, "the description cannot be read", path);
        j = json::parse(file, nullptr, false);
        if (!j.is_object()) return fail(ErrorKind::usage, "is no JSON object", path, "see docs/exports.md");
    }
    const auto text = [&](const char* key) {
        if (!options.value(key).empty()) return options.value(key);
        return j.contains(key) && j[key].is_string() ? j[key].get<std::string>() : std::string();
    };
    const std::string rate = options.value("rate");
    if (!rate.empty() && (!parse_number(rate, &d.rate) || !(d.rate > 0 && d.rate <= 1e7)))
        return fail(ErrorKind::usage, "\"" + rate + "\" is no sampling rate", "rate",
                    "give samples per second, without a unit");
    if (d.rate == 0 && j.contains("rate") && j["rate"].is_number()) d.rate = j["rate"].get<double>();
    if (d.rate < 0 || d.rate > 1e7) return fail(ErrorKind::usage, "a rate that cannot be", "rate");

    d.time = find_column(table, {"time", "timestamp", "timer", "time_s", "t", "datetime", "date"});
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
    int64_t date = 0;
    const auto is_date = [&](int c) {
        return c >= 0 && size_t(c) < table.first.size() &&
               parse_iso_time(table.first[size_t(c)], &date, &d.zoned);
    };
    // Of columns without such a name, the first that holds dates.
    for (int c = 0; d.time < 0 && c < int(table.names.size()); ++c)
        if (c != d.label && is_date(c)) d.time = c;
    d.dates = is_date(d.time);
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

}  // namespace lockstep::storage
