// lockstep devices, lockstep info
#include "app/base/devices.h"

#include <cstdio>

#include "app/base/report_data.h"
#include "app/commands/commands.h"
#include "devices/registry.h"

namespace lockstep::app {
namespace {

constexpr int kSearchMs = 3000;  // of listening; a board advertises itself about once a second

int list_devices(bool json) {
    const std::vector<FoundDevice> found = find_devices(kSearchMs);
    if (json) {
        Json out = {{"devices", Json::array()}, {"schemes", Json::array()}};
        for (const FoundDevice& device : found)
            out["devices"].push_back({{"uri", device.uri}, {"text", device.text}});
        for (const DriverInfo& driver : device_table())
            out["schemes"].push_back(
                {{"scheme", driver.scheme}, {"text", driver.text}, {"address", driver.address_hint}});
        print_json(out);
        return kYes;
    }
    for (const FoundDevice& device : found)
        std::printf("%-40s %s\n", device.uri.c_str(), device.text.c_str());
    if (found.empty()) say("nothing found; 'lockstep firmware build' makes a virtual board");
    return kYes;
}

int show_device(const std::string& uri, bool json) {
    DeviceInfo info;
    const auto driver = open_device(uri, &info);
    if (!driver) return complain(driver.error());
    if (json) {
        print_json(to_json(info));
        return kYes;
    }
    std::string head = uri + ": board " + info.board;
    for (const auto& [what, value] : {std::pair("firmware ", &info.firmware),
                                      {"build ", &info.build_id},
                                      {"serial number ", &info.serial},
                                      {"last reset: ", &info.reset_cause}})
        if (!value->empty()) head += std::string(", ") + what + *value;
    std::printf("%s\n", head.c_str());
    for (const StreamInfo& stream : info.streams)
        std::printf("  stream %-10s %-8s %8.3f Hz  %s%s\n", stream.name.c_str(), stream.kind.c_str(),
                    stream.rate(), channels_text(stream).c_str(), stream.enabled ? "" : "  (off)");
    for (const DeviceModel& model : info.models)
        std::printf("  model  %-10s plan %s%s\n", model.name.c_str(), model.plan_id.substr(0, 16).c_str(),
                    model.active ? "" : "  (not active)");
    return kYes;
}

}  // namespace

void add_devices(CLI::App& root, Chosen* chosen) {
    CLI::App* command = root.add_subcommand("devices", "What is connected or reachable");
    auto json = std::make_shared<bool>(false);
    command->add_flag("--json", *json, "One JSON object on standard output");
    command->callback([=] { *chosen = [=] { return list_devices(*json); }; });
}

void add_info(CLI::App& root, Chosen* chosen) {
    CLI::App* command = root.add_subcommand("info", "Board, firmware, streams and models of a device");
    auto uri = std::make_shared<std::string>();
    auto json = std::make_shared<bool>(false);
    command->add_option("uri", *uri, "serial:/dev/ttyACM0, tcp:HOST:PORT, virtual:BOARD, replay:SESSION.h5")
        ->required();
    command->add_flag("--json", *json, "One JSON object on standard output");
    command->callback([=] { *chosen = [=] { return show_device(*uri, *json); }; });
}

}  // namespace lockstep::app
