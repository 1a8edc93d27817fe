#include "storage/upgrade.h"

#include <nlohmann/json.hpp>

#include "storage/file.h"
#include "storage/layout.h"
#include "storage/origin.h"
#include "storage/reader.h"
#include "storage/recorder.h"
#include "storage/repair.h"
#include "storage/session_file.h"

namespace lockstep::storage {
namespace {

Status build(SessionReader& old, const SessionOrigin& origin, const std::string& building) {
    WriterOptions options;
    options.path = building;
    options.header = old.header();
    options.models = old.models();
    options.classes = old.classes();
    auto file = SessionFile::create(building, options);
    if (!file) return tl::make_unexpected(file.error());
    (*file)->set_provenance(origin.provenance);
    Status status;
    if (auto ok = old.replay([&](const Event& event) { return bool(status = (*file)->add(event)); }); !ok)
        return ok;
    if (!status) return status;
    (*file)->note_step("session upgrade", nlohmann::json{{"from_format", origin.format_version}}.dump());
    return (*file)->close(old.state());
}

}  // namespace

Result<std::string> upgrade_session(const std::string& path, const std::string& output) {
    auto old = open_session(path);
    if (!old) return tl::make_unexpected(old.error());
    auto origin = read_origin(path);
    if (!origin) return tl::make_unexpected(origin.error());
    if (origin->format_version == kFormatVersion)
        return fail(ErrorKind::usage,
                    "the session has format " + std::to_string(kFormatVersion) + ", today's, already", path);
    const std::string building = building_path(output);
    for (const std::string& taken : {output, building})
        if (exists(taken))
            return fail(ErrorKind::usage, "the file exists; nothing is ever overwritten", taken,
                        "choose another name");
    Status status = build(**old, *origin, building);
    if (status) status = verify_and_name(building, output);
    if (!status) {
        remove_file(building);
        return tl::make_unexpected(status.error());
    }
    return path + " (format " + std::to_string(origin->format_version) + ") was written to " + output +
           " (format " + std::to_string(kFormatVersion) + ")";
}

}  // namespace lockstep::storage
