#include "devices/virtual_driver.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "devices/child_process.h"
#include "devices/options.h"
#include "devices/serial_driver.h"

namespace lockstep {
namespace {

constexpr int kReadyMs = 30000;

class VirtualDriver final : public Driver {
  public:
    VirtualDriver(Uri uri, std::vector<std::string> arguments, int baud, double speed)
        : uri_(std::move(uri)), arguments_(std::move(arguments)), baud_(baud), speed_(speed) {}
    ~VirtualDriver() override { VirtualDriver::close(); }

    Result<DeviceInfo> open(DriverEvents* events) override {
        char folder[] = "/tmp/lockstep-virtual-XXXXXX";
        if (::mkdtemp(folder) == nullptr)
            return fail(ErrorKind::system, "cannot make a folder in /tmp", uri_.text(),
                        "free some space there");
        folder_ = folder;
        const std::string port = folder_ + "/uart0";
        std::vector<std::string> arguments = arguments_;
        arguments.insert(arguments.end(), {"--pty-link", port});
        child_ = std::make_unique<ChildProcess>();
        const auto ready = child_->start(arguments, "ready ", kReadyMs);
        if (!ready) {
            close();
            // Its last line says where and what to do, as this program's errors do.
            const std::string mine = "lockstep: ";
            std::string words = ready.error().what;
            const bool told = words.compare(0, mine.size(), mine) == 0;
            if (told) words.erase(0, mine.size());
            return fail(ready.error().kind, "the virtual board did not start: " + words, uri_.text(),
                        told ? "" : "'lockstep firmware boards' lists boards and what they need");
        }
        serial_ = make_serial_driver(uri_.text(), *ready, baud_, speed_);
        auto info = serial_->open(events);
        if (!info) close();
        return info;
    }
    Status start() override { return serial_ ? serial_->start() : closed(); }
    Status stop() override { return serial_ ? serial_->stop() : closed(); }
    Status configure(int device_stream, bool enabled, uint32_t rate_num, uint32_t rate_den,
                     uint16_t batch) override {
        return serial_ ? serial_->configure(device_stream, enabled, rate_num, rate_den, batch) : closed();
    }
    Result<std::vector<uint32_t>> stages(int device_model, uint32_t window) override {
        if (!serial_) return tl::make_unexpected(closed().error());
        return serial_->stages(device_model, window);
    }
    Status mark(uint32_t code, const std::string& text) override {
        return serial_ ? serial_->mark(code, text) : closed();
    }
    DeviceModels* models() override { return serial_ ? serial_->models() : nullptr; }
    LinkStatistics statistics() const override { return serial_ ? serial_->statistics() : LinkStatistics{}; }
    void close() override {
        serial_.reset();
        child_.reset();
        std::error_code ignored;
        if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
        folder_.clear();
    }

  private:
    Status closed() const { return fail(ErrorKind::device, "not open", uri_.text()); }

    const Uri uri_;
    const std::vector<std::string> arguments_;
    const int baud_;
    const double speed_;
    std::string folder_;
    std::unique_ptr<ChildProcess> child_;
    std::unique_ptr<Driver> serial_;
};

std::string own_folder() {
    std::error_code error;
    return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

}  // namespace

Result<std::unique_ptr<Driver>> make_virtual_driver(const Uri& uri, const std::string& executable) {
    const auto baud = number_option(uri, "baud", 115200, 1, 4000000);
    if (!baud) return tl::make_unexpected(baud.error());
    const auto speed = number_option(uri, "speed", 1, 0.1, 100);
    if (!speed) return tl::make_unexpected(speed.error());
    std::vector<std::string> arguments = {executable.empty() ? own_folder() + "/lockstep" : executable,
                                          "firmware", "run", uri.address};
    for (const auto& entry : uri.query)
        arguments.insert(arguments.end(), {"--" + entry.first, entry.second});
    return std::make_unique<VirtualDriver>(uri, std::move(arguments), int(*baud), *speed);
}

}  // namespace lockstep
