// The serial line between a virtual board and its host: carries UART0 at the baud rate between the
// emulator's socket and a pty or a TCP port, and can be a bad line on request. One thread.
//
// Pacing works by not reading: the emulator's socket holds a few hundred bytes, then the board's
// transmitter is busy, as it would be. What the host does not fetch waits in a bounded queue; what
// overflows that is lost and counted.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "acquisition/error.h"

namespace lockstep {

struct LineOptions {
    uint32_t baud = 115200;   // 10 bits a byte; 0 = as fast as it goes
    double flip = 0;          // chance of a wrong bit, per byte, both ways
    double drop = 0;          // chance that a byte vanishes, per byte, both ways
    double cut_seconds = 0;   // > 0: unplugged that often, for cut_length
    double cut_length = 1.0;  // seconds
    uint64_t seed = 1;        // of the faults
    size_t queue = 1 << 18;   // bytes that wait for a slow host
    std::string pty_link;     // symbolic link to the pty; "" = none
    int tcp_port = -1;        // >= 0: a TCP port on 127.0.0.1 in place of the pty; 0 = any free one
};

struct LineCounters {
    uint64_t to_host = 0;  // bytes delivered
    uint64_t to_device = 0;
    uint64_t overflowed = 0;  // lost because the host did not fetch them
    uint64_t unheard = 0;     // sent while nobody was connected
    uint64_t flipped = 0;
    uint64_t deleted = 0;
    uint64_t cuts = 0;
};

class Line {
  public:
    ~Line();
    // Takes over the board's end; `device` stays the caller's and outlives this object.
    Status start(int device, const LineOptions& options);
    void stop();
    // The pty (or its link), or "127.0.0.1:PORT".
    const std::string& path() const { return path_; }
    // As if the cable were pulled, and put back. Any thread.
    void cut() { plugged_ = false; }
    void attach() { plugged_ = true; }
    LineCounters counters() const;
    bool device_gone() const { return device_gone_; }

  private:
    using Clock = std::chrono::steady_clock;
    // What one direction may carry now.
    struct Budget {
        double bytes = 0;
        Clock::time_point last{};
        size_t take(uint32_t baud, Clock::time_point now);
    };

    Status open_pty();
    Status open_tcp();
    void close_host();
    bool host_present();
    void run();
    void plug(Clock::time_point now);
    void from_device(Clock::time_point now);
    void to_host();
    void from_host(Clock::time_point now);
    void to_device();
    size_t spoil(uint8_t* data, size_t size);

    LineOptions options_;
    int device_ = -1;
    int host_ = -1;  // pty master or TCP connection
    int listen_ = -1;
    std::string path_;
    std::atomic<bool> stop_{false};
    std::atomic<bool> plugged_{true};
    std::atomic<bool> device_gone_{false};
    bool cut_now_ = false;
    Clock::time_point next_cut_{};
    Clock::time_point cut_until_{};
    bool cut_by_plan_ = false;
    Budget out_budget_;
    Budget in_budget_;
    std::vector<uint8_t> out_;  // towards the host
    std::vector<uint8_t> in_;   // towards the device
    std::mt19937_64 random_;
    mutable std::mutex mutex_;
    LineCounters counters_;
    std::thread thread_;
};

}  // namespace lockstep
