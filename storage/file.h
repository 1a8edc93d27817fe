// An append-only file and the few things a recorder asks of a file system. Injectable, so that tests
// can fail the n-th write; open_append() is the real one. Thread: one caller at a time, but sync() may run
// beside append().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep::storage {

class AppendFile {
  public:
    virtual ~AppendFile() = default;
    // Appends all of it or, on an error, none: the next append begins where this one did. What it left
    // past size() is not cut off, which would give reserved space away.
    virtual Status append(const uint8_t* data, size_t size) = 0;
    virtual Status sync() = 0;                   // fdatasync
    virtual Status reserve(uint64_t bytes) = 0;  // disk space from the start of the file; its size stays
    virtual uint64_t size() const = 0;
};

using OpenAppend = std::function<Result<std::unique_ptr<AppendFile>>(const std::string& path)>;

// Creates the file; an existing one is an error.
Result<std::unique_ptr<AppendFile>> create_append(const std::string& path);
// Opens an existing file for appending after `size` bytes; what is past them is cut off.
Result<std::unique_ptr<AppendFile>> open_append(const std::string& path, uint64_t size);

Error system_error(const std::string& what, const std::string& where, int code);
bool exists(const std::string& path);
std::string folder_of(const std::string& path);
// Free bytes for an unprivileged user in the file's folder, UINT64_MAX when the system will not say.
uint64_t free_space(const std::string& path);
// Disk space from the file's start to `bytes`; its size stays. False: this file system cannot keep space.
Result<bool> reserve_file(const std::string& path, uint64_t bytes);
void give_back(const std::string& path);       // what was reserved past the file's end
uint64_t disk_bytes(const std::string& path);  // what the file takes of the disk; 0 when there is none
Status sync_file(const std::string& path);
Status sync_folder(const std::string& path);
// Both in one folder. Never replaces: an existing `to` is an error.
Status rename_new(const std::string& from, const std::string& to);
Status rename_over(const std::string& from, const std::string& to);
Status copy_file(const std::string& from, const std::string& to);
void remove_file(const std::string& path);

// Holds an exclusive lock on an open file's path as long as it lives.
class FileLock {
  public:
    static Result<std::unique_ptr<FileLock>> take(const std::string& path);
    ~FileLock();
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

  private:
    explicit FileLock(int fd) : fd_(fd) {}
    int fd_;
};

}  // namespace lockstep::storage
