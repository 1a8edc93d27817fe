#include "storage/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "storage/file.h"

extern char** environ;

namespace lockstep::storage {
namespace {

using Clock = std::chrono::steady_clock;
constexpr char kWorker[] = "lockstep-worker";
constexpr int kCheckSeconds = 30;
constexpr auto kReplacing = std::chrono::seconds(5);

Result<std::string> find_worker() {
    char self[4096];
    const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
    const std::string folder = folder_of(n > 0 ? std::string(self, size_t(n)) : "./");
    for (const char* place : {"/", "/../bin/", "/../libexec/"}) {
        const std::string path = folder + place + kWorker;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return fail(ErrorKind::system, std::string("the program ") + kWorker + " is not where it belongs", folder,
                "install Lockstep again, or build all of it");
}

// Everything that the child writes, until it closes its end; false when it takes too long.
bool read_all(int fd, Clock::time_point deadline, std::string* out) {
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        if (left.count() <= 0) return false;
        pollfd waiting{fd, POLLIN, 0};
        const int ready = ::poll(&waiting, 1, int(std::min<int64_t>(left.count(), 60000)));
        if (ready < 0 && errno != EINTR) return false;
        if (ready <= 0) continue;
        char buffer[4096];
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return true;
        out->append(buffer, size_t(n));
        if (out->size() > (1u << 20)) return false;
    }
}

pid_t spawn(const std::string& program, const std::vector<std::string>& words, int out) {
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& word : words)
        argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    pid_t child = -1;
    const int failed = ::posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed == 0) return child;
    errno = failed;
    return -1;
}

// Starts the worker. While an update, or a build, puts a new one there, it is missing or not whole for a
// moment: no reason to leave a recording unrepaired.
Result<pid_t> start_worker(const std::vector<std::string>& words, const std::string& path, int out) {
    for (const auto until = Clock::now() + kReplacing;;
         std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
        const bool last = Clock::now() >= until;
        auto program = find_worker();
        if (!program) {
            if (last) return tl::make_unexpected(program.error());
            continue;
        }
        const pid_t child = spawn(*program, words, out);
        if (child >= 0) return child;
        const bool replaced = errno == ENOENT || errno == ETXTBSY || errno == ENOEXEC || errno == EACCES;
        if (!replaced || last)
            return tl::make_unexpected(system_error("cannot start a child process", path, errno));
    }
}

// What tells one state of a file from another.
using Identity = std::array<int64_t, 7>;
Identity identity_of(const struct stat& s) {
    return {int64_t(s.st_dev), int64_t(s.st_ino),         int64_t(s.st_size), int64_t(s.st_mtim.tv_sec),
            s.st_mtim.tv_nsec, int64_t(s.st_ctim.tv_sec), s.st_ctim.tv_nsec};
}
bool identify(const std::string& path, Identity* out) {
    struct stat s {};
    if (::stat(path.c_str(), &s) != 0) return false;
    *out = identity_of(s);
    return true;
}

std::mutex checked_mutex;
std::set<Identity>& checked() {
    static std::set<Identity> all;
    return all;
}
bool is_checked(const Identity& identity) {
    const std::lock_guard<std::mutex> held(checked_mutex);
    return checked().count(identity) != 0;
}
void remember(const Identity& identity) {
    const std::lock_guard<std::mutex> held(checked_mutex);
    checked().insert(identity);
}

}  // namespace

Result<std::string> run_worker(const std::vector<std::string>& words, const std::string& path, int seconds) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return tl::make_unexpected(system_error("cannot start a child process", path, errno));
    const auto started = start_worker(words, path, ends[1]);
    ::close(ends[1]);
    if (!started) {
        ::close(ends[0]);
        return tl::make_unexpected(started.error());
    }
    const pid_t child = *started;
    std::string answer;
    const bool in_time = read_all(ends[0], Clock::now() + std::chrono::seconds(seconds), &answer);
    ::close(ends[0]);
    if (!in_time) ::kill(child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!in_time)
        return fail(ErrorKind::usage,
                    "reading it took longer than " + std::to_string(seconds) + " s and was given up", path);
    const nlohmann::json j = nlohmann::json::parse(answer, nullptr, false);
    if (!j.is_object())
        return fail(ErrorKind::usage, "the file made its reader crash; it was not used", path);
    if (j.value("ok", false)) return j.value("text", "");
    return tl::make_unexpected(Error{ErrorKind(j.value("kind", int(ErrorKind::usage))), j.value("what", ""),
                                     j.value("where", ""), j.value("remedy", "")});
}

std::string worker_answer(const Result<std::string>& result) {
    const Error none;
    const Error& e = result ? none : result.error();
    return nlohmann::json{{"ok", bool(result)},  {"text", result ? *result : ""},
                          {"kind", int(e.kind)}, {"what", e.what},
                          {"where", e.where},    {"remedy", e.remedy}}
        .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Status check_in_worker(const std::string& path) {
    Identity before{};
    if (!identify(path, &before)) return fail(ErrorKind::usage, "there is no such file", path);
    if (is_checked(before)) return {};
    if (auto checked_well = run_worker({"check", path}, path, kCheckSeconds); !checked_well)
        return tl::make_unexpected(checked_well.error());
    Identity after{};
    if (!identify(path, &after) || after != before)
        return fail(ErrorKind::usage, "the file changed while it was being opened", path, "try again");
    remember(before);
    return {};
}

bool is_checked(int descriptor) {
    struct stat s {};
    return ::fstat(descriptor, &s) == 0 && is_checked(identity_of(s));
}

void remember_own(const std::string& path) {
    Identity identity{};
    if (identify(path, &identity)) remember(identity);
}

}  // namespace lockstep::storage
