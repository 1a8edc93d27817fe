// The project's protocol on a serial port.
#pragma once

#include <memory>
#include <string>

#include "acquisition/driver.h"

namespace lockstep {

// After a dropout the port is looked for under its stable name first, then under `path`, which may be
// a link. `speed`: how much faster than the wall clock the board runs (virtual boards).
std::unique_ptr<Driver> make_serial_driver(const std::string& uri, const std::string& path, int baud,
                                           double speed);

}  // namespace lockstep
