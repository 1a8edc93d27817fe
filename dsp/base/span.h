// A view of contiguous memory: pointer and length, never an owner. C++17 has no std::span, and the
// freestanding core cannot take one from a library.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lockstep {

template <typename T>
class Span {
  public:
    constexpr Span() = default;
    constexpr Span(T* data, size_t size) : data_(data), size_(size) {}
    template <size_t N>
    constexpr Span(T (&array)[N]) : data_(array), size_(N) {}
    // A view of T converts to a view of const T.
    template <typename U>
    constexpr Span(const Span<U>& other) : data_(other.data()), size_(other.size()) {}

    constexpr T* data() const { return data_; }
    constexpr size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr T& operator[](size_t i) const { return data_[i]; }
    constexpr T* begin() const { return data_; }
    constexpr T* end() const { return data_ + size_; }
    // REQUIRES: offset <= size(); count is cut to what is there.
    constexpr Span subspan(size_t offset, size_t count = SIZE_MAX) const {
        const size_t rest = size_ - offset;
        return Span(data_ + offset, count < rest ? count : rest);
    }

  private:
    T* data_ = nullptr;
    size_t size_ = 0;
};

using Bytes = Span<const uint8_t>;
using MutableBytes = Span<uint8_t>;

}  // namespace lockstep
