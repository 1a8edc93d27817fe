#include "devices/serial_link.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace lockstep {
namespace {

struct Speed {
    int baud;
    speed_t code;
};
constexpr Speed kSpeeds[] = {
    {9600, B9600},       {19200, B19200},     {38400, B38400},     {57600, B57600},     {115200, B115200},
    {230400, B230400},   {460800, B460800},   {500000, B500000},   {576000, B576000},   {921600, B921600},
    {1000000, B1000000}, {1500000, B1500000}, {2000000, B2000000}, {3000000, B3000000}, {4000000, B4000000},
};

constexpr unsigned kPtyMajor = 136;  // Linux: 136-143 are pseudo terminals

const Speed* find_speed(int baud) {
    for (const Speed& s : kSpeeds)
        if (s.baud == baud) return &s;
    return nullptr;
}

}  // namespace

SerialLink::SerialLink(std::string path, int baud)
    : FdLink("serial:" + path), path_(std::move(path)), baud_(baud) {}

Status SerialLink::open() {
    const Speed* speed = find_speed(baud_);
    if (speed == nullptr)
        return fail(ErrorKind::usage, std::to_string(baud_) + " is no baud rate of a serial port", where_,
                    "use 115200, 230400, 460800, 921600 or another standard rate");
    fd_ = ::open(path_.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd_ < 0) {
        switch (errno) {
            case ENOENT:
            case ENXIO:
            case ENODEV:
                return fail(ErrorKind::device, "there is no such port", where_,
                            "plug the board in; 'lockstep devices' lists what is there");
            case EBUSY:
                return fail(ErrorKind::device, "another program uses the port", where_, "close it first");
            case EACCES:
                return system_error("the port may not be opened",
                                    "add yourself to the group 'dialout' and log in again");
            default:
                return system_error("cannot open the port");
        }
    }
    // The lock stops our own programs, also of root; TIOCEXCL everybody else's.
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0)
        return fail(ErrorKind::device, "another program uses the port", where_, "close it first");
    termios settings{};
    if (::tcgetattr(fd_, &settings) != 0)
        return fail(ErrorKind::usage, "this is no serial port", where_, "name a port such as /dev/ttyACM0");
    // On a pseudo terminal the flag would outlive this program, because the other side stays open.
    struct stat status {};
    if (::fstat(fd_, &status) == 0 && major(status.st_rdev) < kPtyMajor) ::ioctl(fd_, TIOCEXCL);
    ::cfmakeraw(&settings);
    settings.c_cflag |= CLOCAL | CREAD;
    settings.c_cflag &= ~tcflag_t(CRTSCTS | CSTOPB | PARENB | HUPCL);
    settings.c_cc[VMIN] = 0;
    settings.c_cc[VTIME] = 0;
    ::cfsetispeed(&settings, speed->code);
    ::cfsetospeed(&settings, speed->code);
    if (::tcsetattr(fd_, TCSANOW, &settings) != 0) return system_error("the port refuses its settings");
    ::tcflush(fd_, TCIFLUSH);
    return {};
}

std::string stable_serial_name(const std::string& path, const std::string& folder) {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path target = fs::canonical(path, error);
    if (error) return {};
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
        std::error_code broken_link;
        if (fs::canonical(entry.path(), broken_link) == target) return entry.path().string();
    }
    return {};
}

}  // namespace lockstep
