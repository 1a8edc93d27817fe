#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "devices/virtual_board/injector.h"

namespace lockstep {
namespace {

constexpr size_t kMemorySize = 16 << 20;  // what the machine's PSRAM has
constexpr int kWaitMs = 5;

class SocketPort final : public InjectionPort {
  public:
    explicit SocketPort(int socket) : socket_(socket) {}
    size_t read(uint8_t* out, size_t size) override {
        const ssize_t n = ::recv(socket_, out, size, 0);
        if (n == 0) gone_ = true;
        return n > 0 ? size_t(n) : 0;
    }
    size_t write(const uint8_t* data, size_t size) override {
        const ssize_t n = ::send(socket_, data, size, MSG_NOSIGNAL);
        return n > 0 ? size_t(n) : 0;
    }
    void wait(bool want_write) override {
        // A socket whose other end is gone is always ready.
        if (gone_) return std::this_thread::sleep_for(std::chrono::milliseconds(kWaitMs));
        pollfd p{socket_, short(want_write ? POLLIN | POLLOUT : POLLIN), 0};
        ::poll(&p, 1, kWaitMs);
    }

  private:
    int socket_;
    bool gone_ = false;
};

// The firmware's stores are this computer's stores, so acquire and release order them as between threads.
class MappedPort final : public InjectionPort {
  public:
    explicit MappedPort(void* memory)
        : header_(static_cast<wire::MappedHeader*>(memory)),
          to_device_(static_cast<uint8_t*>(memory) + wire::kMappedToDevice),
          to_host_(static_cast<uint8_t*>(memory) + wire::kMappedToHost) {}

    size_t read(uint8_t* out, size_t size) override {
        if (!alive()) return 0;
        const uint32_t tail = get(&header_->to_host_tail);
        const uint32_t used = get(&header_->to_host_head) - tail;
        const size_t n = used > wire::kMappedRing ? 0 : std::min<size_t>(used, size);
        for (size_t i = 0; i < n; ++i)
            out[i] = to_host_[(tail + i) % wire::kMappedRing];
        if (n != 0) set(&header_->to_host_tail, uint32_t(tail + n));
        return n;
    }
    size_t write(const uint8_t* data, size_t size) override {
        if (!alive()) return 0;
        const uint32_t head = get(&header_->to_device_head);
        const uint32_t used = head - get(&header_->to_device_tail);
        const size_t n = used > wire::kMappedRing ? 0 : std::min<size_t>(wire::kMappedRing - used, size);
        for (size_t i = 0; i < n; ++i)
            to_device_[(head + i) % wire::kMappedRing] = data[i];
        if (n != 0) set(&header_->to_device_head, uint32_t(head + n));
        return n;
    }
    void wait(bool) override { std::this_thread::sleep_for(std::chrono::milliseconds(kWaitMs)); }

  private:
    static uint32_t get(const uint32_t* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static void set(uint32_t* p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    bool alive() const { return get(&header_->magic) == wire::kMappedMagic; }

    wire::MappedHeader* header_;
    uint8_t* to_device_;
    uint8_t* to_host_;
};

}  // namespace

std::unique_ptr<InjectionPort> make_socket_port(int socket) {
    return std::make_unique<SocketPort>(socket);
}

Result<std::unique_ptr<MappedMemory>> MappedMemory::create() {
    std::unique_ptr<MappedMemory> memory(new MappedMemory);
    std::error_code error;
    // In memory where there is such a place: a disk would be busy writing it back.
    std::string path = std::filesystem::is_directory("/dev/shm", error) ? "/dev/shm" : "/tmp";
    path += "/lockstep-psram-XXXXXX";
    const int fd = ::mkostemp(path.data(), O_CLOEXEC);
    if (fd < 0)
        return fail(ErrorKind::system, std::string("cannot make a file: ") + std::strerror(errno), path);
    memory->path_ = path;
    const bool sized = ::ftruncate(fd, kMemorySize) == 0;
    void* mapped =
        sized ? ::mmap(nullptr, kMemorySize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    const int code = errno;
    ::close(fd);
    if (mapped == MAP_FAILED)
        return fail(ErrorKind::system, std::string("cannot map the file: ") + std::strerror(code), path,
                    "free some space there");
    memory->memory_ = mapped;
    return memory;
}

MappedMemory::~MappedMemory() {
    if (memory_ != nullptr) ::munmap(memory_, kMemorySize);
    if (!path_.empty()) ::unlink(path_.c_str());
}

std::unique_ptr<InjectionPort> MappedMemory::port() {
    return std::make_unique<MappedPort>(memory_);
}

}  // namespace lockstep
