// Events on their way from those who record to the recorder's threads: each is moved once, into an entry of a
// chain, and freed where it ends. Internal to storage/.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

#include "acquisition/event.h"

namespace lockstep::storage {

struct Entry {
    Event event;
    size_t bytes;  // in memory
    Entry* next;
};

// Owns its entries, oldest first. One thread at a time.
class Chain {
  public:
    Chain() = default;
    ~Chain() { clear(); }
    Chain(Chain&& other) noexcept { swap(other); }
    Chain& operator=(Chain&& other) noexcept {
        swap(other);
        return *this;
    }
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;

    const Entry* first() const { return first_; }
    size_t size() const { return size_; }
    size_t bytes() const { return bytes_; }
    // REQUIRES: all of `first`'s entries, up to a null `next`, are the chain's from here on.
    void append(Entry* first) {
        for (Entry* entry = first; entry != nullptr; entry = entry->next) {
            (last_ == nullptr ? first_ : last_->next) = entry;
            last_ = entry;
            bytes_ += entry->bytes;
            ++size_;
        }
    }
    void append(Chain* other) {
        if (other->first_ == nullptr) return;
        (last_ == nullptr ? first_ : last_->next) = other->first_;
        last_ = other->last_;
        bytes_ += other->bytes_;
        size_ += other->size_;
        other->first_ = other->last_ = nullptr;
        other->bytes_ = other->size_ = 0;
    }
    void clear() {
        while (first_ != nullptr)
            delete std::exchange(first_, first_->next);
        last_ = nullptr;
        bytes_ = size_ = 0;
    }
    void swap(Chain& other) {
        std::swap(first_, other.first_);
        std::swap(last_, other.last_);
        std::swap(bytes_, other.bytes_);
        std::swap(size_, other.size_);
    }

  private:
    Entry* first_ = nullptr;
    Entry* last_ = nullptr;
    size_t bytes_ = 0, size_ = 0;
};

// Any thread pushes, without a lock: it would wait for whoever holds it, and the system may put that one to
// sleep. One thread takes.
class Inbox {
  public:
    Inbox() = default;
    ~Inbox() { take(); }
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;

    void push(Event event, size_t bytes) {
        auto* added = new Entry{std::move(event), bytes, newest_.load(std::memory_order_relaxed)};
        while (!newest_.compare_exchange_weak(added->next, added, std::memory_order_release,
                                              std::memory_order_relaxed)) {
        }
    }
    Chain take() {
        Entry* newest = newest_.exchange(nullptr, std::memory_order_acquire);
        Entry* oldest = nullptr;
        while (newest != nullptr)  // turns the chain round
            newest = std::exchange(newest->next, std::exchange(oldest, newest));
        Chain all;
        all.append(oldest);
        return all;
    }

  private:
    std::atomic<Entry*> newest_{nullptr};
};

}  // namespace lockstep::storage
