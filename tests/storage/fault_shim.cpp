// Preloaded into a program, it does to the files of one folder what disks and power cuts do
// (tests/storage/faults.py). Every write, resize, reservation, sync, renaming, removal and creation there is
// counted; from the environment:
//   FAULT_FOLDER   files below this path count
//   FAULT_CRASH    the program ends at once, without a word, in the n-th; half of a write is done
//   FAULT_FULL     from the n-th on the disk is full: what was reserved before can still be written
//   FAULT_LOG      a file that gets every one of them, with its bytes
//   FAULT_COUNT    a file that gets how many there were
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace {

template <typename F>
F next(const char* name) {
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

const char* text_of(const char* name) {
    const char* text = std::getenv(name);
    return text == nullptr ? "" : text;
}

struct State {
    const std::string folder = text_of("FAULT_FOLDER");
    const long crash = std::atol(text_of("FAULT_CRASH"));
    const long full = std::atol(text_of("FAULT_FULL"));
    std::atomic<long> count{0};
    std::recursive_mutex mutex;
    std::map<std::string, off_t> reserved;
    int log = -1;

    State() {
        const std::string path = text_of("FAULT_LOG");
        if (!path.empty())
            log = next<int (*)(const char*, int, ...)>("open")(
                path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
    ~State() {
        const std::string path = text_of("FAULT_COUNT");
        if (path.empty() || count == 0) return;
        if (FILE* out = std::fopen(path.c_str(), "w")) {
            std::fprintf(out, "%ld\n", count.load());
            std::fclose(out);
        }
    }
    bool ours(const std::string& path) const {
        return !folder.empty() && path.compare(0, folder.size(), folder) == 0;
    }
    // The next operation's number; ends the program when that is its turn, after `half` was done.
    template <typename F>
    long step(F&& half) {
        const long n = ++count;
        if (crash != 0 && n == crash) {
            half();
            ::_exit(99);
        }
        return n;
    }
    long step() {
        return step([] {});
    }
    bool is_full(long n) const { return full != 0 && n >= full; }
    void note(char kind, const std::string& a, const std::string& b, off_t at, const void* data,
              size_t size) {
        if (log < 0) return;
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        char head[9000];
        const int n =
            std::snprintf(head, sizeof head, "%c\t%ld.%09ld\t%s\t%s\t%lld\t%zu\n", kind, long(now.tv_sec),
                          now.tv_nsec, a.c_str(), b.c_str(), static_cast<long long>(at), size);
        std::string all(head, size_t(n));
        if (data != nullptr) all.append(static_cast<const char*>(data), size);
        static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
        if (real(log, all.data(), all.size()) != ssize_t(all.size())) ::abort();
    }
};
State& state() {
    static State s;
    return s;
}
// Its end writes the count, so it must begin before the program's own statics.
[[gnu::constructor]] void begin() {
    state();
}

std::string path_of(int fd) {
    char link[64], path[4096];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = ::readlink(link, path, sizeof path);
    return n > 0 ? std::string(path, size_t(n)) : "";
}
using Lock = std::lock_guard<std::recursive_mutex>;

ssize_t write_at(int fd, const void* data, size_t size, off_t at) {
    static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
    const std::string path = path_of(fd);
    if (!state().ours(path)) return real(fd, data, size, at);
    const Lock held(state().mutex);
    const long n = state().step([&] { (void)real(fd, data, size / 2, at); });
    if (state().is_full(n)) {
        struct stat info {};
        ::fstat(fd, &info);
        const off_t room = std::max(info.st_size, state().reserved[path]) - at;
        if (room <= 0) {
            errno = ENOSPC;
            return -1;
        }
        size = std::min(size, size_t(room));
    }
    const ssize_t done = real(fd, data, size, at);
    if (done > 0) state().note('W', path, "", at, data, size_t(done));
    return done;
}

int resize(int fd, off_t size) {
    static const auto real = next<int (*)(int, off_t)>("ftruncate");
    const std::string path = path_of(fd);
    if (!state().ours(path)) return real(fd, size);
    const Lock held(state().mutex);
    state().step();
    const int done = real(fd, size);
    if (done == 0) state().note('T', path, "", size, nullptr, 0);
    return done;
}

int keep(const char* name, int fd) {
    const auto real = next<int (*)(int)>(name);
    const std::string path = path_of(fd);
    if (!state().ours(path)) return real(fd);
    {
        const Lock held(state().mutex);
        state().step();
        state().note('s', path, "", 0, nullptr, 0);  // what was written before this is safe at the S
    }
    const int done = real(fd);
    const Lock held(state().mutex);
    state().note('S', path, "", 0, nullptr, 0);
    return done;
}

int reserve(int fd, int mode, off_t at, off_t size) {
    static const auto real = next<int (*)(int, int, off_t, off_t)>("fallocate");
    const std::string path = path_of(fd);
    if (!state().ours(path)) return real(fd, mode, at, size);
    const Lock held(state().mutex);
    if (state().is_full(state().step())) {
        errno = ENOSPC;
        return -1;
    }
    const int done = real(fd, mode, at, size);
    if (done == 0) state().reserved[path] = std::max(state().reserved[path], at + size);
    return done;
}

template <typename F>
int change_name(char kind, const char* from, const char* to, F&& real) {
    if (!state().ours(from)) return real();
    const Lock held(state().mutex);
    state().step();
    const int done = real();
    if (done == 0) state().note(kind, from, to, 0, nullptr, 0);
    return done;
}

template <typename F>
int open_file(const char* path, int flags, F&& real) {
    if ((flags & O_CREAT) == 0 || !state().ours(path)) return real();
    const Lock held(state().mutex);
    struct stat info {};
    const bool is_new = ::stat(path, &info) != 0;
    if (is_new && state().is_full(state().step())) {
        errno = ENOSPC;
        return -1;
    }
    const int fd = real();
    if (fd >= 0 && (is_new || (flags & O_TRUNC) != 0)) state().note('C', path, "", 0, nullptr, 0);
    return fd;
}

mode_t mode_of(int flags, va_list list) {
    return (flags & O_CREAT) != 0 ? mode_t(va_arg(list, unsigned)) : mode_t(0);
}

}  // namespace

extern "C" {

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
    return write_at(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
    return write_at(fd, data, size, at);
}
ssize_t write(int fd, const void* data, size_t size) {
    static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
    if (!state().ours(path_of(fd))) return real(fd, data, size);
    const ssize_t done = write_at(fd, data, size, ::lseek(fd, 0, SEEK_CUR));
    if (done > 0) ::lseek(fd, done, SEEK_CUR);
    return done;
}
// What copies whole files: sendfile() is declined, so that they are copied by write().
ssize_t sendfile(int, int, off_t*, size_t) {
    errno = EINVAL;
    return -1;
}
ssize_t copy_file_range(int, off64_t*, int, off64_t*, size_t, unsigned) {
    errno = ENOSYS;
    return -1;
}
int ftruncate(int fd, off_t size) noexcept {
    return resize(fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
    return resize(fd, size);
}
int fsync(int fd) {
    return keep("fsync", fd);
}
int fdatasync(int fd) {
    return keep("fdatasync", fd);
}
int fallocate(int fd, int mode, off_t at, off_t size) {
    return reserve(fd, mode, at, size);
}
int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    return reserve(fd, mode, at, size);
}
int unlink(const char* path) noexcept {
    static const auto real = next<int (*)(const char*)>("unlink");
    return change_name('U', path, "", [&] { return real(path); });
}
int rename(const char* from, const char* to) noexcept {
    static const auto real = next<int (*)(const char*, const char*)>("rename");
    return change_name('R', from, to, [&] { return real(from, to); });
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) noexcept {
    static const auto real = next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
    return change_name('R', from, to, [&] { return real(a, from, b, to, flags); });
}
int open(const char* path, int flags, ...) {
    static const auto real = next<int (*)(const char*, int, ...)>("open");
    va_list list;
    va_start(list, flags);
    const mode_t mode = mode_of(flags, list);
    va_end(list);
    return open_file(path, flags, [&] { return real(path, flags, mode); });
}
int open64(const char* path, int flags, ...) {
    static const auto real = next<int (*)(const char*, int, ...)>("open64");
    va_list list;
    va_start(list, flags);
    const mode_t mode = mode_of(flags, list);
    va_end(list);
    return open_file(path, flags, [&] { return real(path, flags, mode); });
}

}  // extern "C"
