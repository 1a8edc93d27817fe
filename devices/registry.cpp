#include "devices/registry.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "devices/ble_link.h"
#include "devices/lockstep_driver.h"
#include "devices/options.h"
#include "devices/replay_device.h"
#include "devices/serial_driver.h"
#include "devices/tcp_link.h"
#include "devices/virtual_driver.h"

namespace lockstep {
namespace {

using MakeDriver = Result<std::unique_ptr<Driver>> (*)(const Uri& uri, const DriverServices& services);

struct Entry {
    DriverInfo info;
    MakeDriver make;
    // Of the test bench: taken, not offered to people.
    std::vector<std::string> bench = {};
};

Result<std::unique_ptr<Driver>> make_serial(const Uri& uri, const DriverServices&) {
    const auto baud = number_option(uri, "baud", 115200, 1, 4000000);
    if (!baud) return tl::make_unexpected(baud.error());
    return make_serial_driver(uri.text(), uri.address, int(*baud), 1);
}

// The project's protocol over a link that is made from `address`, again after every dropout.
template <typename Link, typename... Address>
Result<std::unique_ptr<Driver>> make_lockstep_driver(const Uri& uri, Address... address) {
    LockstepOptions options;
    options.uri = uri.text();
    options.open_link = [address...]() -> Result<std::unique_ptr<ByteLink>> {
        auto link = std::make_unique<Link>(address...);
        if (const Status status = link->open(); !status) return tl::make_unexpected(status.error());
        return link;
    };
    return std::make_unique<LockstepDriver>(std::move(options));
}

Result<std::unique_ptr<Driver>> make_tcp(const Uri& uri, const DriverServices&) {
    const size_t colon = uri.address.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == uri.address.size())
        return fail(ErrorKind::usage, "host and port are missing", uri.text(), "write tcp:HOST:PORT");
    std::string host = uri.address.substr(0, colon);
    const std::string port = uri.address.substr(colon + 1);
    const bool digits = port.find_first_not_of("0123456789") == std::string::npos && port.size() <= 5;
    if (!digits || std::stoi(port) < 1 || std::stoi(port) > 65535)
        return fail(ErrorKind::usage, "'" + port + "' is no port", uri.text(), "ports are 1 to 65535");
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    return make_lockstep_driver<TcpLink>(uri, host, port);
}

Result<std::unique_ptr<Driver>> make_ble(const Uri& uri, const DriverServices&) {
    std::string address = uri.address;
    bool fits = address.size() == 17;
    for (size_t i = 0; fits && i < address.size(); ++i) {
        fits = i % 3 == 2 ? address[i] == ':' : std::isxdigit(uint8_t(address[i])) != 0;
        address[i] = char(std::toupper(uint8_t(address[i])));
    }
    if (!fits)
        return fail(ErrorKind::usage, "not a Bluetooth address", uri.text(), "write ble:AA:BB:CC:DD:EE:FF");
    return make_lockstep_driver<BleLink>(uri, address);
}

Result<std::unique_ptr<Driver>> make_virtual(const Uri& uri, const DriverServices& services) {
    return make_virtual_driver(uri, services.executable);
}

Result<std::unique_ptr<Driver>> make_replay(const Uri& uri, const DriverServices& services) {
    const auto speed = number_option(uri, "speed", 1, 0, 1000);
    if (!speed) return tl::make_unexpected(speed.error());
    const auto device = number_option(uri, "device", 0, 0, 1000);
    if (!device) return tl::make_unexpected(device.error());
    if (!services.open_session)
        return fail(ErrorKind::system, "this program cannot read sessions", uri.text());
    auto reader = services.open_session(uri.address);
    if (!reader) return tl::make_unexpected(reader.error());
    return std::make_unique<ReplayDevice>(uri.text(), std::move(*reader), *speed, int(*device));
}

const OptionInfo kBaud{"baud", "Baud rate", "115200", {"115200", "230400", "460800", "921600"}};
const OptionInfo kSpeed{"speed", "Speed", "1", {}};

const Entry kDevices[] = {
    {{"virtual",
      "Virtual board",
      "mps2-an386",
      {{"signals", "Recordings fed to its sensors", "", {}}, kBaud, kSpeed}},
     make_virtual,
     {"firmware", "flip", "drop", "cut-every", "cut-length", "seed"}},
    {{"serial", "Serial port", "/dev/ttyACM0", {kBaud}}, make_serial},
    {{"tcp", "TCP bridge", "HOST:PORT", {}}, make_tcp},
    {{"ble", "Bluetooth Low Energy", "AA:BB:CC:DD:EE:FF", {}}, make_ble},
    {{"replay",
      "Recorded session",
      "SESSION.h5",
      {kSpeed, {"device", "Which device of the session", "0", {}}}},
     make_replay},
};

Status check_options(const Uri& uri, const Entry& device) {
    const DriverInfo& info = device.info;
    for (const auto& entry : uri.query) {
        const bool known = std::any_of(info.options.begin(), info.options.end(),
                                       [&](const OptionInfo& o) { return o.name == entry.first; });
        const bool bench =
            std::find(device.bench.begin(), device.bench.end(), entry.first) != device.bench.end();
        if (known || bench) continue;
        std::string names;
        for (const OptionInfo& o : info.options)
            names += (names.empty() ? "" : ", ") + o.name;
        return fail(ErrorKind::usage, "'" + entry.first + "' is no option of " + info.scheme, uri.text(),
                    names.empty() ? "it has none" : "there are: " + names);
    }
    return {};
}

}  // namespace

std::vector<DriverInfo> device_table() {
    std::vector<DriverInfo> out;
    for (const Entry& e : kDevices)
        out.push_back(e.info);
    return out;
}

DriverFactory make_driver_factory(DriverServices services) {
    return [services = std::move(services)](const Uri& uri) -> Result<std::unique_ptr<Driver>> {
        std::string schemes;
        for (const Entry& e : kDevices) {
            if (e.info.scheme == uri.scheme) {
                if (const Status status = check_options(uri, e); !status)
                    return tl::make_unexpected(status.error());
                return e.make(uri, services);
            }
            schemes += (schemes.empty() ? "" : ", ") + e.info.scheme;
        }
        return fail(ErrorKind::usage, "no device is called '" + uri.scheme + ":'", uri.text(),
                    "there are: " + schemes);
    };
}

std::vector<FoundDevice> scan_devices(int search_ms) {
    namespace fs = std::filesystem;
    std::vector<FoundDevice> out;
    std::set<std::string> known;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator("/dev/serial/by-id", error)) {
        std::error_code broken_link;
        const fs::path port = fs::canonical(entry.path(), broken_link);
        if (broken_link || !known.insert(port.string()).second) continue;
        out.push_back({"serial:" + entry.path().string(), entry.path().filename().string()});
    }
    for (const fs::directory_entry& entry : fs::directory_iterator("/dev", error)) {
        const std::string name = entry.path().filename().string();
        if (name.rfind("ttyACM", 0) != 0 && name.rfind("ttyUSB", 0) != 0) continue;
        if (!known.insert(entry.path().string()).second) continue;
        out.push_back({"serial:" + entry.path().string(), name});
    }
    std::sort(out.begin(), out.end(),
              [](const FoundDevice& a, const FoundDevice& b) { return a.uri < b.uri; });
    for (FoundDevice& device : scan_ble(search_ms))
        out.push_back(std::move(device));
    return out;
}

}  // namespace lockstep
