#include "devices/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace lockstep {
namespace {

constexpr auto kGrace = std::chrono::seconds(3);
constexpr size_t kMaxLine = 4096;
constexpr int kMostFiles = 4096;  // closed one by one where the kernel cannot close a range

}  // namespace

ChildProcess::~ChildProcess() {
    {
        std::unique_lock<std::mutex> lock(mutex_);
        if (pid_ > 0 && !ended_) {
            ::kill(pid_, SIGTERM);
            if (!changed_.wait_for(lock, kGrace, [this] { return ended_; })) ::kill(pid_, SIGKILL);
        }
    }
    if (keeper_.joinable()) keeper_.join();
}

Result<std::string> ChildProcess::start(std::vector<std::string> arguments, const std::string& prefix,
                                        int timeout_ms) {
    const std::string name = arguments[0];
    prefix_ = prefix;
    keeper_ = std::thread(&ChildProcess::keep, this, std::move(arguments));
    std::unique_lock<std::mutex> lock(mutex_);
    const bool in_time =
        changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return ready_ || ended_; });
    if (ready_) return answer_;
    if (!in_time) return fail(ErrorKind::system, "the program did not get ready", name);
    return fail(exit_status_ == 2 ? ErrorKind::usage : ErrorKind::system,
                last_words_.empty() ? "the program ended at once" : last_words_, name);
}

void ChildProcess::on_line(const std::string& line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ready_ && line.compare(0, prefix_.size(), prefix_) == 0) {
        ready_ = true;
        answer_ = line.substr(prefix_.size());
        changed_.notify_all();
    } else if (!line.empty()) {
        last_words_ = line;
    }
}

// A thread of its own, because the kernel ties "die with the parent" to the thread that forked.
void ChildProcess::keep(std::vector<std::string> arguments) {
    const auto end = [this](const std::string& words) {
        const std::lock_guard<std::mutex> lock(mutex_);
        ended_ = true;
        if (!words.empty()) last_words_ = words;
        changed_.notify_all();
    };
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& a : arguments)
        argv.push_back(a.data());
    argv.push_back(nullptr);
    int output[2];
    if (::pipe2(output, O_CLOEXEC) != 0) return end(std::string("no pipe: ") + std::strerror(errno));
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
        ::close(output[0]);
        ::close(output[1]);
        return end(std::string("cannot start: ") + std::strerror(errno));
    }
    if (pid == 0) {  // only async-signal-safe calls from here on
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) ::_exit(127);
        // Ctrl-C in the terminal is for the recording, which still needs the board to stop it.
        ::setpgid(0, 0);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::dup2(output[1], STDOUT_FILENO);
        ::dup2(output[1], STDERR_FILENO);
        const int nothing = ::open("/dev/null", O_RDONLY);
        if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
        // A pipe that another thread of this program is about to hand to a child of its own would else stay
        // open in this one, and its reader would wait for an end that never comes.
        if (::close_range(STDERR_FILENO + 1, ~0U, 0) != 0) {
            for (int fd = STDERR_FILENO + 1; fd < kMostFiles; ++fd)
                ::close(fd);
        }
        ::execv(argv[0], argv.data());
        static const char words[] = "cannot be run\n";
        [[maybe_unused]] const ssize_t n = ::write(STDOUT_FILENO, words, sizeof words - 1);
        ::_exit(127);
    }
    ::close(output[1]);
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        pid_ = pid;
    }
    // Its output is read to the end, so that it never blocks on a full pipe. A grandchild may hold the
    // pipe open longer than the child lives.
    std::string line;
    for (bool open = true; open;) {
        pollfd wait{output[0], POLLIN, 0};
        if (::poll(&wait, 1, 200) > 0) {
            char text[1024];
            const ssize_t n = ::read(output[0], text, sizeof text);
            open = n > 0 || (n < 0 && errno == EINTR);
            for (ssize_t i = 0; i < n; ++i) {
                if (text[i] == '\n') {
                    on_line(line);
                    line.clear();
                } else if (line.size() < kMaxLine) {
                    line.push_back(text[i]);
                }
            }
        } else {
            siginfo_t info{};
            if (::waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
                break;
        }
    }
    if (!line.empty()) on_line(line);
    ::close(output[0]);
    // Not reaped before `ended_` is set under the lock: the destructor must never signal a pid that
    // belongs to somebody else.
    siginfo_t info{};
    while (::waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (info.si_code == CLD_EXITED) exit_status_ = info.si_status;
    }
    end({});
    ::waitpid(pid, nullptr, 0);
}

}  // namespace lockstep
