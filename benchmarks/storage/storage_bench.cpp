// The recorder and the reader at work, one part a call, one JSON object on standard output:
//   record PATH CHANNELS RATE SECONDS SPEED   signal A at SPEED times real time (0: as fast as it goes);
//                                             processor time of the writer, the longest append(), the end;
//                                             beside it a thread that does the same without a recorder
//   feed PATH                                 the nominal streams in real time, until it is killed; a line of
//                                             what was handed over after every append()
//   fill PATH [on]                            8 channels, much faster than real time, until the recorder says
//                                             that the disk is full; then ends the recording. `on`: goes on
//                                             until not even the journal can grow, then dies without a word
//   read PATH                                 opening, the first overview, random 10 s
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <nlohmann/json.hpp>
#include <thread>

#include "signals.h"
#include "storage/reader.h"
#include "storage/recorder.h"

namespace {

using namespace lockstep;
using Clock = std::chrono::steady_clock;
using nlohmann::json;

double cpu(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}
double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

int complain(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message().c_str());
    return 3;
}

// How long a hand-over took. Wall time counts the scheduler's doings too; `blocked` counts only calls in
// which the thread itself had to wait (a voluntary context switch).
struct HandOver {
    double longest = 0, blocked = 0;
    std::vector<float> all;

    template <typename F>
    void time(F&& f) {
        rusage before{}, after{};
        getrusage(RUSAGE_THREAD, &before);
        const auto start = Clock::now();
        f();
        const double took = since(start);
        getrusage(RUSAGE_THREAD, &after);
        longest = std::max(longest, took);
        if (after.ru_nvcsw != before.ru_nvcsw) blocked = std::max(blocked, took);
        all.push_back(float(took));
    }
};

// The same rhythm and the same clock reads, with a plain list in the recorder's place.
class Control {
  public:
    explicit Control(std::chrono::duration<double> every) : thread_([this, every] { run(every); }) {}
    HandOver stop() {
        stop_ = true;
        thread_.join();
        return std::move(times_);
    }
    double used() const { return used_; }  // processor seconds

  private:
    void run(std::chrono::duration<double> every) {
        std::vector<Event> list;
        for (auto due = Clock::now(); !stop_;) {
            due += std::chrono::duration_cast<Clock::duration>(every);
            std::this_thread::sleep_until(due);
            times_.time([&] { list.emplace_back(Gap{}); });
            used_ = cpu(CLOCK_THREAD_CPUTIME_ID);
        }
    }
    std::atomic<double> used_{0};
    std::atomic<bool> stop_{false};
    HandOver times_;
    std::thread thread_;
};

int record(const std::string& path, int channels, uint32_t rate, double seconds, double speed) {
    const auto signal = bench::signal_a(channels, rate, 1u << 18);
    // As a device would send it: about 28 blocks a second.
    const auto batch = uint32_t(std::max<uint32_t>(1, rate / 28));
    const StreamInfo info = bench::stream("eeg", SampleType::int24, channels, rate, uint16_t(batch));
    auto writer = storage::create_session(bench::options(path));
    if (!writer) return complain(writer.error());
    (*writer)->append(bench::started({info}));
    // The session's own label, prediction and clock events are few beside the samples.
    double process0 = cpu(CLOCK_PROCESS_CPUTIME_ID), own0 = cpu(CLOCK_THREAD_CPUTIME_ID), from = 0,
           control0 = 0;
    const auto t0 = Clock::now();
    HandOver appends, alone;
    std::unique_ptr<Control> control;
    if (speed > 0)
        control = std::make_unique<Control>(std::chrono::duration<double>(batch / double(rate) / speed));
    const auto total = uint64_t(seconds * rate);
    for (uint64_t first = 0; first < total; first += batch) {
        Event event =
            bench::block(0, info, first, uint32_t(std::min<uint64_t>(batch, total - first)), signal);
        if (speed > 0) {
            const double due = double(first + batch) / rate / speed - since(t0);
            if (due > 0) std::this_thread::sleep_for(std::chrono::duration<double>(due));
        } else {
            // A recorder is never fed faster than its queue drains: wait for it rather than lose.
            while ((*writer)->statistics().samples + (8u << 20) < first * uint64_t(channels))
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        // In real time the first seconds, which touch every buffer for the first time, do not count.
        if (speed > 0 && from == 0 && since(t0) > 5) {
            from = double(first) / rate;
            process0 = cpu(CLOCK_PROCESS_CPUTIME_ID);
            own0 = cpu(CLOCK_THREAD_CPUTIME_ID);
            control0 = control->used();
        }
        appends.time([&] { (*writer)->append(std::move(event)); });
    }
    if (control) alone = control->stop();
    while ((*writer)->statistics().samples < total * uint64_t(channels) &&
           (*writer)->statistics().dropped_events == 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const double wall = since(t0);
    const double writing = cpu(CLOCK_PROCESS_CPUTIME_ID) - process0 - (cpu(CLOCK_THREAD_CPUTIME_ID) - own0) -
                           (control ? control->used() - control0 : 0);
    SegmentEnded end;
    end.reason = "stop";
    end.counted = true;
    end.host_ns = int64_t(seconds * 1e9);
    end.sent = {{uint32_t(total), 0}};
    (*writer)->append(end);
    const auto finish0 = Clock::now();
    const double finish_cpu0 = cpu(CLOCK_PROCESS_CPUTIME_ID);
    const auto finished = (*writer)->finish();
    if (!finished) return complain(finished.error());
    std::sort(appends.all.begin(), appends.all.end());
    std::puts(json{{"samples", total * uint64_t(channels)},
                   {"wall_s", wall},
                   {"writer_cpu_s", writing},
                   {"counted_s", seconds - from},
                   {"longest_append_ms", appends.longest * 1e3},
                   {"longest_blocked_ms", appends.blocked * 1e3},
                   {"longest_control_ms", alone.longest * 1e3},
                   {"median_append_ms", appends.all[appends.all.size() / 2] * 1e3},
                   {"finish_s", since(finish0)},
                   {"finish_cpu_s", cpu(CLOCK_PROCESS_CPUTIME_ID) - finish_cpu0},
                   {"dropped", (*writer)->statistics().dropped_events}}
                  .dump()
                  .c_str());
    return 0;
}

// Counts that tell where they belong, for the check after the kill.
int32_t telling(uint64_t i, size_t c, bool wide) {
    const auto v = int64_t(i * 8191 + c * 131);
    return wide ? int32_t(v & 0x7FFFFF) - 0x400000 : int32_t(v & 0x7FFF) - 0x4000;
}

int feed(const std::string& path) {
    const std::vector<StreamInfo> streams = {bench::stream("eeg", SampleType::int24, 8, 250, 9),
                                             bench::stream("gsr", SampleType::int16, 1, 32, 2),
                                             bench::stream("imu", SampleType::int16, 6, 100, 4),
                                             bench::stream("ppg", SampleType::int24, 3, 100, 4)};
    auto writer = storage::create_session(bench::options(path));
    if (!writer) return complain(writer.error());
    (*writer)->append(bench::started(streams));
    std::vector<uint64_t> next(streams.size());
    uint32_t labels = 0, predictions = 0;
    const auto t0 = Clock::now();
    for (;;) {
        const double now = since(t0);
        for (size_t s = 0; s < streams.size(); ++s) {
            const StreamInfo& info = streams[s];
            for (; double(next[s] + info.batch) <= now * info.rate(); next[s] += info.batch) {
                auto b = std::make_shared<Block>();
                b->stream = int(s);
                b->first = next[s];
                b->count = info.batch;
                b->channels = uint16_t(info.channels.size());
                b->device_us = next[s] * 1'000'000 / info.rate_num;
                b->host_ns = int64_t(now * 1e9);
                for (uint32_t k = 0; k < b->count; ++k)
                    for (size_t c = 0; c < b->channels; ++c)
                        b->counts.push_back(telling(next[s] + k, c, info.type == SampleType::int24));
                (*writer)->append(std::shared_ptr<const Block>(std::move(b)));
            }
        }
        for (; labels < now * 4; ++labels) {
            LabelEdit edit;
            edit.revision = labels + 1;
            edit.after.id = labels + 1;
            edit.after.start = now;
            edit.after.stop = now + 0.2;
            edit.after.label_class = "walk";
            (*writer)->append(edit);
        }
        for (; predictions < now * 5; ++predictions) {
            Prediction p;
            p.origin = Origin::device;
            p.window = predictions;
            p.first = {predictions * 50ull};
            p.scores = {0.25f, 0.75f};
            (*writer)->append(p);
        }
        timespec stamp{};
        clock_gettime(CLOCK_MONOTONIC, &stamp);
        std::printf("%lld.%09ld %llu %llu %llu %llu %u %u\n", static_cast<long long>(stamp.tv_sec),
                    stamp.tv_nsec, static_cast<unsigned long long>(next[0]),
                    static_cast<unsigned long long>(next[1]), static_cast<unsigned long long>(next[2]),
                    static_cast<unsigned long long>(next[3]), labels, predictions);
        std::fflush(stdout);
        usleep(2000);
    }
}

int fill(const std::string& path, bool on) {
    const StreamInfo info = bench::stream("eeg", SampleType::int24, 8, 250, 500);
    auto writer = storage::create_session(bench::options(path));
    if (!writer) return complain(writer.error());
    (*writer)->append(bench::started({info}));
    uint64_t rows = 0, space = 0;
    std::deque<uint64_t> lately;  // rows at the last ticks, of 10 ms
    uint64_t written = 0;
    Clock::time_point shrank = Clock::now(), told = shrank, refusing = shrank,
                      refused = shrank - std::chrono::hours(1);
    bool was_told = false;
    for (const auto t0 = Clock::now(); since(t0) < 30;) {
        for (int i = 0; i < 10; ++i, rows += info.batch) {
            auto b = std::make_shared<Block>();
            b->first = rows;
            b->count = info.batch;
            b->channels = 8;
            b->device_us = rows * 4000;
            b->host_ns = int64_t(rows) * 4'000'000;
            for (uint32_t k = 0; k < b->count; ++k)
                for (size_t c = 0; c < 8; ++c)
                    b->counts.push_back(telling(rows + k, c, true));
            (*writer)->append(std::shared_ptr<const Block>(std::move(b)));
        }
        const uint64_t left = storage::free_space(path);
        if (left < space) shrank = Clock::now();
        space = left;
        while (auto error = (*writer)->take_error()) {
            std::fprintf(stderr, "%s\n", error->message().c_str());
            told = Clock::now();
            if (error->what.find("cannot be written") == std::string::npos) continue;
            if (since(refused) > 0.5) refusing = told, written = lately.front();
            refused = told;
            if (on && since(refusing) > 1) {  // the space of the file being built is used up as well
                std::puts(json{{"rows", written}, {"full", was_told}}.dump().c_str());
                std::fflush(stdout);
                _exit(9);
            }
        }
        lately.push_back(rows);
        if (lately.size() > 20) lately.pop_front();
        was_told = (*writer)->statistics().full;
        if (was_told && !on) break;
        usleep(10000);
    }
    const auto finished = (*writer)->finish();
    std::puts(json{{"rows", rows},
                   {"full", was_told},
                   {"error_s", std::max(0.0, std::chrono::duration<double>(told - shrank).count())}}
                  .dump()
                  .c_str());
    return finished ? 0 : complain(finished.error());
}

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

// 2000 columns of every channel from the coarsest level that has as many.
Status overview(SessionReader& session, std::vector<MinMax>* columns) {
    const SessionStream& s = session.streams()[0];
    const size_t channels = s.info.channels.size(), wanted = 2000;
    uint32_t level = session.overview_levels().front();
    for (const uint32_t l : session.overview_levels())
        if (s.rows / l >= wanted) level = l;
    const uint64_t bins = (s.rows + level - 1) / level;
    std::vector<MinMax> all(size_t(bins) * channels);
    if (auto ok = session.read_overview(0, level, 0, bins, all.data()); !ok) return ok;
    columns->assign(wanted * channels, {INT32_MAX, INT32_MIN});
    for (size_t b = 0; b < bins; ++b)
        for (size_t c = 0; c < channels; ++c) {
            MinMax& out = (*columns)[b * wanted / bins * channels + c];
            out.min = std::min(out.min, all[b * channels + c].min);
            out.max = std::max(out.max, all[b * channels + c].max);
        }
    return {};
}

int read(const std::string& path) {
    const auto wall = Clock::now();
    if (auto first = storage::open_session(path); !first) return complain(first.error());
    const double foreign = since(wall);  // with the child process that looks first
    // Processor time from here on: what neighbours on the machine do not change.
    const auto clock = [] { return cpu(CLOCK_THREAD_CPUTIME_ID); };
    double t = 0;
    std::vector<double> opening, first_overview, seeks;
    for (int i = 0; i < 9; ++i) {
        t = clock();
        auto session = storage::open_session(path);
        if (!session) return complain(session.error());
        opening.push_back(clock() - t);
        std::vector<MinMax> columns;
        t = clock();
        if (auto ok = overview(**session, &columns); !ok) return complain(ok.error());
        first_overview.push_back(clock() - t);
    }
    auto session = storage::open_session(path);
    if (!session) return complain(session.error());
    const SessionStream& s = (*session)->streams()[0];
    const auto rows = uint64_t(10 * s.info.rate());
    std::vector<int32_t> out(size_t(rows) * s.info.channels.size());
    uint64_t random = 1;
    for (int i = 0; i < 100; ++i) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        t = clock();
        if (auto ok = (*session)->read(0, (random >> 16) % (s.rows - rows), rows, out.data()); !ok)
            return complain(ok.error());
        seeks.push_back(clock() - t);
    }
    std::puts(json{{"open_foreign_ms", foreign * 1e3},
                   {"open_ms", median(opening) * 1e3},
                   {"overview_ms", median(first_overview) * 1e3},
                   {"seek_ms", median(seeks) * 1e3}}
                  .dump()
                  .c_str());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 2 ? argv[1] : "";
    if (what == "record" && argc == 7)
        return record(argv[2], std::atoi(argv[3]), uint32_t(std::atoi(argv[4])), std::atof(argv[5]),
                      std::atof(argv[6]));
    if (what == "feed") return feed(argv[2]);
    if (what == "fill") return fill(argv[2], argc > 3);
    if (what == "read") return read(argv[2]);
    std::fputs(
        "storage_bench record PATH CHANNELS RATE SECONDS SPEED | feed PATH | fill PATH [on] | read PATH\n",
        stderr);
    return 2;
}
