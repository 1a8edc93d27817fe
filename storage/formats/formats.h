// Every other tool's file that Lockstep writes and reads. A new format is one file in this folder and
// one line in formats.cpp (docs/adding_a_format.md).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/export.h"

namespace lockstep::storage {

const std::vector<ExportFormat>& export_formats();
const std::vector<ImportFormat>& import_formats();

using OpenSession = std::function<Result<std::unique_ptr<SessionReader>>(const std::string& path)>;
using CreateSession = std::function<Result<std::unique_ptr<SessionWriter>>(const WriterOptions& options)>;

// Writes `sessions` as options.format to options.output. Nothing is overwritten; after an error nothing
// is left behind. Blocks until done; any thread, one call at a time.
Result<ExportReport> export_session(const std::vector<std::string>& sessions, const ExportOptions& options,
                                    const OpenSession& open);

// Reads a foreign recording into a new session file. The notes say what could not be kept as it was.
Result<std::vector<std::string>> import_session(const std::string& source, const std::string& session,
                                                const ImportOptions& options, const CreateSession& create);

// The same with this program's own session files.
Result<ExportReport> export_session(const std::vector<std::string>& sessions, const ExportOptions& options);
Result<std::vector<std::string>> import_session(const std::string& source, const std::string& session,
                                                const ImportOptions& options);

}  // namespace lockstep::storage
