#include "storage/file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace lockstep::storage {
namespace {

std::string remedy(int code) {
    switch (code) {
        case ENOSPC:
        case EDQUOT:
            return "free some space";
        case EACCES:
        case EPERM:
        case EROFS:
            return "choose a folder that you may write to";
        case ENOENT:
            return "create the folder first";
        case EEXIST:
            return "choose another name";
        case EIO:
            return "check the disk and its cable";
        default:
            return {};
    }
}

// False: the file system cannot.
Result<bool> reserve(int fd, const std::string& path, uint64_t bytes) {
    if (::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, off_t(bytes)) == 0) return true;
    if (errno == EOPNOTSUPP || errno == ENOSYS) return false;
    return tl::make_unexpected(system_error("cannot reserve space", path, errno));
}

class PosixAppendFile : public AppendFile {
  public:
    PosixAppendFile(int fd, std::string path, uint64_t size) : fd_(fd), path_(std::move(path)), size_(size) {}
    ~PosixAppendFile() override { ::close(fd_); }

    Status append(const uint8_t* data, size_t size) override {
        size_t done = 0;
        while (done < size) {
            const ssize_t n = ::pwrite(fd_, data + done, size - done, off_t(size_ + done));
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return tl::make_unexpected(system_error("cannot write", path_, n < 0 ? errno : EIO));
            done += size_t(n);
        }
        size_ += size;
        return {};
    }
    Status sync() override {
        if (::fdatasync(fd_) != 0) return tl::make_unexpected(system_error("cannot sync", path_, errno));
        return {};
    }
    Status reserve(uint64_t bytes) override {
        // Not every file system can reserve; writing works all the same.
        if (auto kept = storage::reserve(fd_, path_, bytes); !kept) return tl::make_unexpected(kept.error());
        return {};
    }
    uint64_t size() const override { return size_; }

  private:
    int fd_;
    std::string path_;
    uint64_t size_;
};

Status sync_path(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
    if (fd < 0) return tl::make_unexpected(system_error("cannot open", path, errno));
    const int failed = ::fsync(fd) != 0 ? errno : 0;
    ::close(fd);
    // Some file systems cannot sync a folder.
    if (failed != 0 && failed != EINVAL)
        return tl::make_unexpected(system_error("cannot sync", path, failed));
    return {};
}

}  // namespace

Error system_error(const std::string& what, const std::string& where, int code) {
    return Error{ErrorKind::system, what + ": " + std::strerror(code), where, remedy(code)};
}

Result<std::unique_ptr<AppendFile>> create_append(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        Error error = system_error("cannot create the file", path, errno);
        if (errno == EEXIST) error.kind = ErrorKind::usage;
        return tl::make_unexpected(error);
    }
    return std::make_unique<PosixAppendFile>(fd, path, 0);
}

Result<std::unique_ptr<AppendFile>> open_append(const std::string& path, uint64_t size) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return tl::make_unexpected(system_error("cannot open the file", path, errno));
    if (::ftruncate(fd, off_t(size)) != 0) {
        const int code = errno;
        ::close(fd);
        return tl::make_unexpected(system_error("cannot write", path, code));
    }
    return std::make_unique<PosixAppendFile>(fd, path, size);
}

bool exists(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0;
}

std::string folder_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

uint64_t free_space(const std::string& path) {
    struct statvfs info {};
    if (::statvfs(folder_of(path).c_str(), &info) != 0) return UINT64_MAX;
    return uint64_t(info.f_bavail) * info.f_frsize;
}

Result<bool> reserve_file(const std::string& path, uint64_t bytes) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return tl::make_unexpected(system_error("cannot open", path, errno));
    auto kept = reserve(fd, path, bytes);
    ::close(fd);
    return kept;
}

void give_back(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    struct stat info {};
    // To the size that it has: only what lies past the end goes. A failure changes nothing.
    if (::fstat(fd, &info) == 0) (void)!::ftruncate(fd, info.st_size);
    ::close(fd);
}

uint64_t disk_bytes(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? uint64_t(info.st_blocks) * 512 : 0;
}

Status sync_file(const std::string& path) {
    return sync_path(path, O_RDWR);
}
Status sync_folder(const std::string& path) {
    return sync_path(folder_of(path), O_RDONLY | O_DIRECTORY);
}

Status rename_new(const std::string& from, const std::string& to) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno == EINVAL || errno == ENOSYS) {  // a file system without it: link() does not replace either
        if (::link(from.c_str(), to.c_str()) == 0) {
            ::unlink(from.c_str());
            return {};
        }
    }
    return tl::make_unexpected(system_error("cannot give the file its name", to, errno));
}

Status rename_over(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return tl::make_unexpected(system_error("cannot replace the file", to, errno));
}

Status copy_file(const std::string& from, const std::string& to) {
    std::error_code code;
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::none, code);
    if (code) return tl::make_unexpected(system_error("cannot copy to " + to, from, code.value()));
    return {};
}

void remove_file(const std::string& path) {
    ::unlink(path.c_str());
}

Result<std::unique_ptr<FileLock>> FileLock::take(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return tl::make_unexpected(system_error("cannot open", path, errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ::close(fd);
        return fail(ErrorKind::usage, "another program is writing it", path, "close that program first");
    }
    return std::unique_ptr<FileLock>(new FileLock(fd));
}

FileLock::~FileLock() {
    ::close(fd_);
}

}  // namespace lockstep::storage
