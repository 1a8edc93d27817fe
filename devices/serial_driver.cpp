#include "devices/serial_driver.h"

#include "devices/lockstep_driver.h"
#include "devices/serial_link.h"

namespace lockstep {

std::unique_ptr<Driver> make_serial_driver(const std::string& uri, const std::string& path, int baud,
                                           double speed) {
    LockstepOptions options;
    options.uri = uri;
    options.speed = speed;
    options.open_link = [path, baud, stable = std::string()]() mutable -> Result<std::unique_ptr<ByteLink>> {
        if (!stable.empty()) {
            auto link = std::make_unique<SerialLink>(stable, baud);
            if (link->open()) return link;
        }
        auto link = std::make_unique<SerialLink>(path, baud);
        if (const Status status = link->open(); !status) return tl::make_unexpected(status.error());
        if (stable.empty()) stable = stable_serial_name(path);
        return link;
    };
    return std::make_unique<LockstepDriver>(std::move(options));
}

}  // namespace lockstep
