// lockstep replay: a recording's samples through a device again, its predictions held against the
// recorded ones and the host's.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include "acquisition/session.h"
#include "app/base/comparison.h"
#include "app/base/devices.h"
#include "app/base/recording.h"
#include "app/base/session_signals.h"
#include "app/commands/commands.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

using WindowKey = std::pair<std::string, uint32_t>;  // first 16 digits of the plan, window

// What of the live run is compared, collected from the hub.
struct Live {
    std::map<WindowKey, uint32_t> device;          // output hash
    std::map<WindowKey, WindowVerdict> verdicts;   // device against host, live
    std::map<std::string, uint64_t> end;           // stream -> one past the last counter
    std::map<std::string, uint64_t> wrong_values;  // stream -> samples unlike the recorded ones
};

// Feeds the live blocks' counts against the recorded ones.
class SampleCheck {
  public:
    explicit SampleCheck(SessionSignals* recorded) : recorded_(recorded) {}
    uint64_t wrong(const std::string& stream, const Block& block) {
        const auto& infos = recorded_->streams();
        const auto info =
            std::find_if(infos.begin(), infos.end(), [&](const StreamInfo& s) { return s.name == stream; });
        if (info == infos.end() || info->channels.size() != block.channels) return block.count;
        const size_t index = size_t(info - infos.begin());
        uint64_t wrong = 0;
        for (uint64_t done = 0; done < block.count;) {
            const uint64_t at = block.first + done;
            if (at >= recorded_->length(index)) return wrong + block.count - done;
            const auto chunk = recorded_->read(index, at, uint32_t(block.count - done));
            if (!chunk) return wrong + block.count - done;
            const uint64_t n = chunk->missing > 0 ? chunk->missing : chunk->counts.size() / block.channels;
            for (uint64_t i = 0; i < n; ++i)
                wrong += chunk->missing > 0 ||
                                 !std::equal(chunk->counts.begin() + long(i * block.channels),
                                             chunk->counts.begin() + long((i + 1) * block.channels),
                                             block.counts.begin() + long((done + i) * block.channels))
                             ? 1
                             : 0;
            done += n;
        }
        return wrong;
    }

  private:
    SessionSignals* recorded_;
};

// A virtual board takes its signals from the session; a board with other signals cannot replay.
Result<std::string> target_uri(const std::string& to, const std::string& path) {
    auto uri = Uri::parse(to);
    if (!uri) return tl::make_unexpected(uri.error());
    if (uri->scheme != "virtual")
        return fail(ErrorKind::usage, "replay needs a device whose sensors can be injected", to,
                    "use virtual:BOARD");
    if (!uri->value("signals").empty())
        return fail(ErrorKind::usage, "replay sets 'signals' itself", to, "leave it out");
    std::error_code error;
    uri->query.emplace_back("signals", std::filesystem::absolute(path, error).string());
    return uri->text();
}

int replay(const std::string& path, const std::string& to, bool json) {
    auto reader = storage::open_session(path);
    if (!reader) return complain(reader.error());
    const auto plans = plans_of_session(**reader);
    if (!plans) return complain(plans.error());
    const auto predictions = (*reader)->predictions();
    if (!predictions) return complain(predictions.error());
    const auto verdicts = (*reader)->verdicts();
    if (!verdicts) return complain(verdicts.error());
    auto signals = SessionSignals::open(std::move(*reader));
    if (!signals) return complain(signals.error());
    const int segment = (*signals)->segment();
    const auto uri = target_uri(to, path);
    if (!uri) return complain(uri.error());

    DeviceInfo info;
    auto driver = open_device(*uri, &info);
    if (!driver) return complain(driver.error());
    Session session;
    for (const PlanPtr& plan : *plans)
        session.add_model(plan);
    const auto device = session.add_device(std::move(*driver));
    if (!device) return complain(device.error());

    Live live;
    std::mutex live_mutex;
    SampleCheck check(signals->get());
    const auto events = session.hub().attach(1 << 17);
    std::thread collector([&] {
        std::map<int, std::string> names;
        Event event;
        while (!events->closed()) {
            if (!events->pop(&event, std::chrono::milliseconds(200))) continue;
            const std::lock_guard lock(live_mutex);
            if (const auto* started = std::get_if<SegmentStarted>(&event)) {
                for (size_t i = 0; i < started->streams.size(); ++i)
                    names[started->streams[i]] = started->info.streams[i].name;
            } else if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&event)) {
                const std::string& name = names[(*block)->stream];
                live.end[name] = (*block)->first + (*block)->count;
                live.wrong_values[name] += check.wrong(name, **block);
            } else if (const auto* p = std::get_if<Prediction>(&event);
                       p != nullptr && p->origin == Origin::device) {
                live.device[{p->plan_id.substr(0, 16), p->window}] = p->output_hash;
            } else if (const auto* verdict = std::get_if<WindowVerdict>(&event)) {
                if (verdict->model >= 0 && size_t(verdict->model) < plans->size())
                    live.verdicts[{(*plans)[size_t(verdict->model)]->plan_id.substr(0, 16),
                                   verdict->window}] = *verdict;
            }
        }
    });
    const auto finish = [&] {
        session.hub().detach(events);
        events->close();
        collector.join();
    };
    if (const Status started = session.start(); !started) {
        finish();
        return complain(started.error());
    }

    // Done when every stream has come to its recorded end, or when nothing more comes.
    double longest = 0;
    const auto& streams = (*signals)->streams();
    for (size_t i = 0; i < streams.size(); ++i)
        longest = std::max(longest,
                           double((*signals)->length(i)) / streams[i].rate() + (*signals)->start_us(i) / 1e6);
    const double patience = 5 + (*signals)->longest_gap();
    const int64_t begin = now_host_ns();
    int64_t moved = begin;
    uint64_t before = 0;
    bool complete = false;
    {
        Progress progress;
        while (!interrupted() && !complete) {
            sleep_ms(100);
            uint64_t sum = 0;
            complete = true;
            {
                const std::lock_guard lock(live_mutex);
                for (size_t i = 0; i < streams.size(); ++i) {
                    const uint64_t end = live.end[streams[i].name];
                    complete = complete && end >= (*signals)->length(i);
                    sum += end;
                }
            }
            if (sum != before) moved = now_host_ns();
            before = sum;
            if (double(now_host_ns() - moved) / 1e9 > patience) break;
            char text[80];
            std::snprintf(text, sizeof text, "replaying %.0f of %.0f s", double(now_host_ns() - begin) / 1e9,
                          longest);
            progress.show(text);
        }
    }
    // The windows that the last samples complete take the board a moment.
    if (complete) sleep_ms(500);
    const Status stopped = session.stop();
    const Summary summary = session.summary();
    finish();
    if (!stopped) return complain(stopped.error());
    if (interrupted()) return complain(interruption("the recording was not replayed to its end"));

    // Recorded device predictions; those of windows that lost a sample in the recording cannot repeat.
    std::map<WindowKey, bool> usable;
    for (const WindowVerdict& v : *verdicts)
        if (v.segment == segment && v.model >= 0 && size_t(v.model) < plans->size())
            usable[{(*plans)[size_t(v.model)]->plan_id.substr(0, 16), v.window}] =
                v.verdict == Verdict::same || v.verdict == Verdict::different;
    uint64_t compared = 0;
    uint64_t equal = 0;
    uint64_t missing = 0;
    for (const Prediction& p : *predictions) {
        const WindowKey key{p.plan_id.substr(0, 16), p.window};
        if (p.origin != Origin::device || p.segment != segment || !usable[key]) continue;
        ++compared;
        const auto again = live.device.find(key);
        if (again == live.device.end()) {
            ++missing;
            if (missing <= 5)
                say("window " + std::to_string(p.window) + " of plan " + key.first +
                    ": the device did not predict it again");
        } else if (again->second == p.output_hash) {
            ++equal;
        } else {
            say("window " + std::to_string(p.window) + " of plan " + key.first +
                ": the device's output differs from the recorded one");
        }
    }
    for (const auto& [key, verdict] : live.verdicts)
        if (verdict.verdict == Verdict::different) say(describe(verdict, *plans));
    uint64_t wrong = 0;
    for (const auto& [name, count] : live.wrong_values)
        wrong += count;
    uint64_t link_lost = 0;
    for (const StreamAccount& s : summary.streams)
        link_lost += s.lost;
    const bool same =
        complete && compared > 0 && equal == compared && wrong == 0 && summary.windows.different == 0;
    if (json)
        print_json({{"session", std::filesystem::path(path).filename().string()},
                    {"device", to},
                    {"same", same},
                    {"complete", complete},
                    {"recorded_predictions",
                     {{"compared", compared},
                      {"equal", equal},
                      {"missing", missing},
                      {"different", compared - equal - missing}}},
                    {"windows", to_json(summary.windows)},
                    {"wrong_samples", wrong},
                    {"lost_samples", link_lost}});
    if (!complete) say("lockstep: " + to + ": the replay ended before the recording's last sample");
    say(path + " through " + to + ": " + std::to_string(equal) + " of " + std::to_string(compared) +
        " recorded device predictions equal; device against host now: " +
        std::to_string(summary.windows.same) + " same, " + std::to_string(summary.windows.different) +
        " different; " + std::to_string(wrong) + " wrong samples: " + (same ? "same" : "NOT the same"));
    return same ? kYes : kNo;
}

}  // namespace

void add_replay(CLI::App& root, Chosen* chosen) {
    CLI::App* command =
        root.add_subcommand("replay", "Feed a recording's samples to a device and compare its predictions");
    auto path = std::make_shared<std::string>();
    auto to = std::make_shared<std::string>();
    auto json = std::make_shared<bool>(false);
    command->add_option("session", *path, "NAME.h5")->required();
    command->add_option("--to", *to, "virtual:BOARD")->required();
    command->add_flag("--json", *json, "One JSON object on standard output");
    command->callback([=] { *chosen = [=] { return replay(*path, *to, *json); }; });
}

}  // namespace lockstep::app
