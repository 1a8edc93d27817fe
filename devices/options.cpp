#include "devices/options.h"

#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <sstream>

namespace lockstep {

Result<double> number_option(const Uri& uri, const std::string& name, double fallback, double least,
                             double most) {
    const std::string text = uri.value(name);
    if (text.empty()) return fallback;
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (*end == 0 && std::isfinite(value) && value >= least && value <= most) return value;
    std::ostringstream range;
    range << "give a number from " << least << " to " << std::fixed << std::setprecision(0) << most;
    return fail(ErrorKind::usage, "the option " + name + " is '" + text + "'", uri.text(), range.str());
}

}  // namespace lockstep
