// From URIs to opened devices.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "acquisition/driver.h"

namespace lockstep::app {

Result<std::unique_ptr<Driver>> make_device(const std::string& uri);
std::vector<FoundDevice> find_devices(int search_ms = 0);  // virtual boards first

// Opens a device before a session exists, so that the host's models can be chosen by what it says, and
// hands it over whole: what it reported in between is kept for the session.
Result<std::unique_ptr<Driver>> open_device(const std::string& uri, DeviceInfo* info);

}  // namespace lockstep::app
