#include "storage/provenance.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "storage/session_file.h"

namespace lockstep::storage {
namespace {

using nlohmann::json;

std::string text_of(const json& j) {
    return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

ProvenanceStep recording_step(const SessionHeader& header, const std::vector<SessionModel>& models) {
    json plans = json::object();
    for (const SessionModel& m : models)
        plans[m.name] = m.plan_id;
    ProvenanceStep step{header.start_utc_ns, kRecord, header.software, header.git_commit,
                        text_of({{"identifier", header.identifier},
                                 {"start_utc_ns", header.start_utc_ns},
                                 {"settings", header.settings},
                                 {"models", plans}})};
    if (const auto source = header.settings.find("import.source_sha256"); source != header.settings.end()) {
        // Recorded then, imported now.
        step.utc_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
        step.program = kImport;
        step.input_sha256 = source->second;
    }
    return step;
}

Provenance joined(const Provenance& first, const Provenance& second, int segments) {
    Provenance all = first;
    const int before = int(first.steps.size());
    for (const ProvenanceStep& step : second.steps) {
        all.steps.push_back(step);
        if (step.program == kRecord) all.steps.back().program = kRecordMore;
    }
    for (const auto& [segment, step] : second.step_of_segment)
        all.step_of_segment[segment + segments] = step + before;
    return all;
}

Provenance provenance_of_format_1(const std::vector<OldStep>& steps, const SessionHeader& header,
                                  const std::vector<SessionModel>& models,
                                  const std::vector<SegmentInfo>& segments) {
    Provenance out;
    std::vector<std::pair<int64_t, int>> recordings;  // start, step
    for (const OldStep& old : steps) {
        ProvenanceStep step{old.utc_ns, old.program, old.version, {}, old.params_json};
        const std::string more = std::string(kRecordMore) + " (";
        if (old.program == kRecord) {
            SessionHeader first = header;
            first.settings.erase(kContinued);
            step = recording_step(first, models);
            step.utc_ns = old.utc_ns;
            step.version = old.version;
            recordings.emplace_back(header.start_utc_ns, int(out.steps.size()));
        } else if (old.program.rfind(more, 0) ==
                   0) {  // the version in parentheses, the commit among the parameters
            step.program = kRecordMore;
            step.version = old.program.substr(more.size(), old.program.size() - more.size() - 1);
            json params = json::parse(old.params_json, nullptr, false);
            if (params.is_object()) {
                const auto commit = params.find("git_commit"), start = params.find("start_utc_ns");
                if (start != params.end() && start->is_number_integer())
                    recordings.emplace_back(start->get<int64_t>(), int(out.steps.size()));
                if (commit != params.end() && commit->is_string()) {
                    step.git_commit = commit->get<std::string>();
                    params.erase(commit);
                }
                step.params_json = text_of(params);
            }
        }
        out.steps.push_back(std::move(step));
    }
    for (const SegmentInfo& s : segments) {
        const int64_t began = header.start_utc_ns + (s.started.host_ns - header.start_host_ns);
        int found = recordings.empty() ? 0 : recordings.front().second;
        for (const auto& [start, step] : recordings)
            if (began >= start) found = step;
        out.step_of_segment[s.started.segment] = found;
    }
    return out;
}

}  // namespace lockstep::storage
