// The only place where threads hand over. publish() copies an event into one bounded queue per sink
// and never blocks; a full queue is counted and told to the sink, never silent.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "acquisition/event.h"

namespace lockstep {

// A sink's end. Thread: pop() by one consumer; the rest from any thread.
class Subscription {
  public:
    // Waits up to `timeout`; false on time-out or when closed and empty.
    bool pop(Event* out, std::chrono::milliseconds timeout);
    uint64_t dropped() const;   // events this sink lost because its queue was full
    size_t high_water() const;  // most events that ever waited
    void close();               // publisher side: no more events; consumer drains
    bool closed() const;        // closed and empty

  private:
    friend class Hub;
    mutable std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<Event> queue_;
    size_t capacity_ = 0;
    size_t high_water_ = 0;
    uint64_t dropped_ = 0;
    bool closed_ = false;
};

class Hub {
  public:
    // capacity in events; a block of 40 ms of 8 x 24 bit is one event.
    std::shared_ptr<Subscription> attach(size_t capacity);
    void detach(const std::shared_ptr<Subscription>& sink);
    void publish(const Event& event);  // any thread
    void close();                      // closes every subscription

  private:
    std::mutex mutex_;
    std::vector<std::shared_ptr<Subscription>> sinks_;
};

}  // namespace lockstep
