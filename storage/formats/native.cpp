// Export and import with this program's own session files.
#include <filesystem>

#include "storage/file.h"
#include "storage/formats/formats.h"
#include "storage/reader.h"
#include "storage/recorder.h"
#include "storage/repair.h"
#include "storage/session_file.h"

namespace lockstep::storage {
namespace {

// Builds the session directly: a source that can be read again needs no journal, and nothing is lost
// when the disk is slower than the source.
class ImportWriter : public SessionWriter {
  public:
    ImportWriter(std::string path, std::string building, std::unique_ptr<SessionFile> file)
        : path_(std::move(path)), building_(std::move(building)), file_(std::move(file)) {}
    ~ImportWriter() override {
        file_.reset();
        if (!finished_) remove_file(building_);
    }
    void append(Event event) override {
        if (error_) return;
        if (auto status = file_->add(event); !status) error_ = status.error();
        ++events_;
    }
    std::optional<Error> take_error() override { return error_; }
    WriterStatistics statistics() const override {
        WriterStatistics statistics;
        statistics.events = events_;
        statistics.samples = file_->samples();
        statistics.bytes = file_->bytes();
        return statistics;
    }
    Result<std::string> finish() override {
        if (error_) return tl::make_unexpected(*error_);
        auto status = file_->close("final");
        if (status) status = verify_and_name(building_, path_);
        if (!status) return tl::make_unexpected(status.error());
        finished_ = true;
        return path_;
    }

  private:
    std::string path_;
    std::string building_;
    std::unique_ptr<SessionFile> file_;
    std::optional<Error> error_;
    uint64_t events_ = 0;
    bool finished_ = false;
};

Result<std::unique_ptr<SessionWriter>> create(const WriterOptions& options) {
    const std::string building = options.path + ".tmp";
    if (exists(options.path))
        return fail(ErrorKind::usage, "exists already", options.path, "choose another name");
    if (exists(journal_path(options.path)))
        return fail(ErrorKind::usage, "a recording of this name is running or was cut short", options.path,
                    "choose another name, or run: lockstep session repair " + options.path);
    if (exists(building))
        return fail(ErrorKind::usage, "an import into " + options.path + " is running or was cut short",
                    building, "choose another name, or delete this file when none is running");
    std::error_code error;
    const std::string folder = folder_of(options.path);
    if (!std::filesystem::is_directory(folder, error))
        return fail(ErrorKind::usage, "there is no such folder", folder, "create the folder first");
    auto file = SessionFile::create(building, options);
    if (!file) return tl::make_unexpected(file.error());
    return std::unique_ptr<SessionWriter>(
        std::make_unique<ImportWriter>(options.path, building, std::move(*file)));
}

}  // namespace

Result<ExportReport> export_session(const std::vector<std::string>& sessions, const ExportOptions& options) {
    return export_session(sessions, options, open_session);
}

Result<std::vector<std::string>> import_session(const std::string& source, const std::string& session,
                                                const ImportOptions& options) {
    return import_session(source, session, options, create);
}

}  // namespace lockstep::storage
