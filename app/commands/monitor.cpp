// lockstep monitor: live rates, loss, drift and signal quality of a device, nothing stored.
#include <cstdio>
#include <map>

#include "acquisition/session.h"
#include "acquisition/signal_quality.h"
#include "app/base/devices.h"
#include "app/base/paths.h"
#include "app/base/recording.h"
#include "app/base/report_data.h"
#include "app/commands/commands.h"

namespace lockstep::app {
namespace {

constexpr size_t kQueue = 4096;  // events; seconds of the fastest device

const char* state_name(SignalState state) {
    switch (state) {
        case SignalState::good:
            return "good";
        case SignalState::flat:
            return "flat";
        case SignalState::clipped:
            return "clipped";
        case SignalState::hum:
            return "hum";
        default:
            return "unknown";
    }
}

// Every channel now, in the order of the streams: called with the channel and its quality.
template <typename Told>
void each_channel(const TraceSource& traces, const Told& told) {
    const std::vector<StreamInfo> streams = traces.streams();
    for (size_t s = 0; s < streams.size(); ++s)
        for (size_t c = 0; streams[s].enabled && c < streams[s].channels.size(); ++c)
            told(streams[s], streams[s].channels[c],
                 signal_quality(traces, streams[s], int(s), int(c), traces.end_time(int(s))));
}

// What there is to complain of: "  eeg: Fp1 flat, O2 60 Hz hum", "  eeg: all 60 Hz hum".
std::string complaints(const TraceSource& traces) {
    struct Stream {
        std::string name;
        size_t channels = 0;
        std::map<std::string, std::vector<std::string>> bad;  // by complaint
    };
    std::vector<Stream> streams;
    each_channel(traces, [&](const StreamInfo& stream, const ChannelInfo& channel, const SignalQuality& q) {
        if (streams.empty() || streams.back().name != stream.name)
            streams.push_back({stream.name, stream.channels.size(), {}});
        if (q.state == SignalState::good || q.state == SignalState::unknown) return;
        const std::string tone =
            q.state == SignalState::hum ? std::to_string(int(q.mains_hz)) + " Hz " : std::string();
        streams.back().bad[tone + state_name(q.state)].push_back(channel.name);
    });
    std::string out;
    for (const Stream& stream : streams) {
        std::string separator = "  " + stream.name + ": ";
        for (const auto& [complaint, channels] : stream.bad) {
            out += separator;
            separator = ", ";
            if (channels.size() == stream.channels && stream.channels > 1) {
                out += "all ";
            } else {
                for (const std::string& channel : channels)
                    out += channel + " ";
            }
            out += complaint;
        }
    }
    return out;
}

Json quality_json(const TraceSource& traces) {
    Json out = Json::object();
    each_channel(traces, [&](const StreamInfo& stream, const ChannelInfo& channel, const SignalQuality& q) {
        Json entry = {{"state", state_name(q.state)}, {"rms", q.rms}, {"unit", channel.unit}};
        if (q.state == SignalState::hum) entry["mains_hz"] = q.mains_hz;
        out[stream.name][channel.name] = std::move(entry);
    });
    return out;
}

int monitor(const std::string& uri, double seconds, bool json) {
    DeviceInfo info;
    auto driver = open_device(uri, &info);
    if (!driver) return complain(driver.error());
    Session session;
    std::vector<std::string> warnings;
    for (const PlanPtr& plan : plans_of_device(info, &warnings))
        session.add_model(plan);
    for (const std::string& warning : warnings)
        say("lockstep: " + warning);
    TraceStore traces;
    traces.follow(session.hub().attach(kQueue));
    const auto device = session.add_device(std::move(*driver));
    if (!device) return complain(device.error());
    if (const Status started = session.start(); !started) return complain(started.error());

    const int64_t begin = now_host_ns();
    double told = 0;
    while (!interrupted()) {
        const double now = double(now_host_ns() - begin) / 1e9;
        if (now - told >= 1) {
            told += 1;
            const Summary summary = session.summary();
            std::string line = std::to_string(int(told)) + " s";
            char text[160];
            for (const StreamAccount& stream : summary.streams) {
                std::snprintf(text, sizeof text, "  %s %.1f Hz", stream.name.c_str(), stream.rate);
                line += text;
                if (stream.lost > 0) line += " (" + std::to_string(stream.lost) + " lost)";
            }
            std::snprintf(text, sizeof text, "  drift %.1f ppm  %.1f kB/s", summary.clock.drift_ppm,
                          double(session.link_statistics(*device).bytes) / now / 1000);
            say(line + text + complaints(traces));
        }
        if (seconds > 0 && now >= seconds) break;
        sleep_ms(50);
    }
    const Status stopped = session.stop();
    const Summary summary = session.summary();
    if (json) {
        Json out = report_json(summary, "", summary.whole, false);
        out.erase("session");
        out.erase("composite");
        const LinkStatistics link = session.link_statistics(*device);
        out["link"] = {{"bytes", link.bytes},
                       {"frames", link.frames},
                       {"damaged", link.damaged},
                       {"lost_frames", link.lost_frames}};
        out["quality"] = quality_json(traces);
        print_json(out);
    }
    if (!stopped) return complain(stopped.error());
    uint64_t received = 0;
    for (const StreamAccount& stream : summary.streams)
        received += stream.received;
    if (received == 0)
        return complain({ErrorKind::device, "the device sent no sample", uri, "check its sensors"});
    return kYes;
}

}  // namespace

void add_monitor(CLI::App& root, Chosen* chosen) {
    CLI::App* command = root.add_subcommand("monitor", "Live rates, loss, drift and signal quality");
    auto uri = std::make_shared<std::string>();
    auto seconds = std::make_shared<double>(0);
    auto json = std::make_shared<bool>(false);
    command->add_option("uri", *uri, "Device")->required();
    command->add_option("--seconds", *seconds, "End after so long; without it Ctrl-C ends")
        ->check(above_zero("seconds"));
    command->add_flag("--json", *json, "A summary at the end, as one JSON object on standard output");
    command->callback([=] { *chosen = [=] { return monitor(*uri, *seconds, *json); }; });
}

}  // namespace lockstep::app
