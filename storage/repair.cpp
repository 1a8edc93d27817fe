#include "storage/repair.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "storage/event_codec.h"
#include "storage/event_time.h"
#include "storage/file.h"
#include "storage/h5.h"
#include "storage/recorder.h"
#include "storage/session_file.h"
#include "storage/worker.h"

namespace lockstep::storage {
namespace {

// An hour of many channels is far quicker than this.
int time_limit(const std::string& journal) {
    std::error_code none;
    const auto bytes = std::filesystem::file_size(journal, none);
    return 600 + (none ? 0 : int(std::min<uintmax_t>(bytes >> 20, 86400)));
}

// Gaps for samples whose journal records were lost: the sample counters tell.
class HoleFinder {
  public:
    std::optional<Gap> before(const Event& event) {
        if (const auto* gap = std::get_if<Gap>(&event)) {
            auto& next = next_[{gap->stream, gap->segment}];
            next = std::max(next, gap->first + gap->missing);
        } else if (const auto* shared = std::get_if<std::shared_ptr<const Block>>(&event)) {
            const Block& block = **shared;
            auto& next = next_[{block.stream, block.segment}];
            std::optional<Gap> hole;
            if (block.first > next)
                hole =
                    Gap{block.stream, block.segment, next, block.first - next, GapCause::host, block.host_ns};
            next = std::max(next, block.first + block.count);
            return hole;
        }
        return std::nullopt;
    }

  private:
    std::map<std::pair<int, int>, uint64_t> next_;
};

// Label edits whose predecessors were lost: a change of a label that is not there adds it, a removal of one
// is dropped, and one that is there is not added again.
class HistoryMender {
  public:
    bool mend(LabelEdit* edit) {
        const uint64_t id = edit->operation == LabelOperation::add ? edit->after.id : edit->before.id;
        const auto found = labels_.find(id);
        if (edit->operation == LabelOperation::remove) {
            if (found == labels_.end()) return false;
            labels_.erase(found);
            return true;
        }
        if (found == labels_.end()) {
            edit->operation = LabelOperation::add;
            edit->before = Label{};
        } else if (edit->operation == LabelOperation::add) {
            edit->operation = LabelOperation::change;
            edit->before = found->second;
        }
        labels_[id] = edit->after;
        return true;
    }

  private:
    std::map<uint64_t, Label> labels_;
};

std::string describe(const RecoveryReport& r) {
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%.1f", r.seconds);
    std::string text = "recovered " + std::to_string(r.events) + " events, " + std::to_string(r.samples) +
                       " values, " + seconds + " s";
    if (r.journal.torn_bytes != 0)
        text += "; " + std::to_string(r.journal.torn_bytes) +
                " bytes of an unfinished record at the end were dropped";
    if (r.journal.damaged_bytes != 0)
        text += "; " + std::to_string(r.journal.damaged_bytes) + " damaged bytes were skipped, " +
                std::to_string(r.gaps_added) + " gaps added";
    return text;
}

// A build that stopped for lack of space: how much is missing, as far as what it got done tells.
// `file_bytes`: what it would have taken, for so much of the journal.
Error no_room(const Error& error, const std::string& journal, const std::string& building,
              uint64_t file_bytes, uint64_t journal_bytes) {
    constexpr uint64_t kLastChunks = 1u << 20;  // no more fits than that
    const uint64_t room = free_space(building);
    if (room > kLastChunks) return error;  // something else
    std::error_code none;
    const double all = double(std::filesystem::file_size(journal, none));
    if (none) return error;
    const double share = std::clamp(double(journal_bytes) / std::max(all, 1.0), 0.001, 1.0);
    // A short beginning says little about the rest; a session is never larger than its journal by more than
    // this.
    const double size = share > 0.1 ? double(file_bytes) / share : all + double(kLastChunks);
    const double have = double(disk_bytes(building)) + double(room);
    const auto missing = uint64_t(std::max(size * 1.05 - have, 4096.0));
    const bool beside = folder_of(journal) == folder_of(building);
    Error told{ErrorKind::system,
               "there is no room for the session" + std::string(beside ? " beside its journal" : "") +
                   ": about " + std::to_string(missing) + " bytes more are needed; nothing was changed",
               building,
               {}};
    const std::string suffix = ".tmp";
    told.where.resize(told.where.size() - std::min(suffix.size(), told.where.size()));
    told.remedy =
        "free them, or write it to another disk: lockstep session repair " + journal + " -o OTHER_FOLDER";
    return told;
}

nlohmann::json to_json(const RecoveryReport& r) {
    return {{"path", r.path},
            {"events", r.events},
            {"samples", r.samples},
            {"seconds", r.seconds},
            {"gaps_added", r.gaps_added},
            {"records", r.journal.records},
            {"whole", r.journal.whole_bytes},
            {"torn", r.journal.torn_bytes},
            {"damaged", r.journal.damaged_bytes},
            {"lost", r.journal.lost_records},
            {"ended", r.journal.ended}};
}

}  // namespace

Result<RecoveryReport> build_from_journal(const std::string& journal, const std::string& building,
                                          const std::string& state) {
    RecoveryReport report;
    // A first pass for what is damaged, and the first time stamp, should the first record be.
    WriterOptions options;
    bool known = false;
    int64_t first_ns = 0;
    auto scan = read_journal(journal, [&](RecordKind kind, Bytes payload) {
        Event event;
        if (kind == RecordKind::options && !known)
            known = decode(payload, &options);
        else if (kind == RecordKind::event && first_ns == 0 && decode(payload, &event))
            first_ns = event_time(event);
        return true;
    });
    if (!scan) return tl::make_unexpected(scan.error());
    report.journal = *scan;
    if (!known) options.header.start_host_ns = first_ns;

    auto file = SessionFile::create(building, options);
    if (!file) {
        const Error error = no_room(file.error(), journal, building, 0, 0);
        remove_file(building);
        return tl::make_unexpected(error);
    }
    HoleFinder holes;
    HistoryMender history;
    int64_t last_ns = options.header.start_host_ns;
    Status status;
    uint64_t done = 0, size = 0;  // bytes of the journal, and what they take in the file
    auto read = read_journal(journal, [&](RecordKind kind, Bytes payload) {
        done += payload.size();
        if (kind == RecordKind::label_class) {
            LabelClass label_class;
            if (decode(payload, &label_class)) status = (*file)->add_class(label_class);
        } else if (kind == RecordKind::event) {
            Event event;
            if (!decode(payload, &event)) return true;  // its checksum holds, so an unknown kind of event
            last_ns = std::max(last_ns, event_time(event));
            if (report.journal.damaged_bytes != 0) {
                if (const auto gap = holes.before(event)) {
                    status = (*file)->add(*gap);
                    ++report.gaps_added;
                }
                if (auto* edit = std::get_if<LabelEdit>(&event); edit != nullptr && !history.mend(edit))
                    return true;
            }
            if (status) status = (*file)->add(event);
            ++report.events;
        }
        return bool(status);
    });
    if (!read) status = tl::make_unexpected(read.error());
    report.samples = (*file)->samples();
    report.seconds = double(last_ns - options.header.start_host_ns) / 1e9;
    report.path = building;
    report.text = describe(report);
    if (status && state == "recovered")
        (*file)->note_step("session repair", nlohmann::json{{"report", report.text}}.dump());
    size = (*file)->size_at_end();
    if (status) status = (*file)->close(state);
    if (!status) {
        file->reset();
        const Error error = no_room(status.error(), journal, building, size, done);
        remove_file(building);
        return tl::make_unexpected(error);
    }
    return report;
}

Status verify_and_name(const std::string& building, const std::string& path) {
    remember_own(building);
    auto problems = verify(building, Depth::storage);
    if (!problems) return tl::make_unexpected(problems.error());
    if (!problems->empty())
        return fail(ErrorKind::system, "the new file does not verify: " + problems->front(), building,
                    "keep the journal and report this");
    if (auto ok = sync_file(building); !ok) return ok;
    if (auto ok = rename_new(building, path); !ok) return ok;
    remember_own(path);
    return sync_folder(path);
}

Result<std::string> recover_here(const std::string& journal, const std::string& building,
                                 const std::string& target) {
    auto report = build_from_journal(journal, building, "recovered");
    if (!report) return tl::make_unexpected(report.error());
    if (auto ok = verify_and_name(building, target); !ok) return tl::make_unexpected(ok.error());
    return to_json(*report).dump();
}

Result<RecoveryReport> recover(const std::string& given, const std::string& output) {
    const std::string suffix = ".journal";
    const bool is_journal = given.size() > suffix.size() &&
                            given.compare(given.size() - suffix.size(), suffix.size(), suffix) == 0;
    const std::string path = is_journal ? given.substr(0, given.size() - suffix.size()) : given;
    const std::string journal = path + suffix;
    std::string target = output.empty() ? path : output;
    std::error_code ignored;
    if (std::filesystem::is_directory(target, ignored)) target += "/" + path.substr(path.rfind('/') + 1);
    if (!exists(journal)) {
        if (!exists(path)) return fail(ErrorKind::usage, "there is neither a session nor a journal", path);
        auto problems = verify(path, Depth::storage);
        if (!problems) return tl::make_unexpected(problems.error());
        if (!problems->empty())
            return fail(
                ErrorKind::usage,
                "the session is damaged (" + problems->front() + ") and there is no journal to make it from",
                path);
        RecoveryReport report;
        report.path = path;
        report.text = "the session is in order; nothing to repair";
        return report;
    }
    auto lock = FileLock::take(journal);
    if (lock) give_back(journal);  // what the recorder had reserved is room for the session
    if (!lock) {
        Error error = lock.error();
        error.what = "the recording is still running";
        error.remedy = "finish it first";
        return tl::make_unexpected(error);
    }
    if (!output.empty() && exists(target))
        return fail(ErrorKind::usage, "the file exists; nothing is ever overwritten", target,
                    "choose another name");
    if (output.empty() && exists(path)) {
        auto problems = verify(path, Depth::storage);
        if (problems && problems->empty()) {  // cut short between the last two steps of finish()
            remove_file(journal);
            RecoveryReport report;
            report.path = path;
            report.text = "the session is in order; its left-over journal was removed";
            return report;
        }
        if (auto moved = rename_new(path, path + ".broken"); !moved)
            return tl::make_unexpected(moved.error());
    }

    const std::string building = building_path(target);
    remove_file(building);
    auto made = run_worker({"recover", journal, building, target}, path, time_limit(journal));
    if (!made) {
        remove_file(building);
        return tl::make_unexpected(made.error());
    }
    if (output.empty()) remove_file(journal);
    const nlohmann::json j = nlohmann::json::parse(*made, nullptr, false);
    RecoveryReport report;
    report.path = target;
    report.events = j.value("events", uint64_t(0));
    report.samples = j.value("samples", uint64_t(0));
    report.seconds = j.value("seconds", 0.0);
    report.gaps_added = j.value("gaps_added", uint64_t(0));
    report.journal = {j.value("records", uint64_t(0)), j.value("whole", uint64_t(0)),
                      j.value("torn", uint64_t(0)),    j.value("damaged", uint64_t(0)),
                      j.value("lost", uint64_t(0)),    j.value("ended", false)};
    report.text = describe(report) + (output.empty() ? "" : "; the journal is as it was");
    return report;
}

}  // namespace lockstep::storage
