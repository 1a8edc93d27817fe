// The table of devices: one line a scheme. A new device is one file and one line (docs/adding_a_device.md).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/driver.h"
#include "acquisition/session_store.h"

namespace lockstep {

// What some drivers need of the program; app/ fills it in.
struct DriverServices {
    // Opens a recorded session, for replay.
    std::function<Result<std::unique_ptr<SessionReader>>(const std::string& path)> open_session;
    // The `lockstep` program that runs virtual boards; "" = beside the running executable.
    std::string executable;
};

std::vector<DriverInfo> device_table();

// Error for an unknown scheme or an unknown option, naming what there is. `services` is copied.
DriverFactory make_driver_factory(DriverServices services = {});

// Ports that are there now: /dev/serial/by-id, /dev/ttyACM*, /dev/ttyUSB*, each port once; and Bluetooth
// boards that the computer knows, after listening for them for `search_ms`.
std::vector<FoundDevice> scan_devices(int search_ms = 0);

}  // namespace lockstep
