#include "storage/recorder.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <thread>

#include "storage/event_codec.h"
#include "storage/journal.h"
#include "storage/repair.h"
#include "storage/session_file.h"

namespace lockstep::storage {
namespace {

using Clock = std::chrono::steady_clock;
// Handed over at most 100 ms before: with room for a busy machine to be late.
constexpr auto kWriteEvery = std::chrono::milliseconds(70);
constexpr auto kSyncEvery = std::chrono::milliseconds(1000);
constexpr size_t kBuildEvents = 1000;
constexpr size_t kBatchBytes = 4u << 20;  // taken from the queue at once

class Recorder : public SessionWriter {
  public:
    Recorder(const WriterOptions& options, const RecorderLimits& limits,
             std::unique_ptr<JournalWriter> journal, std::unique_ptr<FileLock> lock,
             std::unique_ptr<SessionFile> file)
        : path_(options.path),
          limits_(limits),
          journal_(std::move(journal)),
          lock_(std::move(lock)),
          file_(std::move(file)),
          started_(Clock::now()),
          sync_thread_([this] { keep_synced(); }),
          thread_([this] { run(); }) {}

    ~Recorder() override {
        stop_thread();
        // Without finish() the journal stays: nothing is lost, repair makes the file.
        file_.reset();
        if (!finished_) remove_file(building_path(path_));
    }

    void append(Event event) override {
        const size_t bytes = event_bytes(event);
        {
            const std::lock_guard<std::mutex> held(mutex_);
            if (stopping_) return;
            const auto* block = std::get_if<std::shared_ptr<const Block>>(&event);
            // Only samples are ever given up; labels, predictions and facts are small and always kept.
            if (block != nullptr && queued_bytes_ + bytes > limits_.queue_bytes) {
                lose(**block);
                return;
            }
            if (block != nullptr) report_lost((*block)->stream);
            queue_.push_back(std::move(event));
            queued_bytes_ += bytes;
        }
        // The thread wakes by itself in time; only a batch's worth is reason to wake it early.
        if (queued_bytes_.load(std::memory_order_relaxed) > kBatchBytes) wake_.notify_one();
    }

    std::optional<Error> take_error() override {
        const std::lock_guard<std::mutex> held(mutex_);
        std::optional<Error> error;
        std::swap(error, error_);
        return error;
    }

    WriterStatistics statistics() const override {
        const std::lock_guard<std::mutex> held(mutex_);
        return statistics_;
    }

    Result<std::string> finish() override {
        if (finished_) return fail(ErrorKind::usage, "the recording is already finished", path_);
        stop_thread();
        finished_ = true;
        const std::string journal = journal_path(path_);
        const Error kept{ErrorKind::system,
                         "the recording is not finished; everything recorded is kept in " + journal, path_,
                         "free some space, then run: lockstep session repair " + path_};
        if (journal_->buffered() != 0) {
            Error lost = kept;
            lost.what = "the last " + std::to_string(journal_->buffered()) +
                        " bytes could not be written; everything before them is kept in " + journal;
            discard_file();
            return tl::make_unexpected(lost);
        }
        if (!file_) {  // given up for lack of space: there may be some now
            auto rebuilt = build_from_journal(journal, building_path(path_), "final");
            if (!rebuilt) {
                remove_file(building_path(path_));
                Error error = kept;
                error.what += " (" + rebuilt.error().what + ")";
                return tl::make_unexpected(error);
            }
        } else if (auto closed = file_->close("final"); !closed) {
            discard_file();
            Error error = kept;
            error.what += " (" + closed.error().what + ")";
            return tl::make_unexpected(error);
        }
        file_.reset();
        if (auto named = verify_and_name(building_path(path_), path_); !named) {
            Error error = kept;
            error.what += " (" + named.error().message() + ")";
            return tl::make_unexpected(error);
        }
        remove_file(journal);
        lock_.reset();
        return path_;
    }

  private:
    // REQUIRES: mutex_.
    void lose(const Block& block) {
        ++statistics_.dropped_events;
        statistics_.warning = "the disk is too slow: samples are being lost";
        auto& lost = lost_[block.stream];
        if (!lost.empty() && lost.back().segment == block.segment &&
            lost.back().first + lost.back().missing == block.first)
            lost.back().missing += block.count;
        else
            lost.push_back(
                {block.stream, block.segment, block.first, block.count, GapCause::host, block.host_ns});
    }
    void report_lost(int stream) {
        const auto found = lost_.find(stream);
        if (found == lost_.end()) return;
        for (const Gap& gap : found->second)
            queue_.emplace_back(gap);
        lost_.erase(found);
    }

    void stop_thread() {
        {
            const std::lock_guard<std::mutex> held(mutex_);
            if (!stopping_) {
                stopping_ = true;
                while (!lost_.empty())
                    report_lost(lost_.begin()->first);
            }
        }
        wake_.notify_one();
        if (thread_.joinable()) thread_.join();
        {
            const std::lock_guard<std::mutex> held(sync_mutex_);
            sync_ends_ = true;
        }
        sync_wake_.notify_one();
        if (sync_thread_.joinable()) sync_thread_.join();
    }

    // A disk may take seconds to sync; what comes meanwhile must be written all the same.
    void keep_synced() {
        std::unique_lock<std::mutex> held(sync_mutex_);
        for (;;) {
            sync_wake_.wait(held, [this] { return sync_wanted_ || sync_ends_; });
            if (!sync_wanted_) return;
            sync_wanted_ = false;
            held.unlock();
            if (auto ok = journal_->sync(); !ok) alarm(ok.error());
            held.lock();
        }
    }

    void alarm(Error error) {
        const std::lock_guard<std::mutex> held(mutex_);
        statistics_.warning = error.message();
        error_ = std::move(error);
    }

    void discard_file() {
        // The name goes first, so that closing cannot fill the disk further.
        remove_file(building_path(path_));
        file_.reset();
    }

    void run() {
        std::deque<Event> batch;
        auto synced = Clock::now();
        bool dirty = false;
        for (;;) {
            bool last = false;
            {
                std::unique_lock<std::mutex> held(mutex_);
                if (!stopping_ && queued_bytes_ <= kBatchBytes) wake_.wait_for(held, kWriteEvery);
                last = stopping_;
                // While the disk refuses, events wait in the queue, whose bound counts what is lost.
                if (journal_->buffered() == 0 || last) {
                    batch.swap(queue_);
                    queued_bytes_ = 0;
                }
            }
            for (const Event& event : batch)
                journal_->add(event);
            if (last) journal_->add(RecordKind::end, {});
            const bool wrote = journal_->buffered() != 0;
            if (auto ok = journal_->flush(); !ok) {
                on_full(ok.error());
                // The space that the built file gave back may be all it takes.
                if (journal_->flush()) dirty = true;
            } else {
                dirty = dirty || wrote;
            }
            const bool tick = last || Clock::now() - synced >= kSyncEvery;
            count(batch);
            std::move(batch.begin(), batch.end(), std::back_inserter(journalled_));
            batch.clear();
            // The file has time: a second's events at once cost less than each as it comes.
            if (tick || journalled_.size() > kBuildEvents) build();
            if (dirty && tick) {
                {
                    const std::lock_guard<std::mutex> held(sync_mutex_);
                    sync_wanted_ = true;
                }
                sync_wake_.notify_one();
                synced = Clock::now();
                dirty = false;
                watch_space();
            }
            if (last) return;
        }
    }

    // Adds what the journal has to the file.
    void build() {
        for (const Event& event : journalled_) {
            if (!file_) break;
            if (auto ok = file_->add(event); !ok) {
                alarm(Error{ErrorKind::system,
                            "the file cannot be built for now (" + ok.error().what +
                                "); the recording goes on in its journal",
                            path_, "free some space"});
                discard_file();
            }
        }
        journalled_.clear();
    }

    void on_full(const Error& error) {
        if (file_) discard_file();
        alarm(Error{ErrorKind::system,
                    "the recording cannot be written (" + error.what + "); it waits in memory",
                    journal_path(path_), "free some space now"});
    }

    void watch_space() {
        const uint64_t space = free_space(path_);
        if (file_ && space < limits_.reserve_bytes) {
            alarm(Error{ErrorKind::system,
                        "the disk is almost full; the recording goes on in its journal only", path_,
                        "free some space"});
            discard_file();
        }
        const std::lock_guard<std::mutex> held(mutex_);
        const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
        if (space == UINT64_MAX || seconds < 2 || statistics_.bytes == 0) return;
        statistics_.seconds_to_full = double(space) * seconds / double(statistics_.bytes);
        if (statistics_.seconds_to_full < 600 && statistics_.warning.empty())
            statistics_.warning =
                "the disk will be full in " + std::to_string(int(statistics_.seconds_to_full / 60)) + " min";
    }

    void count(const std::deque<Event>& batch) {
        uint64_t samples = 0;
        for (const Event& event : batch)
            if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&event))
                samples += (*block)->counts.size();
        const uint64_t bytes = journal_->size() + (file_ ? file_->bytes() : 0);
        const std::lock_guard<std::mutex> held(mutex_);
        statistics_.events += batch.size();
        statistics_.samples += samples;
        statistics_.bytes = bytes;
    }

    const std::string path_;
    const RecorderLimits limits_;
    // The storage thread's, and finish()'s after it ended.
    std::unique_ptr<JournalWriter> journal_;
    std::unique_ptr<FileLock> lock_;
    std::unique_ptr<SessionFile> file_;
    std::vector<Event> journalled_;  // not yet in the file
    const Clock::time_point started_;
    bool finished_ = false;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Event> queue_;
    std::atomic<size_t> queued_bytes_{0};
    std::map<int, std::vector<Gap>> lost_;  // per stream, not yet queued as gaps
    bool stopping_ = false;
    std::optional<Error> error_;
    WriterStatistics statistics_;
    std::mutex sync_mutex_;
    std::condition_variable sync_wake_;
    bool sync_wanted_ = false, sync_ends_ = false;
    std::thread sync_thread_, thread_;  // last: they use all of the above
};

}  // namespace

Result<std::unique_ptr<SessionWriter>> create_session(const WriterOptions& options) {
    return create_session(options, {});
}

Result<std::unique_ptr<SessionWriter>> create_session(const WriterOptions& options,
                                                      const RecorderLimits& limits) {
    const std::string& path = options.path;
    if (path.empty()) return fail(ErrorKind::usage, "the recording has no file name");
    if (exists(path))
        return fail(ErrorKind::usage, "the file exists; nothing is ever overwritten", path,
                    "choose another name");
    for (const std::string& name : {journal_path(path), building_path(path)})
        if (exists(name))
            return fail(ErrorKind::usage,
                        "another recording of this name is running or was cut short (" + name + ")", path,
                        "choose another name, or run: lockstep session repair " + path);
    const uint64_t space = free_space(path);
    if (space < kMinimumSpace)
        return fail(ErrorKind::system, "only " + std::to_string(space >> 20) + " MB are free",
                    folder_of(path), "free some space or choose another folder");

    auto journal = JournalWriter::create(journal_path(path), limits.open_journal);
    if (!journal) return tl::make_unexpected(journal.error());
    const auto undo = [&](const Error& error) {
        remove_file(journal_path(path));
        return tl::make_unexpected(error);
    };
    auto lock = FileLock::take(journal_path(path));
    if (!lock) return tl::make_unexpected(lock.error());
    std::vector<uint8_t> bytes;
    encode(options, &bytes);
    (*journal)->add(RecordKind::options, bytes);
    if (auto ok = (*journal)->flush(); !ok) return undo(ok.error());
    if (auto ok = (*journal)->sync(); !ok) return undo(ok.error());
    if (auto ok = sync_folder(path); !ok) return undo(ok.error());
    auto file = SessionFile::create(building_path(path), options);
    if (!file) {
        remove_file(building_path(path));
        return undo(file.error());
    }
    return std::make_unique<Recorder>(options, limits, std::move(*journal), std::move(*lock),
                                      std::move(*file));
}

}  // namespace lockstep::storage
