#include "storage/append.h"

#include <algorithm>
#include <map>

#include "storage/file.h"
#include "storage/label_editor.h"
#include "storage/origin.h"
#include "storage/reader.h"
#include "storage/recorder.h"
#include "storage/repair.h"
#include "storage/session_file.h"
#include "storage/worker.h"

namespace lockstep::storage {
namespace {

bool same_stream(const StreamInfo& a, const StreamInfo& b) {
    return a.name == b.name && a.type == b.type && a.channels.size() == b.channels.size() &&
           a.rate_num == b.rate_num && a.rate_den == b.rate_den;
}

// A device is known again by its serial number, or by its address without the options.
std::pair<std::string, std::string> identity(const DeviceInfo& info) {
    return {info.board, info.serial.empty() ? info.uri.substr(0, info.uri.find('?')) : info.serial};
}

// Numbers and times of the second session's events, in the first one's.
class Moved {
  public:
    Moved(SessionReader& first, SessionReader& second, uint64_t last_label, uint64_t last_revision)
        : labels_(last_label), revisions_(last_revision) {
        const SessionHeader &a = first.header(), &b = second.header();
        shift_ns_ = a.start_host_ns + (b.start_utc_ns - a.start_utc_ns) - b.start_host_ns;
        seconds_ = double(b.start_utc_ns - a.start_utc_ns) / 1e9;
        std::map<std::pair<std::string, std::string>, int> devices;
        int next_device = 0;
        for (const SegmentInfo& s : first.segments()) {
            devices[identity(s.started.info)] = s.started.device;
            next_device = std::max(next_device, s.started.device + 1);
            segments_ = std::max(segments_, s.started.segment + 1);
        }
        for (const SegmentInfo& s : second.segments()) {
            const auto [found, is_new] = devices.try_emplace(identity(s.started.info), next_device);
            if (is_new) ++next_device;
            devices_[s.started.device] = found->second;
        }
        std::vector<bool> taken(first.streams().size());
        int next_stream = int(first.streams().size());
        for (const SessionStream& s : second.streams()) {
            int index = -1;
            for (size_t i = 0; i < taken.size() && index < 0; ++i)
                if (!taken[i] && first.streams()[i].device == device(s.device) &&
                    same_stream(first.streams()[i].info, s.info))
                    index = int(i);
            if (index >= 0) taken[size_t(index)] = true;
            streams_.push_back(index >= 0 ? index : next_stream++);
        }
        models_ = first.models();
        for (const SessionModel& m : second.models()) {
            auto known = std::find_if(models_.begin(), models_.end(),
                                      [&](const SessionModel& k) { return k.plan_id == m.plan_id; });
            if (known == models_.end()) known = models_.insert(models_.end(), m);
            model_.push_back(int(known - models_.begin()));
        }
        classes_ = first.classes();
        for (const LabelClass& c : second.classes())
            if (std::none_of(classes_.begin(), classes_.end(),
                             [&](const LabelClass& k) { return k.name == c.name; }))
                classes_.push_back(c);
    }

    const std::vector<SessionModel>& models() const { return models_; }
    const std::vector<LabelClass>& classes() const { return classes_; }
    int segments() const { return segments_; }  // of the first

    Event operator()(Event event) const {
        return std::visit([this](auto v) { return moved(std::move(v)); }, std::move(event));
    }

  private:
    int device(int d) const {
        const auto found = devices_.find(d);
        return found == devices_.end() ? d : found->second;
    }
    int stream(int s) const { return s >= 0 && size_t(s) < streams_.size() ? streams_[size_t(s)] : s; }
    int model(int m) const { return m >= 0 && size_t(m) < model_.size() ? model_[size_t(m)] : m; }

    Event moved(SegmentStarted v) const {
        v.segment += segments_;
        v.device = device(v.device);
        v.host_ns += shift_ns_;
        if (v.reason == "start")
            v.reason = kContinued;
        else if (v.reason == "joined")
            v.reason = std::string(kContinued) + ", joined";
        for (int& s : v.streams)
            s = stream(s);
        return v;
    }
    Event moved(SegmentEnded v) const {
        v.segment += segments_;
        v.host_ns += shift_ns_;
        return v;
    }
    Event moved(const std::shared_ptr<const Block>& shared) const {
        auto v = std::make_shared<Block>(*shared);
        v->stream = stream(v->stream);
        v->segment += segments_;
        v->host_ns += shift_ns_;
        return std::shared_ptr<const Block>(std::move(v));
    }
    Event moved(Gap v) const {
        v.stream = stream(v.stream);
        v.segment += segments_;
        v.host_ns += shift_ns_;
        return v;
    }
    Event moved(Prediction v) const {
        v.segment += segments_;
        v.model = model(v.model);
        v.host_ns += shift_ns_;
        return v;
    }
    Event moved(ClockObservation v) const {
        v.device = device(v.device);
        v.segment += segments_;
        v.sent_ns += shift_ns_;
        v.received_ns += shift_ns_;
        return v;
    }
    template <typename T>  // health, link, marker
    Event moved(T v) const {
        v.device = device(v.device);
        v.host_ns += shift_ns_;
        return v;
    }
    Event moved(WindowVerdict v) const {
        v.segment += segments_;
        v.model = model(v.model);
        return v;
    }
    Event moved(LabelEdit v) const {
        v.revision += revisions_;
        for (Label* label : {&v.before, &v.after}) {
            if (label->id == 0) continue;
            label->id += labels_;
            label->start += seconds_;
            label->stop += seconds_;
            label->stream = stream(label->stream);
        }
        return v;
    }

    uint64_t labels_, revisions_;
    int64_t shift_ns_ = 0;
    double seconds_ = 0;
    int segments_ = 0;
    std::map<int, int> devices_;
    std::vector<int> streams_, model_;
    std::vector<SessionModel> models_;
    std::vector<LabelClass> classes_;
};

bool is_appended(const SessionHeader& header, const std::string& identifier) {
    const auto found = header.settings.find(kContinued);
    return found != header.settings.end() && found->second.find(identifier) != std::string::npos;
}

Status build(SessionReader& first, SessionReader& second, const std::string& building) {
    auto history = first.label_history();
    if (!history) return tl::make_unexpected(history.error());
    uint64_t last_label = 0, last_revision = 0;
    for (const LabelEdit& edit : *history) {
        last_label = std::max({last_label, edit.before.id, edit.after.id});
        last_revision = std::max(last_revision, edit.revision);
    }
    auto origin = read_origin(first.path()), more_origin = read_origin(second.path());
    if (!origin) return tl::make_unexpected(origin.error());
    if (!more_origin) return tl::make_unexpected(more_origin.error());
    const Moved moved(first, second, last_label, last_revision);
    WriterOptions options;
    options.path = building;
    options.header = first.header();
    std::string& continued = options.header.settings[kContinued];
    continued += (continued.empty() ? "" : ",") + second.header().identifier;
    options.models = moved.models();
    options.classes = moved.classes();
    auto file = SessionFile::create(building, options);
    if (!file) return tl::make_unexpected(file.error());
    (*file)->set_provenance(joined(origin->provenance, more_origin->provenance, moved.segments()));
    Status status;
    const auto add = [&](const Event& event) { return bool(status = (*file)->add(event)); };
    if (auto ok = first.replay(add); !ok) return ok;
    if (!status) return status;
    if (auto ok = second.replay([&](const Event& event) { return add(moved(event)); }); !ok) return ok;
    if (!status) return status;
    return (*file)->close(first.state() == "final" && second.state() == "final" ? "final" : "recovered");
}

}  // namespace

std::string more_path(const std::string& path) {
    const size_t dot =
        path.size() > 3 && path.compare(path.size() - 3, 3, ".h5") == 0 ? path.size() - 3 : path.size();
    return path.substr(0, dot) + "_more" + path.substr(dot);
}

Status append_session(const std::string& path, const std::string& more) {
    if (auto merged = merge_label_edits(path); !merged) return merged;
    if (auto merged = merge_label_edits(more); !merged) return merged;
    auto first = open_session(path);
    if (!first) return tl::make_unexpected(first.error());
    auto second = open_session(more);
    if (!second) return tl::make_unexpected(second.error());
    if (is_appended((*first)->header(), (*second)->header().identifier)) {  // cut short before the removal
        remove_file(more);
        return {};
    }
    if ((*second)->header().start_utc_ns < (*first)->header().start_utc_ns)
        return fail(ErrorKind::usage, "it began before the session that it is to continue", more,
                    "check this computer's clock");
    const std::string building = building_path(path);
    remove_file(building);  // of an attempt that was cut short
    Status status = build(**first, **second, building);
    if (status) {
        remember_own(building);
        auto problems = verify(building, Depth::storage);
        if (!problems)
            status = tl::make_unexpected(problems.error());
        else if (!problems->empty())
            status = fail(ErrorKind::system, "the new file does not verify: " + problems->front(), building);
    }
    if (status) status = sync_file(building);
    if (status) status = rename_over(building, path);
    if (!status) {
        remove_file(building);
        return status;
    }
    remember_own(path);
    if (auto ok = sync_folder(path); !ok) return ok;
    remove_file(more);
    return {};
}

Result<std::string> append_left_over(const std::string& path) {
    const std::string more = more_path(path);
    std::string said;
    if (exists(journal_path(more))) {
        auto recovered = recover(more);
        if (!recovered) return tl::make_unexpected(recovered.error());
        said = recovered->text;
    }
    if (!exists(more)) return said;
    if (auto appended = append_session(path, more); !appended) return tl::make_unexpected(appended.error());
    return (said.empty() ? "" : said + "; ") + std::string("what was recorded later was appended");
}

}  // namespace lockstep::storage
