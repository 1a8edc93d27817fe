// lockstep monitor: live rates, loss and drift of a device, nothing stored.
#include <cstdio>

#include "acquisition/session.h"
#include "app/base/devices.h"
#include "app/base/paths.h"
#include "app/base/recording.h"
#include "app/base/report_data.h"
#include "app/commands/commands.h"

namespace lockstep::app {
namespace {

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
            say(line + text);
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
    CLI::App* command = root.add_subcommand("monitor", "Live rates, loss and drift");
    auto uri = std::make_shared<std::string>();
    auto seconds = std::make_shared<double>(0);
    auto json = std::make_shared<bool>(false);
    command->add_option("uri", *uri, "Device")->required();
    command->add_option("--seconds", *seconds, "End after so many seconds")->check(CLI::PositiveNumber);
    command->add_flag("--json", *json, "A summary at the end, as one JSON object on standard output");
    command->callback([=] { *chosen = [=] { return monitor(*uri, *seconds, *json); }; });
}

}  // namespace lockstep::app
