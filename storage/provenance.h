// How a session came to be: a step for each program that recorded, continued or mended it, and which of them
// recorded each segment. Values only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "acquisition/session_store.h"

namespace lockstep::storage {

constexpr char kRecord[] = "record";
constexpr char kImport[] = "session import";
constexpr char kRecordMore[] = "record --continue";

struct ProvenanceStep {
    int64_t utc_ns = 0;
    std::string program;         // kRecord, kImport, kRecordMore, "session repair" ...
    std::string version;         // "lockstep 0.1.0"
    std::string git_commit;      // may be empty
    std::string params_json;     // of a recording: identifier, start_utc_ns, settings, models {name: plan id}
    std::string input_sha256{};  // kImport: of the source, a file or a folder (docs/file_format.md)
};

struct Provenance {
    std::vector<ProvenanceStep> steps;
    std::map<int, int> step_of_segment;
};

// The step of a recording or an import as its header and models tell.
ProvenanceStep recording_step(const SessionHeader& header, const std::vector<SessionModel>& models);

// The second recording's steps and segments (`segments`: added to its numbers) after the first one's.
Provenance joined(const Provenance& first, const Provenance& second, int segments);

// What a file of format 1 says of it: one step a recording, by time.
struct OldStep {
    int64_t utc_ns;
    std::string program, version, params_json;
};
Provenance provenance_of_format_1(const std::vector<OldStep>& steps, const SessionHeader& header,
                                  const std::vector<SessionModel>& models,
                                  const std::vector<SegmentInfo>& segments);

}  // namespace lockstep::storage
