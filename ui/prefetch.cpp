#include "ui/prefetch.h"

namespace lockstep::ui {

Prefetch::Prefetch(std::function<void()> ready) : ready_(std::move(ready)), thread_([this] { run(); }) {}

Prefetch::~Prefetch() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
        ++wanted_;
    }
    changed_.notify_all();
    thread_.join();
}

void Prefetch::want(Wish wish) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        wish_ = std::move(wish);
        ++wanted_;
    }
    changed_.notify_all();
}

bool Prefetch::wait(std::chrono::milliseconds time) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, time, [this] { return read_ == wanted_; });
}

bool Prefetch::read(const Wish& wish, uint64_t number) {
    std::vector<Extent> extents(size_t(std::max(wish.columns, 1)));
    for (const auto& [stream, channel] : wish.channels) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (wanted_ != number) return false;
        }
        wish.source->extent(stream, channel, wish.t0, wish.t1, int(extents.size()), extents.data());
    }
    return true;
}

void Prefetch::run() {
    for (;;) {
        Wish wish;
        uint64_t number = 0;
        {
            std::unique_lock<std::mutex> lock(mutex_);
            changed_.wait(lock, [this] { return ending_ || wish_.has_value(); });
            if (ending_) return;
            wish = std::move(*wish_);
            wish_.reset();
            number = wanted_;
        }
        if (!read(wish, number)) continue;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (wanted_ != number) continue;
            read_ = number;
        }
        changed_.notify_all();
        ready_();
        const double span = wish.t1 - wish.t0;
        for (const double aside : {span, -span}) {
            Wish next = wish;
            next.t0 += aside;
            next.t1 += aside;
            if (!read(next, number)) break;
        }
    }
}

}  // namespace lockstep::ui
