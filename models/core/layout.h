// Hands out parts of one block of memory; without a block it only counts, so that "how much" and
// "where" are the same code.
#pragma once

#include "dsp/base/span.h"

namespace lockstep::model {

class Layout {
  public:
    static constexpr size_t kAlign = 16;

    Layout() = default;  // counts
    explicit Layout(MutableBytes memory) : memory_(memory) {
        const size_t odd = reinterpret_cast<uintptr_t>(memory.data()) % kAlign;
        used_ = odd == 0 ? 0 : kAlign - odd;
    }

    // Uninitialised room for n objects, 16-byte aligned; null when counting or when it does not fit.
    template <typename T>
    T* take(uint64_t n) {
        const uint64_t at = used_;
        constexpr uint64_t kEach = sizeof(T);  // NOLINT(bugprone-sizeof-expression): of a pointer, too
        const uint64_t bytes = n > kLimit / kEach ? kLimit : n * kEach;
        used_ = at + bytes > kLimit ? kLimit : (at + bytes + kAlign - 1) / kAlign * kAlign;
        return used_ <= memory_.size() ? reinterpret_cast<T*>(memory_.data() + at) : nullptr;
    }

    bool ok() const { return used_ <= memory_.size(); }
    // What the takes so far need, wherever the block begins; SIZE_MAX when no block can hold it.
    size_t needed() const {
        return used_ >= kLimit || used_ + kAlign > SIZE_MAX ? SIZE_MAX : size_t(used_ + kAlign);
    }

  private:
    static constexpr uint64_t kLimit = uint64_t(1) << 48;

    MutableBytes memory_;
    uint64_t used_ = 0;
};

}  // namespace lockstep::model
