#include "storage/rotation.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "storage/event_time.h"
#include "storage/file.h"
#include "storage/recorder.h"

namespace lockstep::storage {
namespace {

// What is on its way when a part begins has arrived by then.
constexpr int64_t kSettle = 300'000'000;
constexpr int kCheckBytesEvery = 64;

class RotatingWriter : public SessionWriter {
  public:
    RotatingWriter(const WriterOptions& options, const RotationRule& rule, CreateWriter create,
                   std::unique_ptr<SessionWriter> first)
        : options_(options),
          rule_(rule),
          create_(std::move(create)),
          writer_(std::move(first)),
          part_start_ns_(options.header.start_host_ns),
          last_ns_(options.header.start_host_ns),
          thread_([this] { run(); }) {}

    ~RotatingWriter() override { stop(); }

    void append(Event event) override {
        const std::lock_guard<std::mutex> held(mutex_);
        last_ns_ = std::max(last_ns_, event_time(event));
        if (next_ && last_ns_ >= next_start_ns_ + kSettle) change_over();
        follow(event);
        if (const auto* edit = std::get_if<LabelEdit>(&event))
            append_label(*edit);
        else
            writer_->append(std::move(event));
        if (!next_wanted_ && !gave_up_ && is_due()) {
            next_wanted_ = true;
            next_start_ns_ = last_ns_;
            wake_.notify_one();
        }
    }

    std::optional<Error> take_error() override {
        const std::lock_guard<std::mutex> held(mutex_);
        if (error_) {
            std::optional<Error> error;
            std::swap(error, error_);
            return error;
        }
        return writer_->take_error();
    }

    WriterStatistics statistics() const override {
        const std::lock_guard<std::mutex> held(mutex_);
        WriterStatistics sum = writer_->statistics();
        sum.events += before_.events;
        sum.samples += before_.samples;
        sum.bytes += before_.bytes;
        sum.dropped_events += before_.dropped_events;
        if (sum.warning.empty()) sum.warning = before_.warning;
        return sum;
    }

    Result<std::string> finish() override {
        stop();
        auto finished = writer_->finish();
        if (!finished) return finished;
        if (unfinished_) return tl::make_unexpected(*unfinished_);
        return options_.path;
    }

  private:
    // REQUIRES for all below up to run(): mutex_.
    bool is_due() {
        if (rule_.seconds > 0 && double(last_ns_ - part_start_ns_) >= rule_.seconds * 1e9) return true;
        return rule_.bytes > 0 && ++appended_ % kCheckBytesEvery == 0 &&
               writer_->statistics().bytes >= rule_.bytes;
    }

    void change_over() {
        for (const auto& [segment, started] : segments_)
            writer_->append(SegmentEnded{segment, last_ns_, "rotated", false, {}});
        const WriterStatistics s = writer_->statistics();
        before_.events += s.events;
        before_.samples += s.samples;
        before_.bytes += s.bytes;
        before_.dropped_events += s.dropped_events;
        ended_.push_back(std::move(writer_));
        writer_ = std::move(next_);
        next_wanted_ = false;
        part_start_ns_ = next_start_ns_;
        known_labels_.clear();
        for (const auto& [segment, started] : segments_) {
            SegmentStarted again = started;
            again.host_ns = last_ns_;
            again.reason = "rotated";
            writer_->append(again);
        }
        wake_.notify_one();
    }

    void follow(const Event& event) {
        if (const auto* started = std::get_if<SegmentStarted>(&event))
            segments_[started->segment] = *started;
        else if (const auto* ended = std::get_if<SegmentEnded>(&event))
            segments_.erase(ended->segment);
    }

    // Label times count from the part's start; what an earlier part has is added here when it is edited.
    void append_label(LabelEdit edit) {
        const double shift = double(part_start_ns_ - options_.header.start_host_ns) / 1e9;
        for (Label* label : {&edit.before, &edit.after}) {
            label->start -= shift;
            label->stop -= shift;
        }
        const uint64_t id = edit.operation == LabelOperation::add ? edit.after.id : edit.before.id;
        const bool known = known_labels_.count(id) != 0;
        if (edit.operation == LabelOperation::remove) {
            if (!known) {
                writer_->append(LinkEvent{0, LinkEventKind::note, 1, last_ns_,
                                          "label " + std::to_string(id) + " of an earlier part was removed"});
                return;
            }
            known_labels_.erase(id);
            edit.after = Label{};
        } else {
            if (!known) {
                edit.operation = LabelOperation::add;
                edit.before = Label{};
            }
            known_labels_.insert(id);
        }
        writer_->append(edit);
    }

    // --- the helper thread ---
    void run() {
        std::unique_lock<std::mutex> held(mutex_);
        for (;;) {
            wake_.wait(held, [this] { return stopping_ || !ended_.empty() || (next_wanted_ && !next_); });
            if (!ended_.empty()) {
                auto ended = std::move(ended_.front());
                ended_.erase(ended_.begin());
                held.unlock();
                auto finished = ended->finish();
                const auto trouble = ended->take_error();
                held.lock();
                if (!finished) unfinished_ = error_ = finished.error();
                if (finished && trouble) error_ = trouble;
                continue;
            }
            if (stopping_) return;
            WriterOptions options = options_;
            options.path = part_path(options_.path, ++part_);
            const int64_t elapsed = next_start_ns_ - options_.header.start_host_ns;
            options.header.start_host_ns += elapsed;
            options.header.start_utc_ns += elapsed;
            options.header.settings["part"] = std::to_string(part_);
            options.header.settings["part_of"] = options_.header.identifier;
            options.header.identifier = part_identifier(options_.header.identifier, part_);
            held.unlock();
            auto made = create_(options);
            held.lock();
            if (made) {
                next_ = std::move(*made);
            } else {
                gave_up_ = true;
                next_wanted_ = false;
                Error error = made.error();
                error.what += "; the recording goes on in the part it has";
                error_ = error;
            }
        }
    }

    // The end of the UUID tells the parts of a recording apart.
    static std::string part_identifier(std::string identifier, int part) {
        char digits[8];
        snprintf(digits, sizeof digits, "%04x", part & 0xFFFF);
        if (identifier.size() == 36) identifier.replace(32, 4, digits);
        return identifier;
    }

    void stop() {
        {
            const std::lock_guard<std::mutex> held(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        if (thread_.joinable()) thread_.join();
        if (next_) {  // opened, never needed
            next_.reset();
            remove_file(journal_path(part_path(options_.path, part_)));
        }
    }

    const WriterOptions options_;
    const RotationRule rule_;
    const CreateWriter create_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::unique_ptr<SessionWriter> writer_, next_;
    std::vector<std::unique_ptr<SessionWriter>> ended_;
    std::map<int, SegmentStarted> segments_;  // open ones
    std::set<uint64_t> known_labels_;         // of this part
    WriterStatistics before_;
    std::optional<Error> error_, unfinished_;
    int64_t part_start_ns_, next_start_ns_ = 0, last_ns_;
    int part_ = 1;
    unsigned appended_ = 0;
    bool next_wanted_ = false, gave_up_ = false, stopping_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::string part_path(const std::string& path, int part) {
    if (part <= 1) return path;
    const size_t dot =
        path.size() > 3 && path.compare(path.size() - 3, 3, ".h5") == 0 ? path.size() - 3 : path.size();
    return path.substr(0, dot) + "_part-" + std::to_string(part) + path.substr(dot);
}

Result<std::unique_ptr<SessionWriter>> create_rotating(const WriterOptions& options, const RotationRule& rule,
                                                       const CreateWriter& create) {
    auto first = create(options);
    if (!first || (rule.seconds <= 0 && rule.bytes == 0)) return first;
    return std::unique_ptr<SessionWriter>(new RotatingWriter(options, rule, create, std::move(*first)));
}

}  // namespace lockstep::storage
