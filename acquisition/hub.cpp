#include "acquisition/hub.h"

#include <algorithm>

namespace lockstep {

bool Subscription::pop(Event* out, std::chrono::milliseconds timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    ready_.wait_for(lock, timeout, [this] { return !queue_.empty() || closed_; });
    if (queue_.empty()) return false;
    *out = std::move(queue_.front());
    queue_.pop_front();
    return true;
}

uint64_t Subscription::dropped() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return dropped_;
}

size_t Subscription::high_water() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return high_water_;
}

void Subscription::close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    ready_.notify_all();
}

bool Subscription::closed() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return closed_ && queue_.empty();
}

std::shared_ptr<Subscription> Hub::attach(size_t capacity) {
    auto sink = std::make_shared<Subscription>();
    sink->capacity_ = std::max<size_t>(capacity, 1);
    const std::lock_guard<std::mutex> lock(mutex_);
    sinks_.push_back(sink);
    return sink;
}

void Hub::detach(const std::shared_ptr<Subscription>& sink) {
    const std::lock_guard<std::mutex> lock(mutex_);
    sinks_.erase(std::remove(sinks_.begin(), sinks_.end(), sink), sinks_.end());
    sink->close();
}

void Hub::publish(const Event& event) {
    // A full queue refuses samples first: without a segment or a gap event the samples that are there
    // could not be read, so those have as much room again.
    const bool is_block = std::holds_alternative<std::shared_ptr<const Block>>(event);
    // Held throughout, so that every sink sees the same order.
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& sink : sinks_) {
        const std::lock_guard<std::mutex> sink_lock(sink->mutex_);
        if (sink->closed_) continue;
        if (sink->queue_.size() >= (is_block ? sink->capacity_ : 2 * sink->capacity_)) {
            ++sink->dropped_;
            continue;
        }
        sink->queue_.push_back(event);
        sink->high_water_ = std::max(sink->high_water_, sink->queue_.size());
        sink->ready_.notify_one();
    }
}

void Hub::close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& sink : sinks_)
        sink->close();
}

}  // namespace lockstep
