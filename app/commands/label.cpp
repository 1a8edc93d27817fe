// lockstep label list | add | edit | delete | import | export
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "acquisition/label_track.h"
#include "app/base/label_script.h"
#include "app/base/report_data.h"
#include "app/commands/commands.h"
#include "storage/label_editor.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

struct LabelOptions {
    std::string session;
    bool json = false;
    std::string author;
    uint64_t id = 0;
    std::optional<double> start, stop;
    std::optional<std::string> label_class, stream, channel, note;
    std::string file;
};

// A session's labels, ready to be edited.
struct Open {
    std::unique_ptr<SessionReader> reader;
    LabelTrack track;
    std::vector<StreamInfo> streams;
};

Result<Open> open(const std::string& path) {
    Open out;
    auto reader = storage::open_session(path);
    if (!reader) return tl::make_unexpected(reader.error());
    out.reader = std::move(*reader);
    const auto history = out.reader->label_history();
    if (!history) return tl::make_unexpected(history.error());
    if (const Status loaded = out.track.load(*history); !loaded) return tl::make_unexpected(loaded.error());
    for (const SessionStream& stream : out.reader->streams())
        out.streams.push_back(stream.info);
    return out;
}

std::string stream_name(const Open& session, const Label& label) {
    return label.stream >= 0 && size_t(label.stream) < session.streams.size()
               ? session.streams[size_t(label.stream)].name
               : "";
}

std::string channel_name(const Open& session, const Label& label) {
    if (stream_name(session, label).empty() || label.channel < 0) return {};
    const auto& channels = session.streams[size_t(label.stream)].channels;
    return size_t(label.channel) < channels.size() ? channels[size_t(label.channel)].name : "";
}

Json label_json(const Open& session, const Label& label) {
    return {{"id", label.id},
            {"start_s", label.start},
            {"stop_s", label.stop},
            {"class", label.label_class},
            {"stream", stream_name(session, label)},
            {"channel", channel_name(session, label)},
            {"source", label.source},
            {"confidence", label.confidence},
            {"note", label.note}};
}

int list(const LabelOptions& o) {
    const auto session = open(o.session);
    if (!session) return complain(session.error());
    const std::vector<Label> labels = session->track.between(-1e300, 1e300);
    if (o.json) {
        Json out = {{"labels", Json::array()}, {"revision", session->track.revision()}};
        for (const Label& label : labels)
            out["labels"].push_back(label_json(*session, label));
        print_json(out);
        return kYes;
    }
    for (const Label& label : labels)
        std::printf("%6llu  %10.3f  %10.3f  %-16s %-8s %-8s %s\n", static_cast<unsigned long long>(label.id),
                    label.start, label.stop, label.label_class.c_str(), stream_name(*session, label).c_str(),
                    channel_name(*session, label).c_str(), label.source.c_str());
    if (labels.empty()) say(o.session + ": no labels");
    return kYes;
}

std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text)
        out += c == '"' ? std::string("\"\"") : std::string(1, c == '\n' || c == '\r' ? ' ' : c);
    return out + "\"";
}

int export_csv(const LabelOptions& o) {
    const auto session = open(o.session);
    if (!session) return complain(session.error());
    std::string text = "start_s,stop_s,class,stream,channel\n";
    for (const Label& label : session->track.between(-1e300, 1e300)) {
        char times[64];
        std::snprintf(times, sizeof times, label.stop > label.start ? "%.6f,%.6f" : "%.6f,", label.start,
                      label.stop);
        text += std::string(times) + "," + csv_field(label.label_class) + "," +
                csv_field(stream_name(*session, label)) + "," + csv_field(channel_name(*session, label)) +
                "\n";
    }
    if (o.file == "-") {
        std::fwrite(text.data(), 1, text.size(), stdout);
        return std::fflush(stdout) == 0 ? kYes : kFailed;
    }
    std::error_code error;
    if (std::filesystem::exists(o.file, error))
        return complain({ErrorKind::usage, "the file exists already", o.file,
                         "nothing is overwritten: choose another name"});
    const std::string part = o.file + ".part" + std::to_string(::getpid());
    std::ofstream file(part);
    file << text;
    file.close();
    if (file) std::filesystem::rename(part, o.file, error);
    if (!file || error) {
        std::filesystem::remove(part, error);
        return complain(
            {ErrorKind::system, "cannot write the file", o.file, "check the folder and the free space"});
    }
    return kYes;
}

// Applies and stores the edits; all of them were checked before the first is stored.
int store(const LabelOptions& o, Open& session, const std::vector<LabelEdit>& edits) {
    std::vector<LabelEdit> applied;
    for (LabelEdit edit : edits) {
        edit.author = o.author.empty() ? "person" : o.author;
        const auto done = session.track.apply(edit);
        if (!done) return complain(done.error());
        applied.push_back(*done);
    }
    session.reader.reset();
    {
        auto editor = storage::open_label_editor(o.session);
        if (!editor) return complain(editor.error());
        for (const LabelEdit& edit : applied)
            if (const Status stored = (*editor)->append(edit); !stored) return complain(stored.error());
    }
    if (o.json) {
        Json out = {{"edited", Json::array()}, {"revision", session.track.revision()}};
        for (const LabelEdit& edit : applied)
            out["edited"].push_back(
                label_json(session, edit.operation == LabelOperation::remove ? edit.before : edit.after));
        print_json(out);
    } else {
        say(o.session + ": " + std::to_string(applied.size()) +
            (applied.size() == 1 ? " label edit" : " label edits") + ", revision " +
            std::to_string(session.track.revision()));
    }
    return kYes;
}

// Names of stream and channel become numbers, by the rules of a label script.
Status place(const Open& session, const LabelOptions& o, Label* label) {
    if (!o.stream && !o.channel) return {};
    ScriptLabel entry;
    entry.label = *label;
    entry.stream = o.stream ? *o.stream : stream_name(session, *label);
    entry.channel = o.channel.value_or("");
    LabelScript script({entry}, [&](const LabelEdit& edit) {
        label->stream = edit.after.stream;
        label->channel = edit.after.channel;
    });
    if (const Status bound = script.bind(session.streams); !bound) return bound;
    (void)script.finish(1e300);
    return {};
}

int add(const LabelOptions& o) {
    auto session = open(o.session);
    if (!session) return complain(session.error());
    LabelEdit edit;
    edit.after.start = o.start.value_or(0);
    edit.after.stop = o.stop.value_or(edit.after.start);
    edit.after.label_class = o.label_class.value_or("");
    edit.after.note = o.note.value_or("");
    if (const Status placed = place(*session, o, &edit.after); !placed) return complain(placed.error());
    return store(o, *session, {edit});
}

Result<Label> find(const Open& session, const LabelOptions& o) {
    const auto found = session.track.labels().find(o.id);
    if (found == session.track.labels().end())
        return fail(ErrorKind::usage, "there is no label " + std::to_string(o.id), o.session,
                    "'lockstep label list' shows the numbers");
    return found->second;
}

int edit(const LabelOptions& o) {
    auto session = open(o.session);
    if (!session) return complain(session.error());
    const auto before = find(*session, o);
    if (!before) return complain(before.error());
    LabelEdit change;
    change.operation = LabelOperation::change;
    change.before = change.after = *before;
    if (o.start) change.after.start = *o.start;
    if (o.stop) change.after.stop = *o.stop;
    if (o.label_class) change.after.label_class = *o.label_class;
    if (o.note) change.after.note = *o.note;
    if (const Status placed = place(*session, o, &change.after); !placed) return complain(placed.error());
    return store(o, *session, {change});
}

int remove(const LabelOptions& o) {
    auto session = open(o.session);
    if (!session) return complain(session.error());
    const auto before = find(*session, o);
    if (!before) return complain(before.error());
    LabelEdit removal;
    removal.operation = LabelOperation::remove;
    removal.before = *before;
    return store(o, *session, {removal});
}

int import_csv(const LabelOptions& o) {
    auto session = open(o.session);
    if (!session) return complain(session.error());
    auto labels = read_label_script(o.file);
    if (!labels) return complain(labels.error());
    std::vector<LabelEdit> edits;
    LabelScript script(std::move(*labels), [&](const LabelEdit& edit) {
        edits.push_back(edit);
        edits.back().after.id = 0;
        edits.back().after.source = "import";
        edits.back().reason = "import";
    });
    if (const Status bound = script.bind(session->streams); !bound) return complain(bound.error());
    (void)script.finish(1e300);
    return store(o, *session, edits);
}

}  // namespace

void add_label(CLI::App& root, Chosen* chosen) {
    CLI::App* label = root.add_subcommand("label", "A session's labels; every edit is kept in its history");
    label->require_subcommand(1);
    const auto o = std::make_shared<LabelOptions>();
    const auto command = [&](const char* name, const char* text, int (*run)(const LabelOptions&)) {
        CLI::App* sub = label->add_subcommand(name, text);
        sub->add_option("session", o->session, "NAME.h5")->required();
        sub->add_flag("--json", o->json, "One JSON object on standard output");
        sub->callback([=] { *chosen = [=] { return run(*o); }; });
        return sub;
    };
    const auto fields = [&](CLI::App* sub, bool required) {
        sub->add_option("--start", o->start, "Seconds from the session's start")->required(required);
        sub->add_option("--stop", o->stop, "Seconds; without it a point");
        sub->add_option("--class", o->label_class, "Class of the label")->required(required);
        sub->add_option("--stream", o->stream, "Name of the stream; without it all");
        sub->add_option("--channel", o->channel, "Name or number of the channel; without it all");
        sub->add_option("--note", o->note, "Free text");
        sub->add_option("--author", o->author, "Who edits");
    };
    command("list", "Labels by time", list);
    fields(command("add", "Add a label", add), true);
    CLI::App* change = command("edit", "Change a label", edit);
    change->add_option("--id", o->id, "Number of the label")->required();
    fields(change, false);
    CLI::App* removal = command("delete", "Delete a label; the history keeps it", remove);
    removal->add_option("--id", o->id, "Number of the label")->required();
    removal->add_option("--author", o->author, "Who edits");
    CLI::App* import = command("import", "Add the labels of a CSV", import_csv);
    import->add_option("file", o->file, "CSV with start_s,stop_s,class,stream,channel")->required();
    import->add_option("--author", o->author, "Who edits");
    command("export", "Write the labels as CSV", export_csv)
        ->add_option("file", o->file, "A new file, or - for standard output")
        ->required();
}

}  // namespace lockstep::app
