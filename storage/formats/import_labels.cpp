#include <algorithm>
#include <filesystem>

#include "storage/formats/import_text.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {

OptionInfo label_file_option() {
    OptionInfo info;
    info.name = "labels";
    info.text = "CSV with the labels: start_s, stop_s, class (rows of other files or subjects are skipped)";
    return info;
}

Status read_label_file(const std::string& source, const ImportOptions& options, ImportSink* sink) {
    const std::string path = options.value("labels");
    if (path.empty()) return {};
    Lines lines(path);
    std::string line;
    if (!lines.ok() || !lines.next(&line)) return fail(ErrorKind::usage, "cannot be read", path);
    const std::vector<std::string> head = csv_split(line);
    const auto find = [&](std::initializer_list<const char*> names) {
        for (const char* name : names)
            for (size_t i = 0; i < head.size(); ++i)
                if (lower(trimmed(head[i])) == name) return int(i);
        return -1;
    };
    const int start = find({"start_s", "start", "onset"});
    const int stop = find({"stop_s", "end_s", "stop", "end"});
    const int name = find({"class", "label", "trial_type", "annotation"});
    const int file = find({"file"});
    const int subject = find({"subject"});
    const int channels = find({"channels", "channel"});
    if (start < 0 || name < 0)
        return fail(ErrorKind::usage, "needs the columns start_s and class", path,
                    "name them in the first line");
    const std::filesystem::path own = std::filesystem::path(source).lexically_normal();
    const std::string own_name =
        own.has_filename() ? own.filename().string() : own.parent_path().filename().string();
    uint64_t taken = 0;
    while (lines.next(&line)) {
        if (trimmed(line).empty()) continue;
        const std::vector<std::string> row = csv_split(line);
        const auto cell = [&](int column) {
            return column >= 0 && size_t(column) < row.size() ? trimmed(row[size_t(column)]) : std::string();
        };
        if (file >= 0 && cell(file) != own_name) continue;
        if (file < 0 && subject >= 0 && cell(subject) != own_name && cell(subject) != options.subject)
            continue;
        double t0 = 0;
        double t1 = 0;
        if (!parse_number(cell(start), &t0) || (!cell(stop).empty() && !parse_number(cell(stop), &t1)))
            return fail(ErrorKind::usage, "a time that is no number", lines.where());
        if (auto status = sink->label(t0, cell(stop).empty() ? t0 : t1, cell(name), cell(channels)); !status)
            return status;
        ++taken;
    }
    if (lines.failed()) return fail(ErrorKind::usage, "a line longer than 1 MiB", lines.where());
    if (taken == 0) sink->note("no row of " + path + " is about " + own_name);
    return {};
}

}  // namespace lockstep::storage
