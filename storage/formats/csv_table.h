// A table of text: its separator, names and units, and what options or a description in JSON
// (docs/exports.md) say of its columns.
#pragma once

#include <string>
#include <vector>

#include "storage/formats/import_text.h"

namespace lockstep::storage {

struct Table {
    std::vector<std::string> names;
    std::vector<std::string> units;  // a second row without numbers; empty when there is none
    char separator = ',';
    uint64_t first_line = 0;  // lines before the first row
    bool arff = false;
    std::vector<std::string> first;  // cells of the first row
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
    bool dates = false;    // times are ISO 8601 dates
    bool zoned = false;    // ... with their zone
    bool even = false;     // times are so even that they show every lost row
    int label = -1;
    int counter = -1;  // the sample counter of this program's own tables
    std::vector<Group> groups;
};

// The number in a cell; where cells are not parted by commas, a comma may stand for the point.
bool cell_number(const Table& table, const std::string& text, double* out);

Result<Table> read_head(const std::string& source);
Result<Description> describe(const std::string& source, const Table& table, const ImportOptions& options);

// One row's fields, or the reason why it is none.
enum class Row { data, end, bad };
Row next_row(Lines& lines, const Table& table, std::vector<std::string>* fields);
void skip_head(Lines& lines, const Table& table);

}  // namespace lockstep::storage
