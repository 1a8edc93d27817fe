// Bump allocator over memory that the caller owns; nothing is ever given back. The core asks for all
// its memory once, at bind time, so that the hot path cannot fail.
#pragma once

#include "dsp/base/span.h"

namespace lockstep {

class Arena {
  public:
    Arena() = default;
    explicit Arena(MutableBytes memory) : memory_(memory) {}

    // Uninitialised room for n objects of T, aligned for T (at least 4); empty when it does not fit,
    // and then every later call is empty too, so one check at the end suffices: ok().
    template <typename T>
    Span<T> take(size_t n) {
        const size_t align = alignof(T) < 4 ? 4 : alignof(T);
        const uintptr_t base = reinterpret_cast<uintptr_t>(memory_.data());
        const size_t at = size_t(((base + used_ + align - 1) & ~uintptr_t(align - 1)) - base);
        if (!ok_ || at > memory_.size() || n > (memory_.size() - at) / sizeof(T)) {
            ok_ = false;
            return {};
        }
        used_ = at + n * sizeof(T);
        return Span<T>(reinterpret_cast<T*>(memory_.data() + at), n);
    }

    bool ok() const { return ok_; }
    size_t used() const { return used_; }

  private:
    MutableBytes memory_;
    size_t used_ = 0;
    bool ok_ = true;
};

}  // namespace lockstep
