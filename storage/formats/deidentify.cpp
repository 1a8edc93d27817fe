#include "storage/formats/deidentify.h"

#include <algorithm>
#include <map>
#include <optional>

namespace lockstep::storage {
namespace {

constexpr int64_t kEpoch2000 = 946684800LL * 1000000000;

struct Plan {
    std::map<std::string, std::string> subjects;
    std::map<std::string, std::string> authors;
    std::map<std::string, std::string> sessions;  // identifiers, also of recordings that come in parts
    int64_t shift_ns = 0;                         // added to every absolute time
};

std::string numbered(const char* prefix, size_t n) {
    std::string digits = std::to_string(n);
    digits.insert(0, digits.size() < 3 ? 3 - digits.size() : 0, '0');
    return prefix + digits;
}

class Hidden : public SessionReader {
  public:
    Hidden(std::unique_ptr<SessionReader> inner, std::shared_ptr<Plan> plan, size_t index)
        : inner_(std::move(inner)),
          plan_(std::move(plan)),
          header_(inner_->header()),
          segments_(inner_->segments()) {
        const auto found = plan_->subjects.find(header_.subject);
        header_.subject = found == plan_->subjects.end() ? "" : found->second;
        header_.identifier = hidden_session_name(index);
        if (header_.start_utc_ns != 0) header_.start_utc_ns += plan_->shift_ns;
        const auto whole = header_.settings.find("part_of");
        const std::string part_of = whole == header_.settings.end() ? "" : plan_->sessions.at(whole->second);
        header_.settings.clear();
        if (!part_of.empty()) header_.settings["part_of"] = part_of;
        path_ = header_.identifier + ".h5";
        for (SegmentInfo& segment : segments_) {
            clean(&segment.started);
        }
    }
    const std::string& path() const override { return path_; }
    const SessionHeader& header() const override { return header_; }
    const std::string& state() const override { return inner_->state(); }
    double duration() const override { return inner_->duration(); }
    const std::vector<SegmentInfo>& segments() const override { return segments_; }
    const std::vector<SessionStream>& streams() const override { return inner_->streams(); }
    const std::vector<SessionModel>& models() const override { return inner_->models(); }
    const std::vector<LabelClass>& classes() const override { return inner_->classes(); }
    const std::vector<ClockFit>& clocks() const override { return inner_->clocks(); }
    Status read(int stream, uint64_t row, uint64_t count, int32_t* out) override {
        return inner_->read(stream, row, count, out);
    }
    const std::vector<uint32_t>& overview_levels() const override { return inner_->overview_levels(); }
    Status read_overview(int stream, uint32_t bin, uint64_t first_bin, uint64_t bins, MinMax* out) override {
        return inner_->read_overview(stream, bin, first_bin, bins, out);
    }
    Result<std::vector<LabelEdit>> label_history() override {
        auto history = inner_->label_history();
        if (history)
            for (LabelEdit& edit : *history)
                clean(&edit);
        return history;
    }
    Result<std::vector<Prediction>> predictions() override { return inner_->predictions(); }
    Result<std::vector<WindowVerdict>> verdicts() override { return inner_->verdicts(); }
    Result<std::vector<LinkEvent>> link_events() override {
        auto events = inner_->link_events();
        if (events)
            for (LinkEvent& event : *events)
                event.text.clear();
        return events;
    }
    Result<std::vector<ClockObservation>> clock_observations() override {
        return inner_->clock_observations();
    }
    Result<std::vector<HealthReport>> health() override { return inner_->health(); }
    Status replay(const std::function<bool(const Event&)>& visit) override {
        return inner_->replay([&](const Event& event) {
            Event hidden = event;
            if (auto* edit = std::get_if<LabelEdit>(&hidden)) clean(edit);
            if (auto* link = std::get_if<LinkEvent>(&hidden)) link->text.clear();
            if (auto* marker = std::get_if<DeviceMarker>(&hidden)) marker->text.clear();
            if (auto* started = std::get_if<SegmentStarted>(&hidden)) clean(started);
            return visit(hidden);
        });
    }

  private:
    static void clean(SegmentStarted* started) {
        started->info.serial.clear();
        started->info.uri.clear();
        started->info.boot_id = 0;
    }
    void clean(LabelEdit* edit) const {
        edit->before.note.clear();
        edit->after.note.clear();
        edit->reason.clear();
        if (!edit->author.empty())
            edit->author = plan_->authors.try_emplace(edit->author, numbered("A", plan_->authors.size() + 1))
                               .first->second;
        if (edit->utc_ns != 0) edit->utc_ns += plan_->shift_ns;
    }

    std::unique_ptr<SessionReader> inner_;
    std::shared_ptr<Plan> plan_;
    std::string path_;
    SessionHeader header_;
    std::vector<SegmentInfo> segments_;
};

class HiddenSource : public SessionSource {
  public:
    HiddenSource(std::unique_ptr<SessionSource> inner, std::shared_ptr<Plan> plan)
        : inner_(std::move(inner)), plan_(std::move(plan)) {}
    size_t size() const override { return inner_->size(); }
    Result<std::unique_ptr<SessionReader>> open(size_t index) override {
        auto session = inner_->open(index);
        if (!session) return session;
        return std::unique_ptr<SessionReader>(std::make_unique<Hidden>(std::move(*session), plan_, index));
    }

  private:
    std::unique_ptr<SessionSource> inner_;
    std::shared_ptr<Plan> plan_;
};

}  // namespace

std::string hidden_session_name(size_t index) {
    return numbered("session-", index + 1);
}

Result<std::unique_ptr<SessionSource>> deidentified(std::unique_ptr<SessionSource> sessions,
                                                    ExportReport* report) {
    auto plan = std::make_shared<Plan>();
    std::optional<int64_t> earliest;
    bool notes = false, serials = false, settings = false, authors = false, texts = false;
    for (size_t i = 0; i < sessions->size(); ++i) {
        auto session = sessions->open(i);
        if (!session) return tl::make_unexpected(session.error());
        const SessionHeader& header = (*session)->header();
        if (!header.subject.empty())
            plan->subjects.try_emplace(header.subject, numbered("P", plan->subjects.size() + 1));
        plan->sessions[header.identifier] = hidden_session_name(i);
        if (const auto whole = header.settings.find("part_of"); whole != header.settings.end())
            plan->sessions.try_emplace(whole->second, numbered("recording-", i + 1));
        if (header.start_utc_ns != 0)
            earliest = earliest ? std::min(*earliest, header.start_utc_ns) : header.start_utc_ns;
        settings = settings || !header.settings.empty();
        for (const SegmentInfo& segment : (*session)->segments())
            serials = serials || !segment.started.info.serial.empty() || !segment.started.info.uri.empty();
        auto history = (*session)->label_history();
        if (!history) return tl::make_unexpected(history.error());
        for (const LabelEdit& edit : *history) {
            notes = notes || !edit.before.note.empty() || !edit.after.note.empty() || !edit.reason.empty();
            authors = authors || !edit.author.empty();
        }
        auto links = (*session)->link_events();
        if (!links) return tl::make_unexpected(links.error());
        for (const LinkEvent& event : *links)
            texts = texts || !event.text.empty();
    }
    if (earliest) plan->shift_ns = kEpoch2000 - *earliest;
    if (!plan->subjects.empty()) report->removed.push_back("subject names (now P001 ...)");
    if (earliest) report->removed.push_back("absolute dates (shifted to 2000-01-01)");
    report->removed.push_back("session identifiers and file names");
    if (serials) report->removed.push_back("device serials and addresses");
    if (settings) report->removed.push_back("settings and command lines");
    if (notes) report->removed.push_back("notes and reasons of labels");
    if (authors) report->removed.push_back("names of annotators (now A001 ...)");
    if (texts) report->removed.push_back("texts of link events");
    return std::unique_ptr<SessionSource>(std::make_unique<HiddenSource>(std::move(sessions), plan));
}

}  // namespace lockstep::storage
