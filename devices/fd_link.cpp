#include "devices/fd_link.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lockstep {
namespace {

constexpr int kWriteTimeoutMs = 1000;

}  // namespace

FdLink::FdLink(std::string where) : where_(std::move(where)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

FdLink::~FdLink() {
    if (fd_ >= 0) ::close(fd_);
    if (out_ >= 0) ::close(out_);
    if (wake_ >= 0) ::close(wake_);
}

tl::unexpected<Error> FdLink::system_error(const std::string& what, const std::string& remedy) const {
    return fail(ErrorKind::device, what + ": " + std::strerror(errno), where_, remedy);
}

Result<size_t> FdLink::read(uint8_t* out, size_t size, int timeout_ms) {
    pollfd wait[2] = {{fd_, POLLIN, 0}, {wake_, POLLIN, 0}};
    const int ready = ::poll(wait, 2, timeout_ms);
    if (ready < 0) {
        if (errno == EINTR) return size_t(0);
        return system_error("cannot wait for data");
    }
    if (ready == 0) return size_t(0);
    if (wait[1].revents != 0) return fail(ErrorKind::device, "closed", where_);
    size_t used = 0;
    while (size - used >= read_unit_) {
        const ssize_t n = ::read(fd_, out + used, size - used);
        if (n > 0) {
            used += size_t(n);
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        // What was read before the end is good; the next call reports the end.
        if (used != 0) break;
        return n == 0 ? fail(ErrorKind::device, "the other end is gone", where_)
                      : system_error("the connection broke");
    }
    // A terminal that hung up reads as empty for ever.
    if (used == 0 && (wait[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
        return fail(ErrorKind::device, "the device vanished", where_);
    return used;
}

Status FdLink::write(const uint8_t* data, size_t size) {
    const int fd = out_ >= 0 ? out_ : fd_;
    while (size != 0) {
        const size_t part = std::min(size, write_unit_);
        // A socket whose other end is gone must be an error, not a signal that ends the program.
        ssize_t n = ::send(fd, data, part, MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK) n = ::write(fd, data, part);
        if (n >= 0) {
            data += n;
            size -= size_t(n);
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return system_error("cannot send");
        pollfd wait[2] = {{fd, POLLOUT, 0}, {wake_, POLLIN, 0}};
        const int ready = ::poll(wait, 2, kWriteTimeoutMs);
        if (ready == 0) return fail(ErrorKind::device, "the device takes no data", where_);
        if (wait[1].revents != 0) return fail(ErrorKind::device, "closed", where_);
    }
    return {};
}

void FdLink::shut() {
    const uint64_t one = 1;
    // Full means that it is readable already.
    [[maybe_unused]] const ssize_t n = ::write(wake_, &one, sizeof one);
}

}  // namespace lockstep
