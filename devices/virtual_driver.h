// `virtual:BOARD`: the firmware in an emulator, started for this connection and stopped with it. A child
// process (`lockstep firmware run`) owns emulator and line; here it is a serial port like any other.
#pragma once

#include <memory>
#include <string>

#include "acquisition/driver.h"

namespace lockstep {

// `executable`: the lockstep program, "" = the one beside the running executable.
Result<std::unique_ptr<Driver>> make_virtual_driver(const Uri& uri, const std::string& executable);

}  // namespace lockstep
