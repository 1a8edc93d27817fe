#include "devices/ble_link.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace lockstep {
namespace {

constexpr char kUartService[] = "6e400001-b5a3-f393-e0a9-e50e24dcca9e";
constexpr char kToDevice[] = "6e400002-b5a3-f393-e0a9-e50e24dcca9e";
constexpr char kFromDevice[] = "6e400003-b5a3-f393-e0a9-e50e24dcca9e";
constexpr char kDevice[] = "org.bluez.Device1";
constexpr int kSearchMs = 8000;
constexpr int kConnectMs = 15000;
constexpr int kServicesMs = 10000;
constexpr int kPollMs = 100;
constexpr size_t kAttHeader = 3;  // bytes of a packet that are not the value's
constexpr size_t kLeastMtu = 23;  // Bluetooth Core Specification 5.x, vol. 3, part F, 5.2.1
constexpr size_t kMostValue = 517;

using Clock = std::chrono::steady_clock;

void pause() {
    std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
}

const BluezObject* device_of(const std::vector<BluezObject>& objects, const std::string& address) {
    const auto found = std::find_if(objects.begin(), objects.end(), [&](const BluezObject& o) {
        return o.interface == kDevice && o.address == address;
    });
    return found == objects.end() ? nullptr : &*found;
}

}  // namespace

BleLink::BleLink(std::string address) : FdLink("ble:" + address), address_(std::move(address)) {}

BleLink::~BleLink() {
    if (connected_) (void)bluez_.call(path_, kDevice, "Disconnect", 2000);
}

// The device as the service sees it now; with `search` it is listened for first.
Result<BluezObject> BleLink::device(bool search) {
    auto objects = bluez_.objects();
    if (!objects) return tl::make_unexpected(objects.error());
    const auto adapter = find_adapter(*objects, where_);
    if (!adapter) return tl::make_unexpected(adapter.error());
    if (const BluezObject* known = device_of(*objects, address_)) return *known;
    if (!search) return fail(ErrorKind::device, "the device vanished", where_);
    if (const Status started = bluez_.start_discovery(*adapter); !started)
        return tl::make_unexpected(started.error());
    Result<BluezObject> found = fail(ErrorKind::device, "no device of this address is in reach", where_,
                                     "switch it on, bring it near; 'lockstep devices' lists what is there");
    const auto end = Clock::now() + std::chrono::milliseconds(kSearchMs);
    while (!found && Clock::now() < end) {
        pause();
        objects = bluez_.objects();
        if (!objects) return tl::make_unexpected(objects.error());
        if (const BluezObject* seen = device_of(*objects, address_)) found = *seen;
    }
    (void)bluez_.call(*adapter, "org.bluez.Adapter1", "StopDiscovery", 2000);
    return found;
}

Status BleLink::connect(const BluezObject& found) {
    path_ = found.path;
    if (found.connected) return {};
    const Status connected = bluez_.call(path_, kDevice, "Connect", kConnectMs);
    if (!connected)
        return fail(ErrorKind::device, connected.error().what, where_,
                    "bring it near, and close other programs that are connected to it");
    connected_ = true;
    return {};
}

Status BleLink::wait_for_services() {
    const auto end = Clock::now() + std::chrono::milliseconds(kServicesMs);
    while (Clock::now() < end) {
        const auto now = device(false);
        if (!now) return tl::make_unexpected(now.error());
        if (now->resolved) return {};
        if (!now->connected)
            return fail(ErrorKind::device, "the device ended the connection", where_, "bring it near");
        pause();
    }
    return fail(ErrorKind::device, "the device does not tell its services", where_, "switch it off and on");
}

Status BleLink::acquire(const std::vector<BluezObject>& objects) {
    const auto characteristic = [&](const char* uuid) {
        const auto found = std::find_if(objects.begin(), objects.end(), [&](const BluezObject& o) {
            return o.uuid == uuid && o.path.compare(0, path_.size() + 1, path_ + "/") == 0;
        });
        return found == objects.end() ? std::string() : found->path;
    };
    const std::string from = characteristic(kFromDevice);
    const std::string to = characteristic(kToDevice);
    if (from.empty() || to.empty())
        return fail(ErrorKind::device, "the device has no Nordic UART Service", where_,
                    "it is another kind of device, or its firmware is another");
    const auto write = bluez_.acquire(to, "AcquireWrite");
    if (!write) return tl::make_unexpected(write.error());
    out_ = write->fd;
    const auto notify = bluez_.acquire(from, "AcquireNotify");
    if (!notify) return tl::make_unexpected(notify.error());
    fd_ = notify->fd;
    read_unit_ = kMostValue;
    write_unit_ = std::max(write->mtu, kLeastMtu) - kAttHeader;
    return {};
}

Status BleLink::open() {
    if (Status bus = bluez_.open(where_); !bus) return bus;
    const auto found = device(true);
    if (!found) return tl::make_unexpected(found.error());
    if (Status done = connect(*found); !done) return done;
    if (Status done = wait_for_services(); !done) return done;
    const auto objects = bluez_.objects();
    if (!objects) return tl::make_unexpected(objects.error());
    return acquire(*objects);
}

std::vector<FoundDevice> scan_ble(int search_ms) {
    Bluez bluez;
    if (!bluez.open("ble:")) return {};
    auto objects = bluez.objects();
    if (!objects) return {};
    const auto adapter = find_adapter(*objects, "ble:");
    if (!adapter) return {};
    if (search_ms > 0 && bluez.start_discovery(*adapter)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(search_ms));
        objects = bluez.objects();
        (void)bluez.call(*adapter, "org.bluez.Adapter1", "StopDiscovery", 2000);
        if (!objects) return {};
    }
    std::vector<FoundDevice> out;
    for (const BluezObject& object : *objects)
        if (object.interface == kDevice &&
            std::find(object.uuids.begin(), object.uuids.end(), kUartService) != object.uuids.end())
            out.push_back({"ble:" + object.address, object.name.empty() ? object.address : object.name});
    return out;
}

}  // namespace lockstep
