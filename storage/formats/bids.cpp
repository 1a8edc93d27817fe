// BIDS 1.8: EEG as BDF+ with its sidecars, every other stream as `_physio.tsv.gz` at its own rate under
// its own `recording-`, labels as events, and the tables that make a folder a data set.
#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "storage/formats/exports.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"

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

Status write_physio(SessionReader& session, int index, const fs::path& stem) {
    const SessionStream& stream = session.streams()[size_t(index)];
    const size_t width = stream.info.channels.size();
    const double origin = row_time(stream, 0);
    Grid grid(stream, origin);
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
        }
        end = piece.position + piece.count;
    }
    if (gzclose(file) != Z_OK || !written)
        return fail(ErrorKind::system, "cannot be written; is the disk full?", path);
    if (!status) return status;
    json j = {{"SamplingFrequency", stream.info.rate()}, {"StartTime", origin}};
    std::vector<std::string> columns;
    for (const ChannelInfo& channel : stream.info.channels)
        columns.push_back(channel.name);
    j["Columns"] = columns;
    for (const ChannelInfo& channel : stream.info.channels)
        j[channel.name] = {{"Units", channel.unit.empty() ? "n/a" : channel.unit}};
    return write_json(stem.string() + "_physio.json", j);
}

Status write_events(SessionReader& session, double origin, const fs::path& stem) {
    auto labels = current_labels(session);
    if (!labels) return tl::make_unexpected(labels.error());
    std::map<std::string, std::string> hed;
    for (const LabelClass& c : session.classes())
        hed[c.name] = c.hed;
    std::string text = "onset\tduration\ttrial_type\tstream\tchannel\tHED\n";
    for (const Label& label : labels->labels) {
        const auto& streams = session.streams();
        const bool known = label.stream >= 0 && size_t(label.stream) < streams.size();
        const StreamInfo* info = known ? &streams[size_t(label.stream)].info : nullptr;
        const bool one =
            info != nullptr && label.channel >= 0 && size_t(label.channel) < info->channels.size();
        text += number_text(label.start - origin) + "\t" + number_text(label.stop - label.start) + "\t" +
                tsv_field(label.label_class) + "\t" + tsv_field(info != nullptr ? info->name : "") + "\t" +
                tsv_field(one ? info->channels[size_t(label.channel)].name : "") + "\t" +
                tsv_field(hed[label.label_class]) + "\n";
    }
    if (auto status = write_text(stem.string() + "_events.tsv", text); !status) return status;
    return write_json(stem.string() + "_events.json",
                      {{"trial_type", {{"Description", "Class of the label"}}},
                       {"stream", {{"Description", "Stream that the label is about; n/a: all"}}},
                       {"channel", {{"Description", "Channel that the label is about; n/a: all"}}}});
}

Status write_eeg(SessionReader& session, const std::vector<int>& streams, const fs::path& stem,
                 const std::string& task, ExportReport* report) {
    const fs::path file = stem.string() + "_eeg.bdf";
    if (auto status = write_edf_file(session, streams, true, file.string(), report); !status) return status;
    std::string channels = "name\ttype\tunits\tsampling_frequency\n";
    size_t count = 0;
    const double rate = session.streams()[size_t(streams.front())].info.rate();
    for (const int index : streams)
        for (const ChannelInfo& channel : session.streams()[size_t(index)].info.channels) {
            channels += tsv_field(channel.name) + "\tEEG\t" + tsv_field(channel.unit) + "\t" +
                        number_text(rate) + "\n";
            ++count;
        }
    if (auto status = write_text(stem.string() + "_channels.tsv", channels); !status) return status;
    std::string board = session.segments().empty() ? "" : session.segments().front().started.info.board;
    return write_json(stem.string() + "_eeg.json", {{"TaskName", task},
                                                    {"SamplingFrequency", rate},
                                                    {"EEGChannelCount", count},
                                                    {"EEGReference", "n/a"},
                                                    {"PowerLineFrequency", session.header().mains_hz},
                                                    {"SoftwareFilters", "n/a"},
                                                    {"Manufacturer", board.empty() ? "n/a" : board},
                                                    {"RecordingType", "continuous"},
                                                    {"RecordingDuration", session.duration()}});
}

Status write_session(SessionReader& session, const fs::path& root, const std::string& subject,
                     const std::string& task, int run, std::string* scan, ExportReport* report) {
    const std::string name = "sub-" + subject + "_task-" + task + "_run-" + std::to_string(run);
    std::map<std::pair<uint32_t, uint32_t>, std::vector<int>> eeg;
    std::vector<int> physio;
    for (const int index : stored_streams(session)) {
        const StreamInfo& info = session.streams()[size_t(index)].info;
        if (info.kind == "eeg")
            eeg[{info.rate_num, info.rate_den}].push_back(index);
        else
            physio.push_back(index);
    }
    const fs::path folder = root / ("sub-" + subject) / (eeg.empty() ? "beh" : "eeg");
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return fail(ErrorKind::system, "cannot be made: " + error.message(), folder.string());
    for (const auto& [rate, streams] : eeg) {
        std::string stem = name;
        if (eeg.size() > 1)
            stem = "sub-" + subject + "_task-" + task + "_acq-" +
                   bids_label(session.streams()[size_t(streams.front())].info.name, "eeg") + "_run-" +
                   std::to_string(run);
        if (auto status = write_eeg(session, streams, folder / stem, task, report); !status) return status;
        double origin = row_time(session.streams()[size_t(streams.front())], 0);
        for (const int index : streams)
            origin = std::min(origin, row_time(session.streams()[size_t(index)], 0));
        if (auto status = write_events(session, origin, folder / stem); !status) return status;
        *scan += folder.filename().string() + "/" + stem + "_eeg.bdf\n";
    }
    if (eeg.empty())
        if (auto status = write_events(session, 0, folder / name); !status) return status;
    std::set<std::string> used;
    for (const int index : physio) {
        std::string label = bids_label(session.streams()[size_t(index)].info.name, "stream");
        while (!used.insert(label).second)
            label += "x";
        if (auto status = write_physio(session, index, folder / (name + "_recording-" + label)); !status)
            return status;
    }
    return {};
}

Status write_bids(SessionSource& sessions, const ExportOptions& options, const std::string& path,
                  ExportReport* report) {
    const fs::path root = path;
    std::error_code error;
    fs::create_directories(root, error);
    if (error) return fail(ErrorKind::system, "cannot be made: " + error.message(), path);
    std::map<std::string, std::string> scans;  // subject -> lines; also the list of participants
    std::map<std::string, int> runs;
    ExportReport inner;  // the folder is the output; its many files are not listed one by one
    for (size_t i = 0; i < sessions.size(); ++i) {
        auto session = sessions.open(i);
        if (!session) return tl::make_unexpected(session.error());
        const SessionHeader& header = (*session)->header();
        const std::string subject = bids_label(header.subject, "unknown");
        const std::string task = bids_label(header.task, "recording");
        const int run = ++runs[subject + "_" + task];
        if (auto status = write_session(**session, root, subject, task, run, &scans[subject], &inner);
            !status)
            return status;
        if (options.progress && !options.progress(double(i + 1) / double(sessions.size())))
            return fail(ErrorKind::usage, "stopped", path);
    }
    std::string participants = "participant_id\n";
    for (const auto& [subject, lines] : scans) {
        participants += "sub-" + subject + "\n";
        if (!lines.empty())
            if (auto status = write_text(root / ("sub-" + subject) / ("sub-" + subject + "_scans.tsv"),
                                         "filename\n" + lines);
                !status)
                return status;
    }
    if (auto status = write_text(root / "participants.tsv", participants); !status) return status;
    if (auto status = write_text(root / "README", "Recorded with Lockstep and exported to BIDS.\n"); !status)
        return status;
    if (auto status = write_json(root / "dataset_description.json",
                                 {{"Name", root.filename().string()},
                                  {"BIDSVersion", "1.8.0"},
                                  {"DatasetType", "raw"},
                                  {"GeneratedBy", json::array({{{"Name", "Lockstep"}}})}});
        !status)
        return status;
    report->notes = inner.notes;
    report->files.push_back(path);
    return {};
}

}  // namespace

ExportFormat bids_format() {
    return {"bids", "BIDS folder: EEG as BDF+, other streams as physio tables", "", true, {}, write_bids};
}

}  // namespace lockstep::storage
