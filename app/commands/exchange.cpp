// lockstep export, lockstep session import: other tools' files, from the tables of formats.
#include <cmath>
#include <cstdio>

#include "app/base/recording.h"
#include "app/base/report_data.h"
#include "app/commands/commands.h"
#include "storage/formats/formats.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

template <typename Formats>
std::string format_help(const Formats& formats) {
    std::string help;
    for (const auto& format : formats) {
        help += std::string("\n  ") + format.name + ": " + format.text;
        for (const OptionInfo& option : format.options) {
            help += "\n      --set " + option.name + "=" + option.fallback + "   " + option.text;
            std::string choices;
            for (const std::string& choice : option.choices)
                choices += (choices.empty() ? "" : "|") + choice;
            if (!choices.empty()) help += " (" + choices + ")";
        }
    }
    return help;
}

template <typename Formats>
std::string names(const Formats& formats) {
    std::string text;
    for (const auto& format : formats)
        text += (text.empty() ? "" : "|") + std::string(format.name);
    return text;
}

Result<std::map<std::string, std::string>> parse_values(const std::vector<std::string>& settings) {
    std::map<std::string, std::string> values;
    for (const std::string& setting : settings) {
        const size_t equals = setting.find('=');
        if (equals == std::string::npos || equals == 0)
            return fail(ErrorKind::usage, "\"" + setting + "\" is no NAME=VALUE", "--set");
        values[setting.substr(0, equals)] = setting.substr(equals + 1);
    }
    return values;
}

lockstep::Progress bar(const std::shared_ptr<app::Progress>& line) {
    return [line](double done) {
        line->show(std::to_string(int(done * 100)) + " %");
        return !interrupted();
    };
}

struct ExportArguments {
    std::vector<std::string> sessions;
    std::vector<std::string> settings;
    std::string shard;
    bool json = false;
    ExportOptions options;
};

int run_export(ExportArguments& a) {
    auto values = parse_values(a.settings);
    if (!values) return complain(values.error());
    a.options.values = *values;
    if (!a.shard.empty()) {
        char rest = 0;
        unsigned k = 0, n = 0;
        if (std::sscanf(a.shard.c_str(), "%u/%u%c", &k, &n, &rest) != 2 || k < 1 || k > n)
            return complain(
                Error{ErrorKind::usage, "\"" + a.shard + "\" is no K/N with K from 1 to N", "--shard", ""});
        a.options.shard = k;
        a.options.shards = n;
    }
    const auto line = std::make_shared<app::Progress>();
    a.options.progress = bar(line);
    const auto report = storage::export_session(a.sessions, a.options);
    line->clear();
    if (!report) return complain(interrupted() ? interruption("nothing was written") : report.error());
    if (a.json)
        print_json({{"files", report->files}, {"notes", report->notes}, {"removed", report->removed}});
    for (const std::string& note : report->notes)
        say(note);
    for (const std::string& removed : report->removed)
        say("removed: " + removed);
    for (const std::string& file : report->files)
        say("written: " + file);
    return kYes;
}

struct ImportArguments {
    std::string source, session;
    std::vector<std::string> settings;
    bool json = false;
    ImportOptions options;
};

int run_import(ImportArguments& a) {
    auto values = parse_values(a.settings);
    if (!values) return complain(values.error());
    a.options.values = *values;
    a.options.software = program_version();
    a.options.git_commit = program_commit();
    const auto line = std::make_shared<app::Progress>();
    a.options.progress = bar(line);
    const auto notes = storage::import_session(a.source, a.session, a.options);
    line->clear();
    if (!notes) return complain(interrupted() ? interruption("no session was made") : notes.error());
    const auto made = storage::open_session(a.session);
    if (!made) return complain(made.error());
    Json streams = Json::object();
    for (const SessionStream& s : (*made)->streams())
        streams[s.info.name] = {{"kind", s.info.kind}, {"rate", s.info.rate()}, {"rows", s.rows}};
    const auto edits = (*made)->label_history();
    const size_t labels = edits ? edits->size() : 0;
    if (a.json)
        print_json({{"session", a.session}, {"notes", *notes}, {"streams", streams}, {"labels", labels}});
    for (const std::string& note : *notes)
        say(note);
    std::string text = "written: " + a.session + ": ";
    for (const SessionStream& s : (*made)->streams()) {
        char rate[40];
        std::snprintf(rate, sizeof rate, " at %.10g Hz, ", s.info.rate());
        text += s.info.name + " (" + s.info.kind + ")" + rate;
    }
    char length[40];
    std::snprintf(length, sizeof length, "%.10g s, ", std::round((*made)->duration() * 1000) / 1000);
    say(text + length + std::to_string(labels) + (labels == 1 ? " label" : " labels"));
    return kYes;
}

}  // namespace

void add_export(CLI::App& root, Chosen* chosen) {
    const auto a = std::make_shared<ExportArguments>();
    CLI::App* command = root.add_subcommand("export", "Write sessions as files that other tools read");
    command->add_option("sessions", a->sessions, "NAME.h5 ...")->required();
    command->add_option("--format", a->options.format, names(storage::export_formats()))->required();
    command->add_option("-o,--output", a->options.output, "A new file or folder")->required();
    command->add_flag("--deidentify", a->options.deidentify,
                      "Leave out what names a person; tells what was removed");
    command->add_option("--shard", a->shard, "K/N: make this part only (dataset)");
    command->add_option("--set", a->settings, "NAME=VALUE, an option of the format; may be repeated");
    command->add_flag("--json", a->json, "One JSON object on standard output");
    command->footer("Formats:" + format_help(storage::export_formats()));
    command->callback([=] { *chosen = [a] { return run_export(*a); }; });
}

void add_import(CLI::App& session, Chosen* chosen) {
    const auto a = std::make_shared<ImportArguments>();
    CLI::App* command = session.add_subcommand("import", "Make a session of another tool's recording");
    command->add_option("source", a->source, "File or folder")->required();
    command->add_option("-o,--output", a->session, "NAME.h5, new")->required();
    command->add_option("--format", a->options.format,
                        names(storage::import_formats()) + "; found from the source when not given");
    command->add_option("--subject", a->options.subject, "Pseudonym");
    command->add_option("--task", a->options.task, "What was done");
    command->add_option("--mains", a->options.mains_hz, "Mains frequency where it was made: 50 or 60 Hz")
        ->check(CLI::IsMember({"50", "60"}));
    command->add_option("--set", a->settings, "NAME=VALUE, an option of the format; may be repeated");
    command->add_flag("--json", a->json, "One JSON object on standard output");
    command->footer("Formats:" + format_help(storage::import_formats()));
    command->callback([=] { *chosen = [a] { return run_import(*a); }; });
}

}  // namespace lockstep::app
