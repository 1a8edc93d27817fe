// lockstep record: devices into a session file, with the host's models beside the device's.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>

#include "acquisition/session.h"
#include "app/base/devices.h"
#include "app/base/label_script.h"
#include "app/base/paths.h"
#include "app/base/recording.h"
#include "app/base/report_data.h"
#include "app/commands/commands.h"
#include "models/plan/plan_file.h"
#include "storage/append.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

struct RecordOptions {
    std::vector<std::string> uris;
    std::string output;
    double seconds = 0;  // 0 = until the interrupt
    std::string label_script;
    std::vector<std::string> models;
    std::string subject;
    std::string task;
    double mains_hz = 0;
    bool strict = false;
    bool json = false;
    bool composite = false;
    double rotate_minutes = 0, rotate_mb = 0;
    std::string continued;  // a session that goes on
};

// A stream that says nothing for so long, of those that should, is told at once.
constexpr double kSilentSeconds = 3;

std::vector<std::string> silent_streams(const Summary& summary) {
    std::vector<std::string> out;
    for (const StreamAccount& stream : summary.streams)
        if (stream.received == 0) out.push_back(stream.name);
    return out;
}

void watch(const Session& session, Recording& recording, const RecordOptions& options, LabelScript& script) {
    Progress progress;
    bool silence_told = false;
    uint64_t down = 0;
    double told = 0;
    std::string warned;
    while (!interrupted()) {
        const double seconds = recording.seconds();
        if (options.seconds > 0 && seconds >= options.seconds) break;
        script.advance(seconds);
        if (const auto error = recording.take_error()) {
            progress.clear();
            complain(*error);
        }
        const WriterStatistics written = recording.statistics();
        if (!written.warning.empty() && warned.empty()) {  // once: it counts down from there on
            warned = written.warning;
            progress.clear();
            say("lockstep: " + warned);
        }
        if (written.full) break;  // while the end still fits
        if (seconds - told >= 0.5) {
            told = seconds;
            const Summary summary = session.summary();
            if (summary.links_down != down) {
                progress.clear();
                say(summary.links_down > down
                        ? "lockstep: the link was lost; waiting for the board to come back (Ctrl-C ends)"
                        : "lockstep: the board is back");
                down = summary.links_down;
            }
            uint64_t lost = 0;
            for (const StreamAccount& stream : summary.streams)
                lost += stream.lost;
            char text[240];
            // The forecast only when it matters.
            const std::string space =
                written.seconds_to_full > 0 && written.seconds_to_full < 86400
                    ? ", disk full in " + std::to_string(long(written.seconds_to_full / 60)) + " min"
                    : "";
            std::snprintf(
                text, sizeof text,
                "recording %.0f s%s: %llu samples lost, windows %llu same, %llu different%s", seconds,
                options.seconds > 0 ? (" of " + std::to_string(long(options.seconds))).c_str() : "",
                static_cast<unsigned long long>(lost), static_cast<unsigned long long>(summary.windows.same),
                static_cast<unsigned long long>(summary.windows.different), space.c_str());
            progress.show(text);
            if (!silence_told && seconds > kSilentSeconds) {
                silence_told = true;
                progress.clear();
                for (const std::string& name : silent_streams(summary))
                    say("lockstep: " + name + ": no sample for " + std::to_string(int(kSilentSeconds)) +
                        " s; is the sensor connected?");
            }
        }
        double left = 0.05;
        if (options.seconds > 0) left = std::min(left, options.seconds - recording.seconds());
        if (left > 0) sleep_ms(int(std::ceil(left * 1000)));
    }
}

Status join_devices(Session& session, const RecordOptions& options, std::vector<StreamInfo>* streams) {
    std::vector<std::unique_ptr<Driver>> drivers;
    std::vector<PlanPtr> plans;
    const auto add_plan = [&](const PlanPtr& plan) {
        const bool known = std::any_of(plans.begin(), plans.end(),
                                       [&](const PlanPtr& p) { return p->plan_id == plan->plan_id; });
        if (!known) plans.push_back(plan);
    };
    for (const std::string& path : options.models) {
        const auto plan = load_plan(path);
        if (!plan) return tl::make_unexpected(plan.error());
        add_plan(*plan);
    }
    std::vector<std::string> warnings;
    std::set<std::string> running;  // plans of the devices
    for (const std::string& uri : options.uris) {
        DeviceInfo info;
        auto driver = open_device(uri, &info);
        if (!driver) return tl::make_unexpected(driver.error());
        if (options.models.empty())
            for (const PlanPtr& plan : plans_of_device(info, &warnings))
                add_plan(plan);
        for (const DeviceModel& model : info.models)
            if (model.active) running.insert(model.plan_id);
        drivers.push_back(std::move(*driver));
    }
    for (const std::string& warning : warnings)
        say("lockstep: " + warning);
    for (const PlanPtr& plan : plans)
        session.add_model(plan);
    for (auto& driver : drivers) {
        const auto device = session.add_device(std::move(driver));
        if (!device) return tl::make_unexpected(device.error());
        for (const StreamInfo& stream : session.device_info(*device).streams)
            streams->push_back(stream);
    }
    const std::vector<std::string> misfits = session.misfits();
    if (!misfits.empty() && !options.models.empty())
        return fail(ErrorKind::usage, misfits.front(), {}, "give a model that fits the device's streams");
    for (const std::string& misfit : misfits)
        say("lockstep: " + misfit);
    // A plan that fits and that nobody else computes.
    if (!options.models.empty())
        for (const PlanPtr& plan : plans)
            if (running.count(plan->plan_id) == 0)
                say("lockstep: no device runs " + std::string(plan->plan.name()) + " (" +
                    plan->plan_id.substr(0, 16) +
                    "), so nothing is compared: the host alone computes it; 'lockstep model push' puts it on "
                    "a board");
    return {};
}

// What the recording came to, in words and as an exit status.
int conclude(const Summary& summary, const WriterStatistics& written, const RecordOptions& options,
             const std::string& path, size_t labels_left_out, int status) {
    const bool kept = written.dropped_events == 0;
    const bool whole = summary.whole && kept && status == kYes;
    if (options.json)
        print_json(
            report_json(summary, std::filesystem::path(path).filename().string(), whole, options.composite));
    say(report_text(summary));
    uint64_t received = 0;
    uint64_t lost = 0;
    for (const StreamAccount& stream : summary.streams) {
        received += stream.received;
        lost += stream.lost;
    }
    if (labels_left_out > 0)
        say(std::to_string(labels_left_out) + " labels of the script lie after the end and were left out");
    if (!kept)
        say("lockstep: " + std::to_string(written.dropped_events) +
            " events were lost on their way to the disk");
    if (!written.warning.empty()) say("lockstep: " + written.warning);
    say(path +
        (whole ? ": whole"
               : ": not whole: " + (summary.why_not.empty() ? std::string("see above") : summary.why_not)));
    if (received == 0) {
        say("lockstep: " + path + ": no sample was recorded; check the sensors and the device's settings");
        return kFailed;
    }
    for (const std::string& name : silent_streams(summary)) {
        say("lockstep: " + name + ": not one sample came; check that the sensor is connected and enabled");
        if (status == kYes) status = kNo;
    }
    if (summary.links_down > 0) return kFailed;
    if (options.strict && !options.models.empty() && summary.windows.expected == 0) {
        say("lockstep: " + path + ": not one window of --model was compared");
        if (status == kYes) status = kNo;
    }
    if (status == kYes && options.strict &&
        (lost > 0 || !kept || summary.windows.lost > 0 || summary.windows.different > 0))
        status = kNo;
    return status;
}

int record(const RecordOptions& options) {
    if (options.output.empty() && options.continued.empty())
        return complain({ErrorKind::usage, "there is no place for the session", "",
                         "give -o NAME.h5, -o FOLDER, or --continue SESSION.h5"});
    std::vector<ScriptLabel> labels;
    if (!options.label_script.empty()) {
        auto script = read_label_script(options.label_script);
        if (!script) return complain(script.error());
        labels = std::move(*script);
    }
    auto path =
        session_path(options.continued.empty() ? options.output : storage::more_path(options.continued),
                     options.subject, options.task);
    std::string subject = options.subject, task = options.task;
    if (!options.continued.empty()) {
        const auto left_over = storage::append_left_over(options.continued);
        if (!left_over) return complain(left_over.error());
        if (!left_over->empty()) say("lockstep: " + options.continued + ": " + *left_over);
        auto earlier = storage::open_session(options.continued);
        if (!earlier) return complain(earlier.error());
        subject = (*earlier)->header().subject;
        task = (*earlier)->header().task;
        path = storage::more_path(options.continued);
    }
    if (!path) return complain(path.error());

    Session session;
    std::vector<StreamInfo> streams;
    if (const Status joined = join_devices(session, options, &streams); !joined)
        return complain(joined.error());
    LabelScript script(std::move(labels), [&session](const LabelEdit& edit) { session.hub().publish(edit); });
    if (const Status bound = script.bind(streams); !bound) return complain(bound.error());
    if (interrupted()) return complain(interruption("nothing was recorded"));

    RecordingOptions file;
    file.path = *path;
    file.subject = subject;
    file.task = task;
    file.mains_hz = options.mains_hz;
    file.composite = options.composite;
    file.plans = session.models();
    file.rotate_seconds = options.rotate_minutes * 60;
    file.rotate_bytes = uint64_t(options.rotate_mb * 1e6);
    for (size_t i = 0; i < options.uris.size(); ++i)
        file.settings["uri" + std::to_string(i)] = options.uris[i];
    if (!options.label_script.empty()) file.settings["label_script"] = options.label_script;
    auto recording = Recording::start(&session.hub(), file);
    if (!recording) return complain(recording.error());

    int status = kYes;
    if (const Status started = session.start(); !started) {
        status = complain(started.error());
    } else {
        watch(session, **recording, options, script);
    }
    const double seconds = (*recording)->seconds();
    if (const Status stopped = session.stop(); !stopped) status = std::max(status, complain(stopped.error()));
    const size_t left_out = script.finish(options.seconds > 0 ? std::min(seconds, options.seconds) : seconds);
    const WriterStatistics before = (*recording)->statistics();
    if (before.full) status = std::max<int>(status, kFailed);
    const auto finished = (*recording)->finish();
    if (const auto error = (*recording)->take_error()) status = std::max(status, complain(*error));
    if (!finished) return complain(finished.error());
    if (!options.continued.empty()) {
        if (const Status appended = storage::append_session(options.continued, *finished); !appended) {
            Error error = appended.error();
            error.what += "; what was recorded now is whole in " + *finished;
            error.remedy = "then run: lockstep session repair " + options.continued;
            return complain(error);
        }
    }
    return conclude(session.summary(), before, options,
                    options.continued.empty() ? *finished : options.continued, left_out, status);
}

}  // namespace

void add_record(CLI::App& root, Chosen* chosen) {
    CLI::App* command =
        root.add_subcommand("record", "Record devices into a session file; Ctrl-C ends it cleanly");
    auto o = std::make_shared<RecordOptions>();
    command->add_option("uri", o->uris, "Devices, all into one session; 'lockstep devices' lists them")
        ->required();
    CLI::Option* output =
        command->add_option("-o,--output", o->output, "NAME.h5, or a folder for a generated name");
    CLI::Option* continued =
        command->add_option("--continue", o->continued, "Go on with this session, in a new segment")
            ->excludes(output);
    command->add_option("--seconds", o->seconds, "End after so long; without it Ctrl-C ends")
        ->check(above_zero("seconds"));
    command->add_option("--label-script", o->label_script,
                        "Labels to give while it runs: CSV with start_s,stop_s,class,stream,channel");
    command
        ->add_option("--model", o->models, "Plan for the host to run; without it, those that the device runs")
        ->allow_extra_args(false);
    command->add_option("--subject", o->subject, "Pseudonym of the person");
    command->add_option("--task", o->task, "What the person does");
    command->add_option("--mains", o->mains_hz, "Mains frequency here: 50 or 60 Hz")
        ->check(CLI::IsMember({"50", "60"}));
    command->add_option("--rotate-minutes", o->rotate_minutes, "A new file, NAME_part-N.h5, after so long")
        ->check(between(0.01, 1e6, "minutes"))
        ->excludes(continued);
    command->add_option("--rotate-mb", o->rotate_mb, "A new file when one takes so much of the disk")
        ->check(between(1, 1e9, "MB"))
        ->excludes(continued);
    command->add_flag("--strict", o->strict,
                      "Exit 1 when anything was lost or differs, or nothing of --model was compared");
    command->add_flag("--composite", o->composite, "The streams are joined from several people");
    command->add_flag("--json", o->json, "One JSON object on standard output");
    command->callback([=] { *chosen = [=] { return record(*o); }; });
}

}  // namespace lockstep::app
