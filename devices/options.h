// Reading a URI's options.
#pragma once

#include <string>

#include "acquisition/driver.h"

namespace lockstep {

// A number within [least, most]; the error names the option.
Result<double> number_option(const Uri& uri, const std::string& name, double fallback, double least,
                             double most);

}  // namespace lockstep
