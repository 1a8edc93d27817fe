// Tables of a session file, row by row or whole. Internal to storage/; throws h5::Failure; under h5::lock().
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "storage/layout.h"

namespace lockstep::storage {

template <size_t N>
std::string text_of(const char (&bytes)[N]) {
    return std::string(bytes, strnlen(bytes, N));
}

// Reads a table's rows in order, a buffer at a time.
template <typename Row>
class RowCursor {
  public:
    RowCursor() = default;
    RowCursor(hid_t group, const std::string& name)
        : dataset_(h5::open_dataset(group, name)), type_(row_type<Row>()) {
        const auto size = h5::dimensions(dataset_.get());
        if (size.size() != 1) h5::refuse(name + " is not a table", {});
        rows_ = size[0];
    }
    uint64_t size() const { return rows_; }
    // The current row, nothing at the end.
    const Row* get() {
        if (at_ >= rows_) return nullptr;
        if (at_ >= begin_ + buffer_.size() || at_ < begin_) {
            begin_ = at_;
            buffer_.resize(size_t(std::min<uint64_t>(4096, rows_ - at_)));
            h5::read_rows(dataset_.get(), type_.get(), begin_, buffer_.size(), buffer_.data());
        }
        return &buffer_[size_t(at_ - begin_)];
    }
    void next() { ++at_; }
    uint64_t at() const { return at_; }

  private:
    h5::Id dataset_, type_;
    uint64_t rows_ = 0, at_ = 0, begin_ = 0;
    std::vector<Row> buffer_;
};

// All rows of a table whose size is bounded by the file's.
template <typename Row>
std::vector<Row> read_table(hid_t group, const std::string& name) {
    const h5::Id dataset = h5::open_dataset(group, name);
    const auto size = h5::dimensions(dataset.get());
    if (size.size() != 1) h5::refuse(name + " is not a table", {});
    if (size[0] > (2ull << 30) / sizeof(Row)) h5::refuse(name + " is absurdly large", {});
    std::vector<Row> rows(static_cast<size_t>(size[0]));
    h5::read_rows(dataset.get(), row_type<Row>().get(), 0, size[0], rows.data());
    return rows;
}

}  // namespace lockstep::storage
