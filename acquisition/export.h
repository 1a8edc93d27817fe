// The contracts of other tools' files: what an export format and an import source are, and what an
// export answers. Implemented in storage/formats/ (tables export_formats() and import_formats() in
// storage/formats/formats.h); ui/ builds its forms and app/ its help from the descriptors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/driver.h"  // OptionInfo
#include "acquisition/session_store.h"

namespace lockstep {

// 0..1; false asks the work to stop, which ends it with an error and leaves no file.
using Progress = std::function<bool(double done)>;

struct ExportOptions {
    std::string format;  // name of an ExportFormat
    std::string output;  // file or folder; must not exist (a folder may exist when it is empty)
    bool deidentify = false;
    uint32_t shard = 0;  // 1..shards: write this part only; 0: the whole
    uint32_t shards = 0;
    std::map<std::string, std::string> values;  // of the format's options
    Progress progress;

    std::string value(const std::string& name, const std::string& fallback = {}) const {
        const auto found = values.find(name);
        return found == values.end() || found->second.empty() ? fallback : found->second;
    }
};

struct ExportReport {
    std::vector<std::string> files;    // written, in order
    std::vector<std::string> notes;    // what a person should know: rounding, filled gaps, streams left out
    std::vector<std::string> removed;  // by --deidentify: kinds of fields, not their values
};

// The sessions of one export; opened one after another, so that memory does not grow with their number.
class SessionSource {
  public:
    virtual ~SessionSource() = default;
    virtual size_t size() const = 0;
    virtual Result<std::unique_ptr<SessionReader>> open(size_t index) = 0;
};

struct ExportFormat {
    const char* name;    // "edf"
    const char* text;    // "EDF+, one file per sampling rate"
    const char* suffix;  // ".edf"; "" = a folder
    bool many;           // takes several sessions into one output
    std::vector<OptionInfo> options;
    // `path`: the output, new; a format that writes several files uses its stem. Shared checks are done.
    Status (*write)(SessionSource& sessions, const ExportOptions& options, const std::string& path,
                    ExportReport* report);
};

struct ImportOptions {
    std::string format;  // name of an ImportFormat, "" = found from the source
    std::string subject;
    std::string task;
    double mains_hz = 0;   // 50 or 60; 0: what the file says, if it does
    std::string software;  // that imports, and its commit: for the session's provenance
    std::string git_commit;
    std::map<std::string, std::string> values;
    Progress progress;

    std::string value(const std::string& name, const std::string& fallback = {}) const {
        const auto found = values.find(name);
        return found == values.end() || found->second.empty() ? fallback : found->second;
    }
};

class ImportSink;  // storage/formats/import.h

struct ImportFormat {
    const char* name;  // "edf"
    const char* text;  // "EDF, EDF+, BDF, BDF+"
    std::vector<OptionInfo> options;
    // Cheap: does this file or folder look like one? `head`: the first 4 kB, empty for a folder.
    bool (*matches)(const std::string& source, const std::string& head);
    Status (*read)(const std::string& source, const ImportOptions& options, ImportSink* sink);
};

}  // namespace lockstep
