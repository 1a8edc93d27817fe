#include "devices/tcp_link.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace lockstep {
namespace {

constexpr int kConnectTimeoutMs = 3000;

// 0 or the error number.
int connect_within(int fd, const addrinfo& address) {
    if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    pollfd wait{fd, POLLOUT, 0};
    if (::poll(&wait, 1, kConnectTimeoutMs) <= 0) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

}  // namespace

TcpLink::TcpLink(std::string host, std::string port)
    : FdLink("tcp:" + host + ":" + port), host_(std::move(host)), port_(std::move(port)) {}

Status TcpLink::open() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int code = ::getaddrinfo(host_.c_str(), port_.c_str(), &hints, &found);
    if (code != 0)
        return fail(ErrorKind::device, std::string("the host is not known: ") + ::gai_strerror(code), where_,
                    "check its name and the network");
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
    int error = 0;
    for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
        fd_ = ::socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
        if (fd_ < 0) {
            error = errno;
            continue;
        }
        error = connect_within(fd_, *a);
        if (error == 0) {
            const int on = 1;
            ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return {};
        }
        ::close(fd_);
        fd_ = -1;
    }
    errno = error;
    return system_error("cannot connect", "check that the bridge runs and the port is right");
}

}  // namespace lockstep
