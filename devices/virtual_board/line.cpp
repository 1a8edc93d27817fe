#include "devices/virtual_board/line.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

namespace lockstep {
namespace {

using std::chrono::duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr double kBurstSeconds = 0.05;  // of the line's rate that may be made up for after a late wake-up
constexpr size_t kChunk = 4096;
constexpr auto kGather = microseconds(300);  // the emulator writes byte by byte; some of them at a time
constexpr auto kIdle = milliseconds(10);

}  // namespace

size_t Line::Budget::take(uint32_t baud, Clock::time_point now) {
    if (baud == 0) return kChunk;
    const double rate = baud / 10.0;
    if (last != Clock::time_point{})
        bytes = std::min(bytes + rate * duration<double>(now - last).count(),
                         std::max(16.0, rate * kBurstSeconds));
    last = now;
    return std::min(size_t(bytes), kChunk);
}

Line::~Line() {
    stop();
}

Status Line::start(int device, const LineOptions& options) {
    device_ = device;
    options_ = options;
    random_.seed(options.seed);
    if (auto status = options_.tcp_port >= 0 ? open_tcp() : open_pty(); !status) return status;
    if (options_.cut_seconds > 0)
        next_cut_ = Clock::now() +
                    std::chrono::duration_cast<Clock::duration>(duration<double>(options_.cut_seconds));
    thread_ = std::thread(&Line::run, this);
    return {};
}

void Line::stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    close_host();
    if (listen_ >= 0) ::close(listen_);
    listen_ = -1;
}

Status Line::open_pty() {
    host_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    char name[128];
    if (host_ < 0 || ::grantpt(host_) != 0 || ::unlockpt(host_) != 0 ||
        ::ptsname_r(host_, name, sizeof name) != 0)
        return fail(ErrorKind::system, std::string("cannot make a pseudo-terminal: ") + std::strerror(errno));
    termios settings{};
    ::tcgetattr(host_, &settings);
    ::cfmakeraw(&settings);
    ::tcsetattr(host_, TCSANOW, &settings);
    // Opened and closed once: from now on the master tells (POLLHUP) when no program has it open.
    const int slave = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave >= 0) ::close(slave);
    path_ = name;
    if (options_.pty_link.empty()) return {};
    const std::string& link = options_.pty_link;
    std::error_code error;
    if (std::filesystem::is_symlink(link, error)) std::filesystem::remove(link, error);
    std::filesystem::create_symlink(name, link, error);
    if (error)
        return fail(ErrorKind::usage, "cannot make the link: " + error.message(), link,
                    "name a file that does not exist");
    path_ = link;
    return {};
}

Status Line::open_tcp() {
    listen_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(listen_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(uint16_t(options_.tcp_port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listen_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listen_, 1) != 0 ||
        ::getsockname(listen_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return fail(ErrorKind::system, std::string("cannot listen: ") + std::strerror(errno),
                    "127.0.0.1:" + std::to_string(options_.tcp_port), "choose another port");
    path_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    return {};
}

void Line::close_host() {
    if (host_ >= 0) ::close(host_);
    host_ = -1;
    std::error_code ignored;
    if (!options_.pty_link.empty() && std::filesystem::is_symlink(options_.pty_link, ignored))
        std::filesystem::remove(options_.pty_link, ignored);
    out_.clear();
    in_.clear();
}

bool Line::host_present() {
    if (cut_now_) return false;
    if (listen_ >= 0 && host_ < 0) {
        host_ = ::accept4(listen_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        const int on = 1;
        if (host_ >= 0) ::setsockopt(host_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (host_ < 0) return false;
    pollfd p{host_, POLLIN, 0};
    ::poll(&p, 1, 0);
    if ((p.revents & (POLLHUP | POLLERR)) == 0 || (p.revents & POLLIN) != 0) return true;
    out_.clear();
    if (listen_ >= 0) {
        ::close(host_);
        host_ = -1;
    }
    return false;
}

void Line::plug(Clock::time_point now) {
    if (options_.cut_seconds > 0 && now >= next_cut_) {
        cut_by_plan_ = true;
        cut_until_ = now + std::chrono::duration_cast<Clock::duration>(duration<double>(options_.cut_length));
        next_cut_ =
            cut_until_ + std::chrono::duration_cast<Clock::duration>(duration<double>(options_.cut_seconds));
    }
    if (cut_by_plan_ && now >= cut_until_) cut_by_plan_ = false;
    const bool cut = cut_by_plan_ || !plugged_;
    if (cut == cut_now_) return;
    cut_now_ = cut;
    if (cut) {
        close_host();
        const std::lock_guard<std::mutex> lock(mutex_);
        ++counters_.cuts;
    } else if (listen_ < 0) {
        // Without a terminal to give there is still a line to serve; the next cut tries again.
        if (!open_pty()) close_host();
    }
}

size_t Line::spoil(uint8_t* data, size_t size) {
    if (options_.flip <= 0 && options_.drop <= 0) return size;
    std::uniform_real_distribution<double> chance(0, 1);
    size_t kept = 0;
    uint64_t flipped = 0;
    for (size_t i = 0; i < size; ++i) {
        if (chance(random_) < options_.drop) continue;
        uint8_t byte = data[i];
        if (chance(random_) < options_.flip) {
            byte = uint8_t(byte ^ 1u << (random_() % 8));
            ++flipped;
        }
        data[kept++] = byte;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    counters_.flipped += flipped;
    counters_.deleted += size - kept;
    return kept;
}

void Line::from_device(Clock::time_point now) {
    const size_t most = out_budget_.take(options_.baud, now);
    if (most == 0) return;
    uint8_t data[kChunk];
    const ssize_t n = ::recv(device_, data, most, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) device_gone_ = true;
    if (n <= 0) return;
    if (options_.baud != 0) out_budget_.bytes -= double(n);
    if (!host_present()) {
        const std::lock_guard<std::mutex> lock(mutex_);
        counters_.unheard += uint64_t(n);
        return;
    }
    const size_t kept = spoil(data, size_t(n));
    const size_t room = options_.queue > out_.size() ? options_.queue - out_.size() : 0;
    out_.insert(out_.end(), data, data + std::min(kept, room));
    if (kept > room) {
        const std::lock_guard<std::mutex> lock(mutex_);
        counters_.overflowed += kept - room;
    }
}

void Line::to_host() {
    if (out_.empty() || host_ < 0) return;
    const ssize_t n = listen_ >= 0 ? ::send(host_, out_.data(), out_.size(), MSG_NOSIGNAL)
                                   : ::write(host_, out_.data(), out_.size());
    if (n <= 0) return;
    out_.erase(out_.begin(), out_.begin() + n);
    const std::lock_guard<std::mutex> lock(mutex_);
    counters_.to_host += uint64_t(n);
}

void Line::from_host(Clock::time_point now) {
    const size_t most = in_budget_.take(options_.baud, now);
    if (host_ < 0 || most == 0 || in_.size() >= kChunk) return;
    uint8_t data[kChunk];
    const ssize_t n = ::read(host_, data, most);
    if (listen_ >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
        ::close(host_);  // the next one may come
        host_ = -1;
        out_.clear();
    }
    if (n <= 0) return;
    if (options_.baud != 0) in_budget_.bytes -= double(n);
    const size_t kept = spoil(data, size_t(n));
    in_.insert(in_.end(), data, data + kept);
}

void Line::to_device() {
    if (in_.empty()) return;
    const ssize_t n = ::send(device_, in_.data(), in_.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    in_.erase(in_.begin(), in_.begin() + n);
    const std::lock_guard<std::mutex> lock(mutex_);
    counters_.to_device += uint64_t(n);
}

void Line::run() {
    while (!stop_ && !device_gone_) {
        plug(Clock::now());
        const bool present = host_present();
        pollfd p[2] = {{device_, POLLIN, 0}, {present ? host_ : -1, POLLIN, 0}};
        // With a budget that is used up, or a queue that waits, time is what to wait for.
        const bool waiting = !out_.empty() || !in_.empty() ||
                             (options_.baud != 0 && (out_budget_.bytes < 1 || in_budget_.bytes < 1));
        ::poll(p, 2, waiting ? 1 : int(kIdle.count()));
        if (p[0].revents != 0 && options_.baud != 0) std::this_thread::sleep_for(kGather);
        const auto now = Clock::now();
        from_device(now);
        if (present) {
            to_host();
            from_host(now);
            to_device();
        }
        // A line at its rate: the socket stays readable, so poll() would not wait.
        if (options_.baud != 0 && out_budget_.bytes < 1) std::this_thread::sleep_for(milliseconds(1));
    }
}

LineCounters Line::counters() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return counters_;
}

}  // namespace lockstep
