// lockstep label list | add | edit | delete | import | export | class | agreement
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "acquisition/label_track.h"
#include "app/base/report_data.h"
#include "app/commands/commands.h"
#include "storage/label_editor.h"
#include "storage/labels/agreement.h"
#include "storage/labels/label_csv.h"
#include "storage/labels/label_files.h"
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
    std::string file, format;
    std::vector<std::string> sessions, authors;  // agreement
    double overlap = 0.5, tolerance = 0.1;
    std::string name;  // class
    std::optional<std::string> color, hotkey, hed;
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

Json class_json(const LabelClass& c) {
    return {{"name", c.name},
            {"color", c.color},
            {"hotkey", c.hotkey == 0 ? "" : std::string(1, c.hotkey)},
            {"HED", c.hed}};
}

// Who edited a label last, by its number.
std::map<uint64_t, std::string> authors_of(const Open& session) {
    std::map<uint64_t, std::string> last;
    for (const LabelEdit& edit : session.track.history())
        last[edit.operation == LabelOperation::remove ? edit.before.id : edit.after.id] = edit.author;
    return last;
}

// Labels as they are now whose last edit is by `author`.
std::vector<Label> of_author(const Open& session, const std::string& author) {
    std::map<uint64_t, std::string> last = authors_of(session);
    std::vector<Label> labels;
    for (const Label& label : session.track.between(-1e300, 1e300))
        if (last[label.id] == author) labels.push_back(label);
    return labels;
}

int list(const LabelOptions& o) {
    const auto session = open(o.session);
    if (!session) return complain(session.error());
    const std::vector<Label> labels = session->track.between(-1e300, 1e300);
    if (o.json) {
        Json out = {
            {"labels", Json::array()}, {"classes", Json::array()}, {"revision", session->track.revision()}};
        const auto authors = authors_of(*session);
        for (const Label& label : labels) {
            out["labels"].push_back(label_json(*session, label));
            out["labels"].back()["author"] = authors.at(label.id);
        }
        for (const LabelClass& c : session->reader->classes())
            out["classes"].push_back(class_json(c));
        print_json(out);
        return kYes;
    }
    const auto authors = authors_of(*session);
    for (const Label& label : labels)
        std::printf(
            "%6llu  %10.3f  %10.3f  %-16s %-8s %-8s %-8s %s\n", static_cast<unsigned long long>(label.id),
            label.start, label.stop, label.label_class.c_str(), stream_name(*session, label).c_str(),
            channel_name(*session, label).c_str(), label.source.c_str(), authors.at(label.id).c_str());
    if (labels.empty()) say(o.session + ": no labels");
    return kYes;
}

int export_labels(const LabelOptions& o) {
    if (o.json && o.file == "-")
        return complain({ErrorKind::usage, "--json and - both want standard output", "",
                         "leave --json out, or name a file"});
    const auto session = open(o.session);
    if (!session) return complain(session.error());
    const auto format = storage::label_format(o.file, o.format);
    if (!format) return complain(format.error());
    std::vector<Label> labels = session->track.between(-1e300, 1e300);
    if (!o.author.empty()) {
        const auto& history = session->track.history();
        if (std::none_of(history.begin(), history.end(),
                         [&](const LabelEdit& edit) { return edit.author == o.author; }))
            return complain({ErrorKind::usage, "nobody called \"" + o.author + "\" edited these labels",
                             o.session, "'lockstep label list' shows who did"});
        labels = of_author(*session, o.author);
    }
    const size_t count = labels.size();
    const auto text =
        storage::write_labels(*format, {std::move(labels), session->streams, session->reader->classes(),
                                        session->reader->header().start_utc_ns, authors_of(*session)});
    if (!text) return complain(text.error());
    if (o.file == "-") {
        std::fwrite(text->data(), 1, text->size(), stdout);
        return kYes;
    }
    std::error_code error;
    if (std::filesystem::exists(o.file, error))
        return complain({ErrorKind::usage, "the file exists already", o.file,
                         "nothing is overwritten: choose another name"});
    const std::string part = o.file + ".part" + std::to_string(::getpid());
    std::ofstream file(part, std::ios::binary);
    file << *text;
    file.close();
    if (file) std::filesystem::rename(part, o.file, error);
    if (!file || error) {
        std::filesystem::remove(part, error);
        const std::filesystem::path folder = std::filesystem::absolute(o.file).parent_path();
        if (!std::filesystem::is_directory(folder, error))
            return complain(
                {ErrorKind::usage, "there is no such folder", folder.string(), "create it first"});
        return complain({ErrorKind::system, "cannot write the file", o.file,
                         "check that you may write to the folder and that the disk has room"});
    }
    if (o.json) print_json({{"written", o.file}, {"labels", count}});
    say("written: " + o.file);
    return kYes;
}

// Applies and stores the edits; all of them were checked before the first is stored.
int store(const LabelOptions& o, Open& session, const std::vector<LabelEdit>& edits) {
    std::vector<LabelEdit> applied;
    for (LabelEdit edit : edits) {
        if (!o.author.empty()) edit.author = o.author;
        if (edit.author.empty()) edit.author = "person";
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

// Session seconds of the last sample, or of the end. A board that runs faster than the clock has samples
// after it.
double end_of(const SessionReader& reader) {
    double end = reader.duration();
    for (const SessionStream& stream : reader.streams())
        for (const RowRun& run : stream.runs)
            if (stream.info.rate_num != 0)
                end = std::max(end, run.time + double(run.count) / stream.info.rate());
    return end;
}

// Names of stream and channel become numbers, by the rules of a label file; a label lies within the
// recording.
Status place(const Open& session, const LabelOptions& o, Label* label) {
    const double end = end_of(*session.reader);
    for (const double time : {label->start, label->stop})
        if (time < 0 || time > end + 1)  // a hand may end a label a little late
            return fail(ErrorKind::usage, storage::shortest(time) + " s lies outside of the session",
                        o.session, "it lasts from 0 to " + storage::shortest(end) + " s");
    if (!o.stream && !o.channel) return {};
    storage::LabelLine line;
    line.label = *label;
    line.label.stream = line.label.channel = -1;
    line.stream = o.stream ? *o.stream : stream_name(session, *label);
    line.channel = o.channel.value_or("");
    const auto found = storage::resolve(line, session.streams);
    std::string known;
    for (const StreamInfo& stream : session.streams)
        known += (known.empty() ? "its streams are " : ", ") + stream.name;
    for (const StreamInfo& stream : session.streams)
        if (stream.name == line.stream) {
            known.clear();
            for (const ChannelInfo& channel : stream.channels)
                known += (known.empty() ? "its channels are " : ", ") + channel.name;
        }
    if (!found) return fail(ErrorKind::usage, found.error().what, o.session, known);
    if (!line.channel.empty() && found->channel < 0)
        return fail(ErrorKind::usage, "no stream, or more than one, has a channel \"" + line.channel + "\"",
                    o.session, "name the stream, too: " + known);
    label->stream = found->stream;
    label->channel = found->channel;
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
    if (!o.start && !o.stop && !o.label_class && !o.note && !o.stream && !o.channel)
        return complain({ErrorKind::usage, "nothing to change was given", o.session,
                         "name one of --start, --stop, --class, --stream, --channel, --note"});
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

// What a file tells of classes and the session does not know yet; what it knows stays as it is.
std::vector<LabelClass> missing_in(const std::vector<LabelClass>& known,
                                   const std::vector<LabelClass>& told) {
    std::map<std::string, LabelClass> merged;
    for (const LabelClass& c : known)
        merged[c.name] = c;
    std::vector<LabelClass> missing;
    for (const LabelClass& c : told) {
        LabelClass& mine = merged[c.name];
        const bool free = std::none_of(merged.begin(), merged.end(), [&](const auto& entry) {
            return entry.first != c.name && entry.second.hotkey == c.hotkey;
        });
        const bool more = mine.name.empty() || (mine.color.empty() && !c.color.empty()) ||
                          (mine.hotkey == 0 && c.hotkey != 0 && free) || (mine.hed.empty() && !c.hed.empty());
        mine.name = c.name;
        if (mine.color.empty()) mine.color = c.color;
        if (mine.hotkey == 0 && free) mine.hotkey = c.hotkey;
        if (mine.hed.empty()) mine.hed = c.hed;
        if (more) missing.push_back(mine);
    }
    return missing;
}

int import_labels(const LabelOptions& o) {
    auto session = open(o.session);
    if (!session) return complain(session.error());
    const auto format = storage::label_format(o.file, o.format);
    if (!format) return complain(format.error());
    std::vector<LabelClass> told;
    const auto lines = storage::read_labels(o.file, *format, &told);
    if (!lines) return complain(lines.error());
    std::vector<LabelEdit> edits;
    size_t outside = 0;
    size_t known = 0;  // the same file twice
    std::set<std::tuple<double, double, std::string, int, int>> there;
    const auto place_of = [](const Label& l) {
        return std::tuple(l.start, l.stop, l.label_class, l.stream, l.channel);
    };
    for (const auto& [id, label] : session->track.labels())
        there.insert(place_of(label));
    const double end = end_of(*session->reader);
    for (const storage::LabelLine& line : *lines) {
        const auto label = storage::resolve(line, session->streams);
        if (!label)
            return complain({ErrorKind::usage, label.error().what,
                             o.file + ": line " + std::to_string(line.line),
                             "'lockstep session info' lists the streams"});
        outside += label->start < 0 || label->stop > end + 1;
        known += there.count(place_of(*label));
        LabelEdit edit;
        edit.after = *label;
        edit.after.id = 0;
        edit.author = line.author;
        edit.after.source = "import";
        edit.reason = "import";
        edits.push_back(std::move(edit));
    }
    if (outside > 0)
        say(std::to_string(outside) + " labels lie outside of the session's " + storage::shortest(end) +
            " s");
    if (edits.empty()) say(o.file + ": holds no labels");
    if (known > 0)
        say(std::to_string(known) + " of " + std::to_string(edits.size()) +
            " labels stood there already and do so twice now");
    const std::vector<LabelClass> classes = missing_in(session->reader->classes(), told);
    const int status = store(o, *session, edits);
    if (status != kYes || classes.empty()) return status;
    auto editor = storage::open_label_editor(o.session);
    if (!editor) return complain(editor.error());
    for (const LabelClass& c : classes)
        if (const Status stored = (*editor)->append_class(c); !stored) return complain(stored.error());
    return kYes;
}

// A class of the session: made when it is new, else changed where something is given.
int set_class(const LabelOptions& o) {
    if (o.name.find_first_not_of(' ') == std::string::npos)
        return complain({ErrorKind::usage, "a class without a name", "--name", "name it"});
    auto session = open(o.session);
    if (!session) return complain(session.error());
    LabelClass c;
    for (const LabelClass& known : session->reader->classes())
        if (known.name == o.name) c = known;
    c.name = o.name;
    if (o.color) c.color = *o.color;
    if (o.hotkey) c.hotkey = o.hotkey->empty() ? char(0) : (*o.hotkey)[0];
    if (o.hed) c.hed = *o.hed;
    const auto is_hex = [](char x) { return std::isxdigit(static_cast<unsigned char>(x)) != 0; };
    if (!c.color.empty() && (c.color.size() != 7 || c.color[0] != '#' ||
                             !std::all_of(c.color.begin() + 1, c.color.end(), is_hex)))
        return complain({ErrorKind::usage, "\"" + c.color + "\" is no colour", "--color", "#rrggbb"});
    if (c.hotkey != 0 && (c.hotkey < '1' || c.hotkey > '9' || o.hotkey.value_or("1").size() > 1))
        return complain({ErrorKind::usage, "a hotkey is one of 1 to 9", "--hotkey", ""});
    std::vector<LabelClass> changed = {c};
    // A key is one class's: who takes it takes it away.
    for (LabelClass other : session->reader->classes())
        if (o.hotkey && c.hotkey != 0 && other.hotkey == c.hotkey && other.name != c.name) {
            say(std::string("key ") + c.hotkey + " was that of " + other.name + ", which has none now");
            other.hotkey = 0;
            changed.push_back(other);
        }
    session->reader.reset();
    auto editor = storage::open_label_editor(o.session);
    if (!editor) return complain(editor.error());
    for (const LabelClass& each : changed)
        if (const Status stored = (*editor)->append_class(each); !stored) return complain(stored.error());
    if (o.json) {
        Json out = {{"classes", Json::array()}};
        for (const LabelClass& each : changed)
            out["classes"].push_back(class_json(each));
        print_json(out);
    }
    say(o.session + ": class " + c.name);
    return kYes;
}

int agreement(const LabelOptions& o) {
    // Annotators by recording: copies of a session that people annotated apart are one recording.
    struct Recorded {
        double duration = 0;
        std::map<std::string, std::vector<Label>> by_author;
    };
    std::map<std::string, Recorded> recordings;
    std::set<std::string> authors;
    for (const std::string& path : o.sessions) {
        const auto session = open(path);
        if (!session) return complain(session.error());
        Recorded& r = recordings[session->reader->header().identifier];
        r.duration = std::max(r.duration, session->reader->duration());
        std::set<std::string> here;
        for (const LabelEdit& edit : session->track.history())
            here.insert(edit.author);
        for (const std::string& author : here) {
            // One name in two copies is two annotators; the file tells them apart.
            const std::string name =
                r.by_author.count(author) == 0
                    ? author
                    : author + " (" + std::filesystem::path(path).filename().string() + ")";
            r.by_author[name] = of_author(*session, author);
            authors.insert(name);
        }
    }
    std::vector<std::string> wanted = o.authors;
    if (wanted.empty()) wanted.assign(authors.begin(), authors.end());
    for (const std::string& name : wanted)
        if (authors.count(name) == 0)
            return complain({ErrorKind::usage, "nobody called \"" + name + "\" edited these labels",
                             o.sessions.front(), "'lockstep label list' shows who did"});
    if (wanted.size() < 2)
        return complain({ErrorKind::usage, "there is only one annotator", o.sessions.front(),
                         "give sessions that two people labelled, with label add --author"});
    Json pairs = Json::array();
    const auto together = [&](const std::string& a, const std::string& b) {
        return std::any_of(recordings.begin(), recordings.end(), [&](const auto& entry) {
            return entry.second.by_author.count(a) + entry.second.by_author.count(b) == 2;
        });
    };
    for (size_t i = 0; i < wanted.size(); ++i)
        for (size_t k = i + 1; k < wanted.size(); ++k) {
            if (!together(wanted[i], wanted[k])) continue;
            storage::Agreement total({o.overlap, o.tolerance});
            for (auto& [identifier, r] : recordings)
                if (r.by_author.count(wanted[i]) + r.by_author.count(wanted[k]) != 0)
                    total.add(r.by_author[wanted[i]], r.by_author[wanted[k]], r.duration);
            Json classes = Json::object();
            for (const storage::ClassAgreement& c : total.events())
                classes[c.label_class.empty() ? "*" : c.label_class] = {
                    {"f1", c.f1()}, {"both", c.both}, {"only_a", c.only_a}, {"only_b", c.only_b}};
            pairs.push_back({{"a", wanted[i]},
                             {"b", wanted[k]},
                             {"seconds", total.seconds()},
                             {"seconds_agreed", total.seconds_agreed()},
                             {"kappa", total.kappa()},
                             {"events", classes}});
            if (o.json) continue;
            std::printf("%s, %s: kappa %.3f over %.1f s, event F1 %.3f\n", wanted[i].c_str(),
                        wanted[k].c_str(), total.kappa(), total.seconds(), total.events()[0].f1());
            for (size_t c = 1; c < total.events().size(); ++c)
                std::printf("  %-16s F1 %.3f  %llu by both, %llu and %llu by one\n",
                            total.events()[c].label_class.c_str(), total.events()[c].f1(),
                            static_cast<unsigned long long>(total.events()[c].both),
                            static_cast<unsigned long long>(total.events()[c].only_a),
                            static_cast<unsigned long long>(total.events()[c].only_b));
        }
    if (pairs.empty())
        return complain({ErrorKind::usage, "no recording was labelled by two of them", o.sessions.front(),
                         "give copies of one session, or one that several people labelled"});
    if (o.json) print_json({{"pairs", pairs}});
    return kYes;
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
        sub->add_option("--channel", o->channel, "Name of the channel, or its number from 0; without it all");
        sub->add_option("--note", o->note, "Free text");
        sub->add_option("--author", o->author, "Who edits");
    };
    command("list", "Labels by time", list);
    fields(command("add", "Add a label", add), true);
    CLI::App* change = command("edit", "Change a label", edit);
    change->add_option("--id", o->id, "Number of the label")->required()->check(between(1, 1e15));
    fields(change, false);
    CLI::App* removal = command("delete", "Delete a label; the history keeps it", remove);
    removal->add_option("--id", o->id, "Number of the label")->required()->check(between(1, 1e15));
    removal->add_option("--author", o->author, "Who edits");
    const auto file = [&](CLI::App* sub, const char* text) {
        sub->add_option("file", o->file, text)->required();
        sub->add_option("--format", o->format, "csv, tsv, audacity, json, edf; found from the name's ending");
    };
    CLI::App* import = command("import", "Add the labels of a file", import_labels);
    file(import, "CSV, BIDS events.tsv, Audacity .txt, JSON or EDF+; - for standard input");
    import->add_option("--author", o->author, "Who edits");
    CLI::App* out = command("export", "Write the labels as a file of another tool", export_labels);
    file(out, "A new file .csv, .tsv, .txt, .json or .edf, or - for standard output");
    out->add_option("--author", o->author, "Only what this person edited last");
    CLI::App* kind = command("class", "Add or change a class of labels", set_class);
    kind->add_option("--name", o->name, "Of the class")->required();
    kind->add_option("--color", o->color, "#rrggbb");
    kind->add_option("--hotkey", o->hotkey, "1 to 9, empty for none");
    kind->add_option("--hed", o->hed, "Tags of the Hierarchical Event Descriptors");
    CLI::App* agree = label->add_subcommand("agreement", "How far annotators agree: Cohen's kappa, event F1");
    agree->add_option("sessions", o->sessions, "NAME.h5 ..., copies of a recording count as one")->required();
    agree->add_option("--authors", o->authors, "A,B: these only")->delimiter(',');
    agree->add_option("--overlap", o->overlap, "Intersection over union from which two intervals match (0.5)")
        ->check(between(0, 1));
    agree->add_option("--tolerance", o->tolerance, "Between points that match (0.1)")
        ->check(between(0, 1e6, "seconds"));
    agree->add_flag("--json", o->json, "One JSON object on standard output");
    agree->callback([=] { *chosen = [=] { return agreement(*o); }; });
}

}  // namespace lockstep::app
