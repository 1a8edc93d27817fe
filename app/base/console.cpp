#include "app/base/console.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace lockstep::app {
namespace {

std::atomic<bool> asked_to_end{false};
std::optional<Error> complaint;

void on_signal(int) {
    asked_to_end = true;
}

// What a device or a file says must not drive the terminal or break the line.
std::string clean(std::string text, bool lines) {
    for (char& c : text)
        if ((static_cast<unsigned char>(c) < 0x20 && !(lines && c == '\n')) || c == 0x7f) c = ' ';
    return text;
}

}  // namespace

int status_of(const Error& error) {
    return error.kind == ErrorKind::usage ? kUsage : kFailed;
}

int complain(const Error& error) {
    complaint = error;
    say(clean("lockstep: " + error.message(), false));
    return status_of(error);
}

const std::optional<Error>& last_complaint() {
    return complaint;
}

Error interruption(std::string left) {
    return {ErrorKind::system, "interrupted", "", std::move(left)};
}

void say(const std::string& text) {
    std::fprintf(stderr, "%s\n", clean(text, true).c_str());
}

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
    clear();
}

void Progress::show(const std::string& text) {
    if (!terminal_) return;
    const std::string line = clean(text, false);
    std::fprintf(stderr, "\r%s%*s", line.c_str(), line.size() < shown_ ? int(shown_ - line.size()) : 0, "");
    std::fflush(stderr);
    shown_ = line.size();
}

void Progress::clear() {
    if (shown_ == 0) return;
    std::fprintf(stderr, "\r%*s\r", int(shown_), "");
    std::fflush(stderr);
    shown_ = 0;
}

void catch_interrupts() {
    struct sigaction action = {};
    action.sa_handler = on_signal;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    struct sigaction before = {};
    ::sigaction(SIGHUP, nullptr, &before);
    if (before.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);  // else started by nohup
    ::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() {
    return asked_to_end.load();
}

const std::atomic<bool>& interrupt_flag() {
    return asked_to_end;
}

void keep_standard_streams() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", O_RDWR);  // the lowest free number: this one
}

int finish_output(int status) {
    const bool written = std::fflush(stdout) == 0;
    const std::string why = std::strerror(errno);
    if (written && std::ferror(stdout) == 0) return status;
    struct pollfd reader = {STDOUT_FILENO, POLLOUT, 0};
    if (::poll(&reader, 1, 0) > 0 && (reader.revents & (POLLERR | POLLHUP)) != 0) return status;
    return complain({ErrorKind::system,
                     "not all of it could be written" + (written ? std::string() : ": " + why),
                     "standard output", "check the disk that it goes to"});
}

void sleep_ms(int milliseconds) {
    ::poll(nullptr, 0, milliseconds);
}

void set_log_level(int verbosity) {
    auto logger = spdlog::stderr_color_mt("lockstep");
    logger->set_pattern("%H:%M:%S.%e %^%l%$ %v");
    spdlog::set_default_logger(logger);
    spdlog::set_level(verbosity >= 2   ? spdlog::level::debug
                      : verbosity == 1 ? spdlog::level::info
                                       : spdlog::level::warn);
}

}  // namespace lockstep::app
