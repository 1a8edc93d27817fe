// A board over Bluetooth Low Energy: the Nordic UART Service (nRF Connect SDK, "Nordic UART Service") through
// the computer's own radio. Packets of the two characteristics are the byte stream; the device's address
// names it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "acquisition/driver.h"
#include "devices/bluez.h"
#include "devices/fd_link.h"

namespace lockstep {

class BleLink final : public FdLink {
  public:
    explicit BleLink(std::string address);  // "AA:BB:CC:DD:EE:FF"
    ~BleLink() override;
    // Searches for the device when the computer does not know it (at most 8 s) and connects.
    Status open() override;

  private:
    Result<BluezObject> device(bool search);
    Status connect(const BluezObject& found);
    Status wait_for_services();
    Status acquire(const std::vector<BluezObject>& objects);

    const std::string address_;
    Bluez bluez_;
    std::string path_;        // of the device
    bool connected_ = false;  // by this link
};

// Devices with the UART service that the computer knows; with `search_ms` it listens for so long first. Empty
// when there is no Bluetooth.
std::vector<FoundDevice> scan_ble(int search_ms);

}  // namespace lockstep
