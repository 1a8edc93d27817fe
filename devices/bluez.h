// The computer's Bluetooth service, BlueZ, over the system message bus: what devices it knows and the packet
// sockets of a characteristic. Interfaces: BlueZ's org.bluez.Adapter1, Device1 and GattCharacteristic1
// (Debian's bluez package, /usr/share/doc/bluez). Thread: one at a time.
#pragma once

#include <string>
#include <vector>

#include "acquisition/error.h"

struct sd_bus;

namespace lockstep {

// One interface of one of the service's objects, with the properties that are of use here.
struct BluezObject {
    std::string path;
    std::string interface;
    std::string address;  // of a device, "AA:BB:CC:DD:EE:FF"
    std::string name;
    std::string uuid;                // of a characteristic
    std::vector<std::string> uuids;  // services that a device announces
    bool powered = false;            // adapter
    bool connected = false;          // device
    bool resolved = false;           // device whose services are known
};

// A characteristic's packets as a socket: one read or write is one packet.
struct BluezSocket {
    int fd = -1;     // the caller closes it
    size_t mtu = 0;  // bytes, of the ATT protocol
};

class Bluez {
  public:
    Bluez() = default;
    Bluez(const Bluez&) = delete;
    Bluez& operator=(const Bluez&) = delete;
    ~Bluez();
    // An error when there is no bus; whether the service runs shows with the first call. `where`: for
    // messages.
    Status open(const std::string& where);
    Result<std::vector<BluezObject>> objects();
    // A method without answer.
    Status call(const std::string& path, const char* interface, const char* method, int timeout_ms);
    // Low-energy devices only, from now until stop or the end of this object.
    Status start_discovery(const std::string& adapter);
    // AcquireNotify or AcquireWrite of a characteristic.
    Result<BluezSocket> acquire(const std::string& characteristic, const char* method);

  private:
    sd_bus* bus_ = nullptr;
    std::string where_;
};

// The first adapter that is switched on; an error that says what to do otherwise.
Result<std::string> find_adapter(const std::vector<BluezObject>& objects, const std::string& where);

}  // namespace lockstep
