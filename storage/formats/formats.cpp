#include "storage/formats/formats.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "storage/formats/deidentify.h"
#include "storage/formats/exports.h"
#include "storage/formats/import.h"
#include "storage/formats/imports.h"
#include "storage/reader.h"

namespace lockstep::storage {

namespace fs = std::filesystem;

const std::vector<ExportFormat>& export_formats() {
    static const std::vector<ExportFormat> formats = {
        edf_format(),     bdf_format(), csv_format(), bids_format(),
        dataset_format(), xdf_format(), nwb_format(), mat_format(),
    };
    return formats;
}

const std::vector<ImportFormat>& import_formats() {
    static const std::vector<ImportFormat> formats = {
        edf_import(), xdf_import(), openbci_import(), e4_import(), emotibit_import(), csv_import(),
    };
    return formats;
}

std::string stem_of(const std::string& path) {
    return (fs::path(path).parent_path() / fs::path(path).stem()).string();
}

namespace {

class OpenedInTurn : public SessionSource {
  public:
    OpenedInTurn(std::vector<std::string> paths, OpenSession open)
        : paths_(std::move(paths)), open_(std::move(open)) {}
    size_t size() const override { return paths_.size(); }
    Result<std::unique_ptr<SessionReader>> open(size_t index) override { return open_(paths_[index]); }

  private:
    std::vector<std::string> paths_;
    OpenSession open_;
};

// A new folder beside the output, where the files are made; gone with everything in it unless kept.
class Workshop {
  public:
    static Result<std::unique_ptr<Workshop>> make(const fs::path& output) {
        std::error_code error;
        const fs::path parent = output.has_parent_path() ? output.parent_path() : fs::path(".");
        fs::create_directories(parent, error);
        for (int i = 0; i < 100; ++i) {
            const fs::path path = parent / ("." + output.filename().string() + ".part" + std::to_string(i));
            if (fs::create_directory(path, error)) return std::unique_ptr<Workshop>(new Workshop(path));
            if (error) break;
        }
        return fail(ErrorKind::system, "nothing can be written there" + (error ? ": " + error.message() : ""),
                    parent.string(), "choose another output");
    }
    ~Workshop() {
        std::error_code error;
        fs::remove_all(path_, error);
    }
    Workshop(const Workshop&) = delete;
    Workshop& operator=(const Workshop&) = delete;

    fs::path path() const { return path_; }

    // Moves everything beside the output. Looks at all names first: nothing is ever replaced.
    Status keep(const fs::path& parent, ExportReport* report) {
        std::error_code error;
        std::vector<fs::path> made;
        for (const auto& entry : fs::directory_iterator(path_, error))
            made.push_back(entry.path());
        std::sort(made.begin(), made.end());
        for (const fs::path& path : made) {
            const fs::path to = parent / path.filename();
            if (fs::exists(to, error) && !(fs::is_directory(to, error) && fs::is_empty(to, error)))
                return fail(ErrorKind::usage, "exists already", to.string(),
                            "remove it or choose another output");
        }
        for (const fs::path& path : made) {
            fs::rename(path, parent / path.filename(), error);
            if (error)
                return fail(ErrorKind::system, "cannot be put in place: " + error.message(),
                            (parent / path.filename()).string());
        }
        for (std::string& file : report->files)
            file = (parent / fs::path(file).lexically_relative(path_)).string();
        return {};
    }

  private:
    explicit Workshop(fs::path path) : path_(std::move(path)) {}
    fs::path path_;
};

const ExportFormat* find_format(const std::string& name) {
    for (const ExportFormat& format : export_formats())
        if (name == format.name) return &format;
    return nullptr;
}

template <typename Formats>
std::string names_of(const Formats& formats) {
    std::string names;
    for (const auto& format : formats)
        names += (names.empty() ? "" : ", ") + std::string(format.name);
    return names;
}

template <typename Format>
Status check_values(const Format& format, const std::map<std::string, std::string>& values) {
    for (const auto& [name, value] : values) {
        const OptionInfo* known = nullptr;
        for (const OptionInfo& option : format.options)
            if (option.name == name) known = &option;
        if (known == nullptr)
            return fail(
                ErrorKind::usage, std::string("no option of the format ") + format.name, name,
                format.options.empty() ? "this format has no options" : "known: " + names_of(format.options));
        const auto& choices = known->choices;
        if (!choices.empty() && !value.empty() &&
            std::find(choices.begin(), choices.end(), value) == choices.end()) {
            std::string list;
            for (const std::string& choice : choices)
                list += (list.empty() ? "" : ", ") + choice;
            return fail(ErrorKind::usage, "\"" + value + "\" is no choice", name, "one of: " + list);
        }
    }
    return {};
}

Status write_all(const ExportFormat& format, SessionSource& sessions, const std::vector<std::string>& names,
                 const ExportOptions& options, const fs::path& output, ExportReport* report) {
    auto workshop = Workshop::make(output);
    if (!workshop) return tl::make_unexpected(workshop.error());
    const fs::path made = (*workshop)->path() / output.filename();
    if (format.many || sessions.size() == 1) {
        if (auto status = format.write(sessions, options, made.string(), report); !status) return status;
    } else {
        // One output a session, in a folder, named after the session.
        std::error_code error;
        fs::create_directory(made, error);
        std::set<std::string> used;
        for (size_t i = 0; i < sessions.size(); ++i) {
            // What the file was called may be a person's name.
            const std::string name =
                options.deidentify ? hidden_session_name(i) : fs::path(names[i]).stem().string();
            if (!used.insert(name).second)
                return fail(ErrorKind::usage, "two sessions of this name", name, "export them one by one");
            class One : public SessionSource {
              public:
                One(SessionSource& all, size_t index) : all_(all), index_(index) {}
                size_t size() const override { return 1; }
                Result<std::unique_ptr<SessionReader>> open(size_t) override { return all_.open(index_); }

              private:
                SessionSource& all_;
                size_t index_;
            } one(sessions, i);
            ExportOptions part = options;
            part.progress = [&](double done) {
                return !options.progress || options.progress((double(i) + done) / double(sessions.size()));
            };
            const size_t noted = report->notes.size();
            if (auto status = format.write(one, part, (made / (name + format.suffix)).string(), report);
                !status)
                return status;
            for (size_t n = noted; n < report->notes.size(); ++n)
                report->notes[n].insert(0, name + ": ");
        }
    }
    return (*workshop)->keep(output.has_parent_path() ? output.parent_path() : fs::path("."), report);
}

}  // namespace

Result<ExportReport> export_session(const std::vector<std::string>& sessions, const ExportOptions& options,
                                    const OpenSession& open) {
    const ExportFormat* format = find_format(options.format);
    if (format == nullptr)
        return fail(ErrorKind::usage, "unknown export format", options.format,
                    "known: " + names_of(export_formats()));
    if (sessions.empty()) return fail(ErrorKind::usage, "no session to export");
    if (options.output.empty()) return fail(ErrorKind::usage, "no output named");
    if (auto status = check_values(*format, options.values); !status)
        return tl::make_unexpected(status.error());
    if (options.shards > 0 && (options.shard < 1 || options.shard > options.shards))
        return fail(ErrorKind::usage, "a shard is K/N with K from 1 to N");
    if (options.shards > 0 && std::string("dataset") != format->name)
        return fail(ErrorKind::usage, "only a training dataset is made in shards", options.format,
                    "leave --shard out, or use --format dataset");
    fs::path output = fs::path(options.output).lexically_normal();
    if (!output.has_filename()) output = output.parent_path();
    // Other tools know these by their names' ends alone.
    for (const char* single : {"xdf", "nwb", "mat"})
        if (sessions.size() == 1 && format->name == std::string(single) && !output.has_extension())
            output += format->suffix;
    if (!output.has_filename() || output.filename() == "..")
        return fail(ErrorKind::usage, "names no file", options.output, "choose another output");
    std::error_code error;
    if (fs::exists(output, error) && !(fs::is_directory(output, error) && fs::is_empty(output, error)))
        return fail(ErrorKind::usage, "exists already", output.string(),
                    "remove it or choose another output");

    ExportReport report;
    std::unique_ptr<SessionSource> source = std::make_unique<OpenedInTurn>(sessions, open);
    if (options.deidentify) {
        auto hidden = deidentified(std::move(source), &report);
        if (!hidden) return tl::make_unexpected(hidden.error());
        source = std::move(*hidden);
    }
    if (auto status = write_all(*format, *source, sessions, options, output, &report); !status)
        return tl::make_unexpected(status.error());
    return report;
}

Result<std::vector<std::string>> import_session(const std::string& source, const std::string& session,
                                                const ImportOptions& options, const CreateSession& create) {
    std::error_code error;
    if (!fs::exists(source, error)) return fail(ErrorKind::usage, "no such file or folder", source);
    if (fs::exists(session, error))
        return fail(ErrorKind::usage, "exists already", session, "choose another name");
    std::string head;
    if (fs::is_regular_file(source, error)) {
        std::ifstream file(source, std::ios::binary);
        if (!file) return fail(ErrorKind::usage, "cannot be opened for reading", source);
        head.resize(4096);
        file.read(head.data(), std::streamsize(head.size()));
        head.resize(size_t(file.gcount()));
        if (head.empty()) return fail(ErrorKind::usage, "the file is empty", source);
    } else if (!fs::is_directory(source, error)) {
        return fail(ErrorKind::usage, "neither a file nor a folder", source);
    }
    const ImportFormat* format = nullptr;
    for (const ImportFormat& candidate : import_formats())
        if (options.format.empty() ? candidate.matches(source, head) : options.format == candidate.name) {
            format = &candidate;
            break;
        }
    if (format == nullptr && options.format.empty() && head.rfind("\x89HDF", 0) == 0) {
        const auto is_session = open_session(source);
        if (is_session)
            return fail(ErrorKind::usage, "is an HDF5 file and a session already", source,
                        "it needs no import: lockstep session info " + source);
    }
    if (format == nullptr)
        return fail(ErrorKind::usage,
                    options.format.empty() ? "no importer knows this" : "unknown import format",
                    options.format.empty() ? source : options.format, "known: " + names_of(import_formats()));
    if (auto status = check_values(*format, options.values); !status)
        return tl::make_unexpected(status.error());
    ImportOptions named = options;
    named.format = format->name;
    std::string made;
    Status status;
    std::vector<std::string> notes;
    {
        ImportSink sink(source, session, named, create);
        status = format->read(source, named, &sink);
        if (status && sink.begun()) status = read_label_file(source, named, &sink);
        if (status) status = sink.finish();
        notes = sink.notes();
    }
    if (!status) {
        Error told = status.error();
        if (told.where.empty()) told.where = source;
        return tl::make_unexpected(told);
    }
    return notes;
}

}  // namespace lockstep::storage
