// lockstep session info | verify | repair | upgrade
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>

#include "acquisition/label_track.h"
#include "app/base/report_data.h"
#include "app/commands/commands.h"
#include "storage/append.h"
#include "storage/origin.h"
#include "storage/reader.h"
#include "storage/repair.h"
#include "storage/upgrade.h"

namespace lockstep::app {
namespace {

// 2026-05-01 10:00:00 UTC, or that nobody knows: imports without a date begin in 1970.
std::string utc(int64_t ns) {
    if (ns <= 0) return "at an unknown time";
    const std::time_t seconds = ns / 1'000'000'000;
    std::tm parts{};
    char text[32] = {};
    if (::gmtime_r(&seconds, &parts) == nullptr || std::strftime(text, sizeof text, "%F %T UTC", &parts) == 0)
        return "at an unknown time";
    return text;
}

int info(const std::string& path, bool json) {
    auto opened = storage::open_session(path);
    if (!opened) return complain(opened.error());
    SessionReader& reader = **opened;
    const SessionHeader& header = reader.header();
    const auto labels = reader.label_history();
    if (!labels) return complain(labels.error());
    const auto origin = storage::read_origin(path);
    if (!origin) return complain(origin.error());
    LabelTrack track;
    if (const Status loaded = track.load(*labels); !loaded) return complain(loaded.error());
    std::map<std::string, size_t> by_class;
    for (const auto& [id, label] : track.labels())
        ++by_class[label.label_class];
    if (json) {
        Json streams = Json::object();
        for (const SessionStream& s : reader.streams())
            streams[s.info.name] = {{"kind", s.info.kind},
                                    {"rate", s.info.rate()},
                                    {"rate_measured", s.rate_measured},
                                    {"channels", s.info.channels.size()},
                                    {"rows", s.rows},
                                    {"gaps", s.gaps.size()}};
        Json models = Json::array();
        for (const SessionModel& m : reader.models())
            models.push_back({{"name", m.name}, {"plan_id", m.plan_id}});
        Json devices = Json::array();
        for (const SegmentInfo& segment : reader.segments()) {
            Json entry = to_json(segment.started.info);
            entry["segment"] = segment.started.segment;
            entry["reason"] = segment.started.reason;
            const auto step = origin->provenance.step_of_segment.find(segment.started.segment);
            if (step != origin->provenance.step_of_segment.end()) entry["step"] = step->second;
            devices.push_back(entry);
        }
        Json steps = Json::array();
        for (const storage::ProvenanceStep& step : origin->provenance.steps) {
            const Json params = Json::parse(step.params_json, nullptr, false);
            steps.push_back({{"utc_ns", step.utc_ns},
                             {"program", step.program},
                             {"version", step.version},
                             {"git_commit", step.git_commit},
                             {"params", params.is_discarded() ? Json() : params}});
        }
        print_json({{"session", std::filesystem::path(path).filename().string()},
                    {"identifier", header.identifier},
                    {"state", reader.state()},
                    {"start_utc_ns", header.start_utc_ns},
                    {"seconds", reader.duration()},
                    {"software", header.software},
                    {"subject", header.subject},
                    {"task", header.task},
                    {"mains_hz", header.mains_hz > 0 ? Json(header.mains_hz) : Json()},
                    {"composite", header.composite},
                    {"settings", header.settings},
                    {"streams", streams},
                    {"models", models},
                    {"segments", devices},
                    {"format_version", origin->format_version},
                    {"steps", steps},
                    {"labels", by_class},
                    {"label_edits", labels->size()}});
        return kYes;
    }
    std::printf("%s: %s, %.1f s, %s%s\n", path.c_str(), reader.state().c_str(), reader.duration(),
                header.software.c_str(), header.composite ? ", composite" : "");
    std::string person = "  began " + utc(header.start_utc_ns);
    if (!header.subject.empty()) person += ", subject " + header.subject;
    if (!header.task.empty()) person += ", task " + header.task;
    if (header.mains_hz > 0) person += ", mains " + std::to_string(int(header.mains_hz)) + " Hz";
    std::printf("%s\n", person.c_str());
    for (const SegmentInfo& segment : reader.segments())
        std::printf("  segment %d: %s (%s), %s\n", segment.started.segment,
                    segment.started.info.board.c_str(), segment.started.info.uri.c_str(),
                    segment.started.reason.c_str());
    for (const storage::ProvenanceStep& step : origin->provenance.steps)
        std::printf("  step   %-20s %s %.12s\n", step.program.c_str(), step.version.c_str(),
                    step.git_commit.c_str());
    for (const SessionStream& s : reader.streams())
        std::printf("  stream %-10s %-8s %8.3f Hz  %10llu rows  %zu gaps  %s\n", s.info.name.c_str(),
                    s.info.kind.c_str(), s.info.rate(), static_cast<unsigned long long>(s.rows),
                    s.gaps.size(), channels_text(s.info).c_str());
    for (const SessionModel& m : reader.models())
        std::printf("  model  %-10s %s\n", m.name.c_str(), m.plan_id.substr(0, 16).c_str());
    std::string classes;
    for (const auto& [name, count] : by_class)
        classes += (classes.empty() ? "  labels " : ", ") + name + " " + std::to_string(count);
    std::printf("%s\n  label edits: %zu\n", classes.empty() ? "  no labels" : classes.c_str(),
                labels->size());
    return kYes;
}

int verify(const std::string& path, bool json) {
    const auto faults = storage::verify(path);
    if (!faults) return complain(faults.error());
    if (json)
        print_json({{"session", std::filesystem::path(path).filename().string()},
                    {"intact", faults->empty()},
                    {"faults", *faults}});
    for (const std::string& fault : *faults)
        say(path + ": " + fault);
    say(path + (faults->empty()
                    ? ": in order"
                    : ": " + std::to_string(faults->size()) + (faults->size() == 1 ? " fault" : " faults") +
                          "; keep a copy, then try 'lockstep session repair'"));
    return faults->empty() ? kYes : kNo;
}

int repair(const std::string& path, const std::string& output, bool json) {
    auto report = storage::recover(path, output);
    if (!report) return complain(report.error());
    if (output.empty()) {  // a continuation that was cut short
        const auto more = storage::append_left_over(report->path);
        if (!more) return complain(more.error());
        if (!more->empty()) report->text = *more;
    }
    if (json)
        print_json({{"session", report->path},
                    {"seconds", report->seconds},
                    {"events", report->events},
                    {"samples", report->samples},
                    {"gaps_added", report->gaps_added},
                    {"torn_bytes", report->journal.torn_bytes},
                    {"lost_records", report->journal.lost_records}});
    say(report->text.empty() ? report->path + ": repaired" : report->text);
    return kYes;
}

int upgrade(const std::string& path, const std::string& output, bool json) {
    const auto done = storage::upgrade_session(path, output);
    if (!done) return complain(done.error());
    if (json) print_json({{"session", output}, {"text", *done}});
    say(*done);
    return kYes;
}

}  // namespace

void add_session(CLI::App& root, Chosen* chosen) {
    CLI::App* session = root.add_subcommand("session", "Look at, check and mend session files");
    session->require_subcommand(1);
    const auto path = std::make_shared<std::string>();
    const auto output = std::make_shared<std::string>();
    const auto json = std::make_shared<bool>(false);
    const auto add = [&](const char* name, const char* text, std::function<int()> run) {
        CLI::App* command = session->add_subcommand(name, text);
        command->add_option("session", *path, "NAME.h5")->required();
        command->add_flag("--json", *json, "One JSON object on standard output");
        command->callback([=] { *chosen = run; });
        return command;
    };
    add("info", "What a session holds", [=] { return info(*path, *json); });
    add("verify", "Is the file in order? Exit status 1 when it is not", [=] { return verify(*path, *json); });
    add("repair", "Make the session of a recording that was cut short",
        [=] { return repair(*path, *output, *json); })
        ->add_option("-o,--output", *output,
                     "Write it there, a file or a folder on any disk, and leave the journal alone");
    add("upgrade", "Write a session of an older format anew, in today's; the old file stays",
        [=] { return upgrade(*path, *output, *json); })
        ->add_option("-o,--output", *output, "The new session")
        ->required();
    add_report(*session, chosen);
    add_import(*session, chosen);
}

}  // namespace lockstep::app
