// BIDS 1.8: EEG as BDF+ with its sidecars, every other stream as `_physio.tsv.gz` at its own rate under
// its own `recording-`, labels as events, and the tables that make a folder a data set.
#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "storage/formats/exports.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"
#include "storage/layout.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

// BIDS labels hold letters and digits only.
std::string bids_label(const std::string& text, const std::string& fallback) {
    std::string label;
    for (const char c : file_safe(text))
        if (c != '-') label += c;
    return text.empty() || label.empty() ? fallback : label;
}

Status write_text(const fs::path& path, const std::string& text) {
    TextFile file(path.string());
    file.write(text);
    return file.close();
}

Status write_json(const fs::path& path, const json& j) {
    return write_text(path, j.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

// The time of a recording's files: that of the EEG's samples at their nominal rate (as BDF counts it),
// session seconds where there is no EEG. Nothing of a device that runs slow or fast is stretched.
struct Clock {
    std::function<double(double)> seconds = [](double time) { return time; };
    double pace = 1;  // its seconds per session second
};

Clock clock_of(const SessionReader& session, const std::vector<int>& streams) {
    const auto& all = session.streams();
    double origin = row_time(all[size_t(streams.front())], 0);
    for (const int index : streams)
        origin = std::min(origin, row_time(all[size_t(index)], 0));
    const SessionStream& lead = all[size_t(streams.front())];
    const auto grid = std::make_shared<Grid>(lead, origin);
    return {[grid](double time) { return grid->seconds(time); }, true_rate(lead) / lead.info.rate()};
}

// The stream's rate on the clock; the nominal one where that makes no difference of half a sample.
double rate_on(const SessionStream& stream, const Clock& clock) {
    const double rate = true_rate(stream) / clock.pace;
    const double nominal = stream.info.rate();
    return std::fabs(rate / nominal - 1) * double(stream.rows) < 0.5 ? nominal : rate;
}

Status write_physio(SessionReader& session, int index, const Clock& clock, const fs::path& stem,
                    const Progress& progress) {
    const SessionStream& stream = session.streams()[size_t(index)];
    const size_t width = stream.info.channels.size();
    const double rate = rate_on(stream, clock);
    const Grid grid(stream, rate, clock.seconds);
    // gzopen stores neither a name nor a time: same content, same bytes.
    const std::string path = stem.string() + "_physio.tsv.gz";
    gzFile file = gzopen(path.c_str(), "wb6");
    if (file == nullptr) return fail(ErrorKind::system, "cannot be written", path);
    Status status;
    bool written = true;
    uint64_t end = 0;
    std::string hole;
    for (size_t c = 0; c < width; ++c)
        hole += c == 0 ? "n/a" : "\tn/a";
    hole += "\n";
    std::vector<int32_t> counts;
    for (const auto& piece : grid.pieces()) {
        for (; end < piece.position && written; ++end)
            written = gzwrite(file, hole.data(), unsigned(hole.size())) > 0;
        for (uint64_t done = 0; done < piece.count && status && written;) {
            const uint64_t n = std::min<uint64_t>(4096, piece.count - done);
            counts.resize(n * width);
            status = session.read(index, piece.row + done, n, counts.data());
            std::string text;
            for (uint64_t i = 0; i < n; ++i)
                for (size_t c = 0; c < width; ++c) {
                    const float value = physical(stream.info, c, counts[i * width + c]);
                    text += std::isfinite(value) ? number_text(value) : "n/a";
                    text += c + 1 < width ? '\t' : '\n';
                }
            written = gzwrite(file, text.data(), unsigned(text.size())) > 0;
            done += n;
            if (status && !progress(double(piece.row + done) / double(stream.rows)))
                status = fail(ErrorKind::usage, "stopped", path);
        }
        end = piece.position + piece.count;
    }
    if (gzclose(file) != Z_OK || !written)
        return fail(ErrorKind::system, "cannot be written; is the disk full?", path);
    if (!status) return status;
    json j = {{"SamplingFrequency", rate}, {"StartTime", clock.seconds(row_time(stream, 0))}};
    std::vector<std::string> columns;
    for (const ChannelInfo& channel : stream.info.channels)
        columns.push_back(channel.name);
    j["Columns"] = columns;
    for (const ChannelInfo& channel : stream.info.channels)
        j[channel.name] = {{"Units", channel.unit.empty() ? "n/a" : channel.unit}};
    return write_json(stem.string() + "_physio.json", j);
}

Status write_events(SessionReader& session, const Clock& clock, const fs::path& stem, bool* tagged) {
    auto labels = current_labels(session);
    if (!labels) return tl::make_unexpected(labels.error());
    std::map<std::string, std::string> hed;
    bool tags = false;
    for (const LabelClass& c : session.classes())
        hed[c.name] = c.hed;
    for (const Label& label : labels->labels)
        tags = tags || !hed[label.label_class].empty();
    *tagged = *tagged || tags;
    std::string text =
        std::string("onset\tduration\ttrial_type\tstream\tchannel") + (tags ? "\tHED\n" : "\n");
    for (const Label& label : labels->labels) {
        const double onset = clock.seconds(label.start);
        const double length = label.stop > label.start ? clock.seconds(label.stop) - onset : 0;
        text += number_text(onset) + "\t" + number_text(std::max(0.0, length)) + "\t" +
                tsv_field(label.label_class) + "\t" + tsv_field(stream_name(session, label)) + "\t" +
                tsv_field(channel_name(session, label)) +
                (tags ? "\t" + tsv_field(hed[label.label_class]) : "") + "\n";
    }
    if (auto status = write_text(stem.string() + "_events.tsv", text); !status) return status;
    return write_json(stem.string() + "_events.json",
                      {{"trial_type", {{"Description", "Class of the label"}}},
                       {"stream", {{"Description", "Stream that the label is about; n/a: all"}}},
                       {"channel", {{"Description", "Channel that the label is about; n/a: all"}}}});
}

// An EEG amplifier's other inputs are named by what lies on them.
const char* channel_type(const std::string& name) {
    static const struct {
        const char* part;
        const char* type;
    } known[] = {{"eog", "EOG"},     {"ecg", "ECG"},   {"ekg", "ECG"},   {"emg", "EMG"}, {"trig", "TRIG"},
                 {"status", "TRIG"}, {"resp", "RESP"}, {"temp", "TEMP"}, {"gsr", "GSR"}, {"eda", "GSR"}};
    std::string text = name;
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    for (const auto& entry : known)
        if (text.find(entry.part) != std::string::npos) return entry.type;
    return "EEG";
}

Status write_eeg(SessionReader& session, const std::vector<int>& streams, const fs::path& stem,
                 const std::string& task, const Progress& progress, ExportReport* report) {
    const fs::path file = stem.string() + "_eeg.bdf";
    std::vector<EdfSignal> signals;
    if (auto status = write_edf_file(session, streams, true, file.string(), progress, report, &signals);
        !status)
        return status;
    std::string channels = "name\ttype\tunits\tsampling_frequency\n";
    std::map<std::string, size_t> counts = {{"EEG", 0}, {"EOG", 0}, {"ECG", 0}, {"EMG", 0}, {"TRIG", 0}};
    const SessionStream& lead = session.streams()[size_t(streams.front())];
    size_t others = 0;
    for (const EdfSignal& signal : signals) {
        const std::string type = channel_type(signal.name);
        channels += tsv_field(signal.name) + "\t" + type + "\t" + tsv_field(signal.unit) + "\t" +
                    number_text(lead.info.rate()) + "\n";
        if (const auto counted = counts.find(type); counted != counts.end())
            ++counted->second;
        else
            ++others;
    }
    if (auto status = write_text(stem.string() + "_channels.tsv", channels); !status) return status;
    const std::string board = session.segments().empty() ? "" : session.segments().front().started.info.board;
    const double mains = session.header().mains_hz;
    json j = {{"TaskName", task.empty() ? "recording" : task},
              {"SamplingFrequency", lead.info.rate()},
              {"EEGChannelCount", counts["EEG"]},
              {"EOGChannelCount", counts["EOG"]},
              {"ECGChannelCount", counts["ECG"]},
              {"EMGChannelCount", counts["EMG"]},
              {"TriggerChannelCount", counts["TRIG"]},
              {"MiscChannelCount", others},
              {"EEGReference", "n/a"},
              {"SoftwareFilters", "n/a"},
              {"Manufacturer", board.empty() ? "n/a" : board},
              {"RecordingType", "continuous"},
              {"RecordingDuration", double(Grid(lead, row_time(lead, 0)).size()) / lead.info.rate()}};
    j["PowerLineFrequency"] = mains > 0 ? json(mains) : json("n/a");
    return write_json(stem.string() + "_eeg.json", j);
}

// What the whole folder needs to know of its sessions.
struct Folder {
    fs::path root;
    std::map<std::string, std::string> labels;  // subject -> BIDS label, one each
    std::set<std::string> used;
    std::map<std::string, std::string> scans;  // BIDS label -> lines
    std::map<std::string, int> runs;
    bool tagged = false;
    ExportReport report;
    Progress progress;  // of the session at hand

    // Two people never become one because a label holds fewer characters than a name.
    std::string label(const std::string& subject) {
        auto [found, fresh] = labels.try_emplace(subject);
        if (fresh) {
            const std::string stem = bids_label(subject, "unknown");
            found->second = stem;
            for (int n = 2; !used.insert(found->second).second; ++n)
                found->second = stem + "x" + std::to_string(n);
            if (found->second != stem)
                report.notes.push_back("another subject is sub-" + stem + " already: this one is sub-" +
                                       found->second);
        }
        return found->second;
    }
};

Status write_session(SessionReader& session, Folder* folder) {
    const SessionHeader& header = session.header();
    const std::string subject = folder->label(header.subject);
    const std::string task = bids_label(header.task, "recording");
    const int run = ++folder->runs[subject + "_" + task];
    const std::string first = "sub-" + subject + "_task-" + task;
    const std::string name = first + "_run-" + std::to_string(run);
    std::map<std::pair<uint32_t, uint32_t>, std::vector<int>> eeg;
    std::vector<int> physio;
    for (const int index : stored_streams(session)) {
        const StreamInfo& info = session.streams()[size_t(index)].info;
        if (info.kind == "eeg")
            eeg[{info.rate_num, info.rate_den}].push_back(index);
        else
            physio.push_back(index);
    }
    const fs::path place = folder->root / ("sub-" + subject) / (eeg.empty() ? "beh" : "eeg");
    std::error_code error;
    fs::create_directories(place, error);
    if (error) return fail(ErrorKind::system, "cannot be made: " + error.message(), place.string());
    std::string& scans = folder->scans[subject];
    size_t parts = 0;
    const double share = 1 / double(std::max<size_t>(1, eeg.size() + physio.size()));
    const auto part = [&]() -> Progress {
        return [&progress = folder->progress, from = share * double(parts++), share](double done) {
            return progress(from + share * done);
        };
    };
    for (const auto& [rate, streams] : eeg) {
        const SessionStream& lead = session.streams()[size_t(streams.front())];
        std::string stem = name;
        if (eeg.size() > 1)
            stem = first + "_acq-" + bids_label(lead.info.name, "eeg") + "_run-" + std::to_string(run);
        if (auto status = write_eeg(session, streams, place / stem, header.task, part(), &folder->report);
            !status)
            return status;
        if (auto status = write_events(session, clock_of(session, streams), place / stem, &folder->tagged);
            !status)
            return status;
        const int64_t start = header.start_utc_ns + int64_t(std::floor(row_time(lead, 0) * 1e9));
        scans += place.filename().string() + "/" + stem + "_eeg.bdf\t" +
                 (header.start_utc_ns == 0 ? "n/a" : utc_text(start)) + "\n";
    }
    const Clock clock = eeg.empty() ? Clock() : clock_of(session, eeg.begin()->second);
    if (eeg.empty())
        if (auto status = write_events(session, clock, place / name, &folder->tagged); !status) return status;
    std::set<std::string> used;
    for (const int index : physio) {
        std::string label = bids_label(session.streams()[size_t(index)].info.name, "stream");
        while (!used.insert(label).second)
            label += "x";
        if (auto status = write_physio(session, index, clock, place / (name + "_recording-" + label), part());
            !status)
            return status;
    }
    return {};
}

Status write_bids(SessionSource& sessions, const ExportOptions& options, const std::string& path,
                  ExportReport* report) {
    Folder folder;
    folder.root = path;
    const fs::path& root = folder.root;
    std::error_code error;
    fs::create_directories(root, error);
    if (error) return fail(ErrorKind::system, "cannot be made: " + error.message(), path);
    for (size_t i = 0; i < sessions.size(); ++i) {
        auto session = sessions.open(i);
        if (!session) return tl::make_unexpected(session.error());
        folder.progress = [&](double done) {
            return !options.progress || options.progress((double(i) + done) / double(sessions.size()));
        };
        if (auto status = write_session(**session, &folder); !status) return status;
    }
    std::string participants = "participant_id\n";
    for (const auto& [subject, lines] : folder.scans) {
        participants += "sub-" + subject + "\n";
        if (!lines.empty())
            if (auto status = write_text(root / ("sub-" + subject) / ("sub-" + subject + "_scans.tsv"),
                                         "filename\tacq_time\n" + lines);
                !status)
                return status;
    }
    if (auto status = write_text(root / "participants.tsv", participants); !status) return status;
    if (auto status = write_text(root / "README",
                                 "Recorded with Lockstep and exported to BIDS.\n\n"
                                 "EEG is BDF+ with the digits that the amplifier sent; every other stream is "
                                 "a physio table at its\n"
                                 "own rate. Times of events and tables are seconds from the first EEG "
                                 "sample, or from the start of\n"
                                 "the session where there is no EEG. Samples that were lost are n/a in "
                                 "tables; in BDF+ they hold the\n"
                                 "value before them and are annotated BAD_gap.\n");
        !status)
        return status;
    json description = {{"Name", root.filename().string()},
                        {"BIDSVersion", "1.8.0"},
                        {"DatasetType", "raw"},
                        {"GeneratedBy", json::array({{{"Name", "Lockstep"}}})}};
    if (folder.tagged) description["HEDVersion"] = "8.2.0";
    if (auto status = write_json(root / "dataset_description.json", description); !status) return status;
    report->notes = folder.report.notes;
    report->files.push_back(path);
    return {};
}

}  // namespace

ExportFormat bids_format() {
    return {"bids", "BIDS folder: EEG as BDF+, other streams as physio tables", "", true, {}, write_bids};
}

}  // namespace lockstep::storage
