// Feeds a signal source into the firmware's injected sensor (devices/wire/injection.h), over the board's
// second UART or through mapped memory. One thread; starts over whenever the device asks.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "acquisition/signal_source.h"
#include "devices/wire/frame.h"
#include "devices/wire/injection.h"

namespace lockstep {

// Bytes to and from the injection port. write() may take fewer bytes than it is given.
class InjectionPort {
  public:
    virtual ~InjectionPort() = default;
    virtual size_t read(uint8_t* out, size_t size) = 0;
    virtual size_t write(const uint8_t* data, size_t size) = 0;
    // Sleeps until there may be something to do, some milliseconds at most.
    virtual void wait(bool want_write) = 0;
};

// REQUIRES: `socket` is non-blocking and outlives the port.
std::unique_ptr<InjectionPort> make_socket_port(int socket);

// A file of 16 MiB that backs the board's PSRAM, removed on destruction; for rates that a UART cannot carry.
class MappedMemory {
  public:
    static Result<std::unique_ptr<MappedMemory>> create();
    ~MappedMemory();
    MappedMemory(const MappedMemory&) = delete;
    MappedMemory& operator=(const MappedMemory&) = delete;
    const std::string& path() const { return path_; }
    // REQUIRES: this outlives the port.
    std::unique_ptr<InjectionPort> port();

  private:
    MappedMemory() = default;
    std::string path_;
    void* memory_ = nullptr;
};

struct InjectorOptions {
    bool loop = true;  // from the end back to the start, for ever
    double speed = 1;  // signal seconds per second
};

class Injector {
  public:
    ~Injector() { stop(); }
    void start(std::unique_ptr<InjectionPort> port, std::shared_ptr<SignalSource> source,
               InjectorOptions options);
    void stop();
    // The device has taken the table. Any thread, as are the ones below.
    bool accepted() const { return accepted_; }
    // Not looping, and everything was sent.
    bool finished() const { return finished_; }
    uint64_t samples_sent() const { return samples_; }
    // What went wrong, "" so far nothing: the device refused the table, a file could not be read.
    std::string problem() const;

  private:
    struct Position {
        uint64_t next = 0;   // counter on the device; runs on when looping
        uint32_t limit = 0;  // credit
        bool ended = false;
    };

    void run();
    void receive();
    static void on_frame(void* self, const wire::FrameView& frame);
    void on_ready(const wire::InjectReady& ready);
    void send_table();
    bool feed(size_t stream);
    void send(wire::InjectType type, size_t size);
    void give_up(const std::string& problem);

    std::unique_ptr<InjectionPort> port_;
    std::shared_ptr<SignalSource> source_;
    InjectorOptions options_;
    wire::Decoder decoder_;
    std::vector<uint8_t> pending_;
    uint16_t sequence_ = 0;
    bool have_run_ = false;
    uint8_t run_ = 0;
    int64_t table_due_ns_ = 0;
    std::vector<Position> position_;
    uint8_t payload_[wire::kMaxPayload];
    std::atomic<bool> stop_{false};
    std::atomic<bool> accepted_{false};
    std::atomic<bool> finished_{false};
    std::atomic<uint64_t> samples_{0};
    mutable std::mutex mutex_;
    std::string problem_;
    std::thread thread_;
};

}  // namespace lockstep
