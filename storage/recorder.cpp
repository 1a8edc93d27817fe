#include "storage/recorder.h"

#include <semaphore.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "storage/event_codec.h"
#include "storage/inbox.h"
#include "storage/journal.h"
#include "storage/repair.h"
#include "storage/session_file.h"

namespace lockstep::storage {
namespace {

using Clock = std::chrono::steady_clock;
// Handed over at most 100 ms before: with room for a busy machine to be late. Every time costs as much as
// what is written: a sleeping thread's memory is cold.
constexpr auto kWriteEvery = std::chrono::milliseconds(84);
// A power cut takes at most a second of what was handed over: what waits to be written, what waits for the
// next sync, and the time that sync needs, for which a disk that was slow of late gets more.
constexpr auto kAtRisk = std::chrono::milliseconds(950);
constexpr auto kSyncAtLeastEvery = std::chrono::milliseconds(750), kSyncAtMostEvery = 2 * kWriteEvery;
// The file has time, and many events at once cost less than each as it comes.
constexpr auto kBuildEvery = std::chrono::seconds(5);
constexpr size_t kBuildEvents = 1000;
constexpr size_t kBatchBytes = 4u << 20;  // taken from the queue at once
constexpr uint64_t kEndSlack = 1u << 20;  // kept for the file beyond what its end takes
constexpr int kBuilderNice = 5;           // packing is never more urgent than what it packs

// Three threads, so that neither packing nor a disk that syncs for seconds delays a write: one empties the
// queue into the journal, one builds the file from what the journal has, one syncs the journal.
// What the journal's thread sleeps on. A condition variable takes its mutex back as contended, which costs
// a second system call each time.
class Waker {
  public:
    Waker() { ::sem_init(&semaphore_, 0, 0); }
    ~Waker() { ::sem_destroy(&semaphore_); }
    Waker(const Waker&) = delete;
    Waker& operator=(const Waker&) = delete;
    void wake() { ::sem_post(&semaphore_); }
    void wait(std::chrono::nanoseconds most) {
        const auto when = (Clock::now() + most).time_since_epoch();
        const int64_t ns = std::chrono::duration_cast<std::chrono::nanoseconds>(when).count();
        const timespec deadline{time_t(ns / 1'000'000'000), long(ns % 1'000'000'000)};
        while (::sem_clockwait(&semaphore_, CLOCK_MONOTONIC, &deadline) != 0 && errno == EINTR) {
        }
    }

  private:
    sem_t semaphore_;
};

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
          build_thread_([this] { keep_built(); }),
          thread_([this] { run(); }) {}

    ~Recorder() override {
        stop_thread();
        // Without finish() the journal stays: nothing is lost, repair makes the file.
        file_.reset();
        if (!finished_) remove_file(building_path(path_));
    }

    void append(Event event) override {
        if (stopping_) return;
        const size_t bytes = event_bytes(event);
        if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&event)) {
            // Only samples are ever given up; labels, predictions and facts are small and always kept.
            if (queued_bytes_ + bytes > limits_.queue_bytes) {
                lose(**block);
                return;
            }
            if (any_lost_) report_lost((*block)->stream);
        }
        const size_t before = queued_bytes_.fetch_add(bytes);
        inbox_.push(std::move(event), bytes);
        // The thread wakes by itself in time; only a batch's worth is reason to wake it early.
        if (before <= kBatchBytes && before + bytes > kBatchBytes) wake_.wake();
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
                         "free some space, then run: lockstep session repair " + path_ +
                             " (-o elsewhere writes it to another disk)"};
        // The space that the file being built gave back may be all that was missing.
        if (journal_->buffered() != 0 && (!journal_->flush() || !journal_->sync())) {
            Error lost = kept;
            lost.what = "the last " + std::to_string(journal_->buffered()) +
                        " bytes could not be written; everything before them is kept in " + journal;
            discard_file();
            return tl::make_unexpected(lost);
        }
        give_back(journal);
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
        give_back(building_path(path_));
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
    void lose(const Block& block) {
        const std::lock_guard<std::mutex> held(mutex_);
        any_lost_ = true;
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
        const std::lock_guard<std::mutex> held(mutex_);
        const auto found = lost_.find(stream);
        if (found == lost_.end()) return;
        for (const Gap& gap : found->second) {
            const size_t bytes = event_bytes(gap);
            queued_bytes_ += bytes;
            inbox_.push(gap, bytes);
        }
        lost_.erase(found);
        any_lost_ = !lost_.empty();
    }

    void stop_thread() {
        if (!stopping_) {
            std::vector<int> streams;
            {
                const std::lock_guard<std::mutex> held(mutex_);
                for (const auto& [stream, gaps] : lost_)
                    streams.push_back(stream);
            }
            for (const int stream : streams)
                report_lost(stream);
            stopping_ = true;
        }
        wake_.wake();
        if (thread_.joinable()) thread_.join();
        end(&build_mutex_, &build_ends_, &build_wake_, &build_thread_);
        end(&sync_mutex_, &sync_ends_, &sync_wake_, &sync_thread_);
    }
    static void end(std::mutex* mutex, bool* ends, std::condition_variable* wake, std::thread* thread) {
        {
            const std::lock_guard<std::mutex> held(*mutex);
            *ends = true;
        }
        wake->notify_one();
        if (thread->joinable()) thread->join();
    }

    // A disk may take seconds to sync; what comes meanwhile must be written all the same.
    void keep_synced() {
        std::unique_lock<std::mutex> held(sync_mutex_);
        for (;;) {
            sync_wake_.wait(held, [this] { return sync_wanted_ || sync_ends_; });
            if (!sync_wanted_) return;
            sync_wanted_ = false;
            held.unlock();
            const auto began = Clock::now();
            if (auto ok = journal_->sync(); !ok) alarm(ok.error());
            const Clock::duration took = Clock::now() - began, before = sync_took_;
            sync_took_ = std::max(took, before - before / 16);  // slow once is slow again, for a while
            held.lock();
        }
    }

    Clock::duration sync_every() const {
        const Clock::duration left = kAtRisk - kWriteEvery - 2 * sync_took_.load();
        return std::clamp<Clock::duration>(left, kSyncAtMostEvery, kSyncAtLeastEvery);
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
        give_up_ = given_up_ = true;
    }

    // --- the journal's thread ---
    void run() {
        Chain batch;
        auto synced = Clock::now(), built = synced;
        bool dirty = false;
        for (;;) {
            wake_.wait(kWriteEvery);
            const bool last = stopping_;
            // While the disk refuses, events wait in the inbox, whose bound counts what is lost.
            if (journal_->buffered() == 0 || last) batch = inbox_.take();
            for (const Entry* entry = batch.first(); entry != nullptr; entry = entry->next)
                journal_->add(entry->event);
            queued_bytes_ -= batch.bytes();
            if (last) journal_->add(RecordKind::end, {});
            const bool wrote = journal_->buffered() != 0;
            if (auto ok = journal_->flush(); ok) {
                dirty = dirty || wrote;
            } else {
                on_full(ok.error());
            }
            if (journal_->short_of_space()) on_short();
            const auto now = Clock::now();
            const bool tick = last || now - synced + kWriteEvery > sync_every();
            const bool build = last || now - built >= kBuildEvery;
            hand_on(&batch, build);
            if (build) built = now;
            if (tick) {
                synced = now;
                watch_space();
            }
            if (dirty && tick) {
                {
                    const std::lock_guard<std::mutex> held(sync_mutex_);
                    sync_wanted_ = true;
                }
                sync_wake_.notify_one();
                dirty = false;
            }
            if (last) return;
        }
    }

    void on_full(const Error& error) {
        give_up();  // the space that the file being built gives back may be all it takes
        alarm(Error{ErrorKind::system,
                    "the recording cannot be written (" + error.what + "); it waits in memory",
                    journal_path(path_), "free some space now"});
    }

    // There is room for what is on its way and for the end, and no more can be had. Any thread.
    void on_short() {
        {
            const std::lock_guard<std::mutex> held(mutex_);
            if (statistics_.full) return;
            statistics_.full = true;
        }
        alarm(Error{ErrorKind::system, "the disk is full; there is room left to end the recording, no more",
                    path_, "end the recording and free some space"});
    }

    void give_up() {
        {
            const std::lock_guard<std::mutex> held(build_mutex_);
            give_up_ = true;
        }
        build_wake_.notify_one();
    }

    void hand_on(Chain* batch, bool now) {
        bool wake = false;
        uint64_t size_at_end = 0;
        {
            const std::lock_guard<std::mutex> held(build_mutex_);
            unbuilt_bytes_ += batch->bytes();
            journalled_.append(batch);
            size_at_end = given_up_ ? 0 : size_at_end_ + unbuilt_bytes_;
            wake = now || journalled_.size() > kBuildEvents || journalled_.bytes() > kBatchBytes;
            build_wanted_ = build_wanted_ || wake;
            if (journalled_.bytes() > limits_.queue_bytes) give_up_ = true;  // it is built at the end
            wake = wake || wants_discard();
        }
        if (wake) build_wake_.notify_one();
        keep_room_for_end(size_at_end);
    }

    // Whatever others do to the disk, the file's end must have the space it takes; 0: it has been given up.
    void keep_room_for_end(uint64_t size_at_end) {
        if (size_at_end == 0 || size_at_end + kEndSlack / 2 <= end_reserved_) return;
        const uint64_t wanted = size_at_end + kEndSlack;
        const std::string building = building_path(path_);
        const auto kept = reserve_file(building, wanted);
        if (!kept || (!*kept && free_space(path_) + disk_bytes(building) < wanted))
            on_short();
        else
            end_reserved_ = wanted;
    }

    void watch_space() {
        const uint64_t space = free_space(path_);
        const std::lock_guard<std::mutex> held(mutex_);
        statistics_.bytes = journal_->size() + built_bytes_;
        const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
        if (space == UINT64_MAX || seconds < 2 || statistics_.bytes == 0) return;
        statistics_.seconds_to_full = double(space) * seconds / double(statistics_.bytes);
        if (statistics_.seconds_to_full < 600 && statistics_.warning.empty())
            statistics_.warning =
                "the disk will be full in " + std::to_string(int(statistics_.seconds_to_full / 60)) + " min";
    }

    // --- the builder's thread ---
    void keep_built() {
        (void)::setpriority(PRIO_PROCESS, id_t(::gettid()), kBuilderNice);
        Chain batch;
        for (;;) {
            bool last = false;
            {
                std::unique_lock<std::mutex> held(build_mutex_);
                build_wake_.wait(held, [this] { return build_wanted_ || build_ends_ || wants_discard(); });
                last = build_ends_;
                build_wanted_ = false;
                batch.swap(journalled_);
            }
            if (wants_discard()) discard_file();
            for (const Entry* entry = batch.first(); entry != nullptr; entry = entry->next) {
                if (!file_ || give_up_) break;
                if (auto ok = file_->add(entry->event); !ok) {
                    alarm(Error{ErrorKind::system,
                                "the file cannot be built for now (" + ok.error().what +
                                    "); the recording goes on in its journal",
                                path_, "free some space"});
                    give_up_ = true;
                }
            }
            if (wants_discard()) discard_file();
            count(batch);
            batch.clear();
            if (last) return;
        }
    }
    bool wants_discard() const { return give_up_ && !given_up_; }

    void count(const Chain& batch) {
        uint64_t samples = 0;
        for (const Entry* entry = batch.first(); entry != nullptr; entry = entry->next)
            if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&entry->event))
                samples += (*block)->counts.size();
        built_bytes_ = file_ ? file_->bytes() : 0;
        const uint64_t size_at_end = file_ ? file_->size_at_end() : 0;  // without the lock: HDF5 has its own
        {
            const std::lock_guard<std::mutex> held(build_mutex_);
            size_at_end_ = size_at_end;
            unbuilt_bytes_ -= batch.bytes();
        }
        const std::lock_guard<std::mutex> held(mutex_);
        statistics_.events += batch.size();
        statistics_.samples += samples;
    }

    const std::string path_;
    const RecorderLimits limits_;
    std::unique_ptr<JournalWriter> journal_;  // its thread's, and finish()'s after that ended
    std::unique_ptr<FileLock> lock_;
    std::unique_ptr<SessionFile> file_;  // the builder's, likewise
    uint64_t end_reserved_ = 0;          // of disk space, from its start; the journal's thread's
    const Clock::time_point started_;
    bool finished_ = false;

    mutable std::mutex mutex_;
    Waker wake_;
    Inbox inbox_;
    std::atomic<size_t> queued_bytes_{0};
    std::map<int, std::vector<Gap>> lost_;  // per stream, not yet handed over as gaps
    std::atomic<bool> any_lost_{false}, stopping_{false};
    std::optional<Error> error_;
    WriterStatistics statistics_;
    std::mutex build_mutex_;
    std::condition_variable build_wake_;
    Chain journalled_;          // not yet in the file
    size_t unbuilt_bytes_ = 0;  // with what is being built
    uint64_t size_at_end_ = 0;  // of the file as built so far
    bool build_wanted_ = false, build_ends_ = false;
    // The file is to be given up, and is; finish() builds it again.
    std::atomic<bool> give_up_{false}, given_up_{false};
    std::atomic<uint64_t> built_bytes_{0};
    std::mutex sync_mutex_;
    std::condition_variable sync_wake_;
    bool sync_wanted_ = false, sync_ends_ = false;
    std::atomic<Clock::duration> sync_took_{std::chrono::milliseconds(100)};  // the longest of late
    std::thread sync_thread_, build_thread_, thread_;  // last: they use all of the above
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
