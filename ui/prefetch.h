// Reads what is about to be drawn on a thread of its own, so that the GUI's thread finds it in memory and
// never waits for a disk. The newest wish counts. Thread: calls from the GUI's; `ready` is called on the
// reader's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "acquisition/trace_store.h"

namespace lockstep::ui {

class Prefetch {
  public:
    explicit Prefetch(std::function<void()> ready);
    ~Prefetch();
    Prefetch(const Prefetch&) = delete;
    Prefetch& operator=(const Prefetch&) = delete;

    struct Wish {
        std::shared_ptr<const TraceSource> source;
        std::vector<std::pair<int, int>> channels;  // stream, channel
        double t0 = 0;
        double t1 = 0;
        int columns = 0;
    };
    void want(Wish wish);  // then its neighbours on both sides
    // True when the newest wish is in memory within this time.
    bool wait(std::chrono::milliseconds time);

  private:
    void run();
    bool read(const Wish& wish, uint64_t number);  // false: a newer wish is there

    std::function<void()> ready_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<Wish> wish_;
    uint64_t wanted_ = 0;
    uint64_t read_ = 0;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace lockstep::ui
