// Single producer, single consumer ring over caller-owned memory; lock-free between one interrupt (or
// thread) that pushes and one that pops.
//
//      tail (consumer)            head (producer)
//        v                          v
//   [....xxxxxxxxxxxxxxxxxxxxxxxxxxx....]      used = head - tail, counters run freely
#pragma once

#include <atomic>

#include "dsp/base/span.h"

namespace lockstep {

template <typename T>
class Ring {
  public:
    Ring() = default;
    // REQUIRES: memory.size() is a power of two.
    explicit Ring(Span<T> memory) : memory_(memory), mask_(memory.size() - 1) {}
    void bind(Span<T> memory) {
        memory_ = memory;
        mask_ = memory.size() - 1;
        head_.store(0, std::memory_order_relaxed);
        tail_.store(0, std::memory_order_relaxed);
    }

    size_t capacity() const { return memory_.size(); }
    size_t used() const {
        return head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_acquire);
    }
    size_t free() const { return capacity() - used(); }

    // Producer only.
    bool push(const T& v) {
        const size_t head = head_.load(std::memory_order_relaxed);
        if (head - tail_.load(std::memory_order_acquire) == memory_.size()) return false;
        memory_[head & mask_] = v;
        head_.store(head + 1, std::memory_order_release);
        return true;
    }
    // Producer only. All or nothing.
    bool push(Span<const T> values) {
        if (free() < values.size()) return false;
        const size_t head = head_.load(std::memory_order_relaxed);
        for (size_t i = 0; i < values.size(); ++i)
            memory_[(head + i) & mask_] = values[i];
        head_.store(head + values.size(), std::memory_order_release);
        return true;
    }
    // Consumer only.
    bool pop(T* out) {
        const size_t tail = tail_.load(std::memory_order_relaxed);
        if (tail == head_.load(std::memory_order_acquire)) return false;
        *out = memory_[tail & mask_];
        tail_.store(tail + 1, std::memory_order_release);
        return true;
    }
    // Consumer only. Returns how many were taken.
    size_t pop(Span<T> out) {
        size_t n = 0;
        while (n < out.size() && pop(&out[n]))
            ++n;
        return n;
    }

  private:
    Span<T> memory_;
    size_t mask_ = 0;
    std::atomic<size_t> head_{0};
    std::atomic<size_t> tail_{0};
};

}  // namespace lockstep
