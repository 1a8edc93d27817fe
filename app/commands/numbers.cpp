// What the options of the commands take for numbers.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "app/commands/commands.h"

namespace lockstep::app {
namespace {

std::string shown(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.10g", value);
    return text;
}

bool read(const std::string& text, double* out) {
    char* end = nullptr;
    *out = std::strtod(text.c_str(), &end);
    return !text.empty() && *end == 0 && std::isfinite(*out);
}

std::string with(const std::string& unit) {
    return unit.empty() ? "" : " (" + unit + ")";
}

}  // namespace

CLI::Validator above_zero(const std::string& unit) {
    return CLI::Validator(
        [unit](std::string& text) {
            double value = 0;
            return read(text, &value) && value > 0 ? ""
                                                   : "\"" + text + "\" is no number above 0" + with(unit);
        },
        unit.empty() ? "> 0" : unit);
}

CLI::Validator between(double least, double most, const std::string& unit) {
    const std::string range = shown(least) + " to " + shown(most);
    return CLI::Validator(
        [=](std::string& text) {
            double value = 0;
            return read(text, &value) && value >= least && value <= most
                       ? ""
                       : "\"" + text + "\" is no number from " + range + with(unit);
        },
        range + (unit.empty() ? "" : " " + unit));
}

}  // namespace lockstep::app
