// A thin layer over the HDF5 C library: owned identifiers, fixed-length strings, compressed columns
// written in full chunks only. Internal to storage/.
// Functions throw Failure; storage's public functions turn it into an Error (guard()). HDF5 is used
// under lock() only, so that any thread of the program may hold a reader or a recorder.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "acquisition/error.h"

namespace lockstep::storage::h5 {

struct Failure : std::exception {
    explicit Failure(Error e) : error(std::move(e)) {}
    const char* what() const noexcept override { return error.what.c_str(); }
    Error error;
};
[[noreturn]] void refuse(const std::string& what, const std::string& where,
                         ErrorKind kind = ErrorKind::usage);

// Also switches off HDF5's own printing and its work at exit, which crashes after a full disk.
std::unique_lock<std::recursive_mutex> lock();

// Runs `f` under lock(); what it throws becomes an Error.
template <typename F>
auto guard(const std::string& where, F&& f) -> Result<decltype(f())> {
    try {
        const auto held = lock();
        if constexpr (std::is_void_v<decltype(f())>) {
            f();
            return {};
        } else {
            return f();
        }
    } catch (const Failure& failure) {
        Error error = failure.error;
        if (error.where.empty()) error.where = where;
        return tl::make_unexpected(error);
    } catch (const std::exception& e) {
        return fail(ErrorKind::system, e.what(), where);
    }
}

// An owned identifier of any kind.
class Id {
  public:
    Id() = default;
    // Throws when `id` is negative: `what` failed at `where`.
    Id(hid_t id, const std::string& what, const std::string& where = {});
    ~Id() { reset(); }
    Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
    Id& operator=(Id&& other) noexcept {
        if (this != &other) {
            reset();
            id_ = std::exchange(other.id_, -1);
        }
        return *this;
    }
    Id(const Id&) = delete;
    Id& operator=(const Id&) = delete;
    hid_t get() const { return id_; }
    explicit operator bool() const { return id_ >= 0; }
    void reset();

  private:
    hid_t id_ = -1;
};

void check(herr_t status, const std::string& what, const std::string& where = {});

// One column of a table: what a compound member is made of.
struct Column {
    const char* name;
    size_t offset;
    hid_t base;    // native type of one element; ignored when text
    size_t text;   // bytes of a fixed-length string, 0 = no string
    size_t count;  // elements of an array, 1 = scalar
};

template <typename T>
hid_t number_type() {
    static_assert(std::is_arithmetic_v<T>);
    if constexpr (std::is_same_v<T, float>)
        return H5T_IEEE_F32LE;
    else if constexpr (std::is_same_v<T, double>)
        return H5T_IEEE_F64LE;
    else if constexpr (sizeof(T) == 1)
        return std::is_signed_v<T> ? H5T_STD_I8LE : H5T_STD_U8LE;
    else if constexpr (sizeof(T) == 2)
        return std::is_signed_v<T> ? H5T_STD_I16LE : H5T_STD_U16LE;
    else if constexpr (sizeof(T) == 4)
        return std::is_signed_v<T> ? H5T_STD_I32LE : H5T_STD_U32LE;
    else
        return std::is_signed_v<T> ? H5T_STD_I64LE : H5T_STD_U64LE;
}
template <typename T>
Column column(const char* name, size_t offset) {
    if constexpr (std::is_array_v<T>) {
        using E = std::remove_extent_t<T>;
        if constexpr (std::is_same_v<E, char>)
            return {name, offset, -1, std::extent_v<T>, 1};
        else
            return {name, offset, number_type<E>(), 0, std::extent_v<T>};
    } else {
        return {name, offset, number_type<T>(), 0, 1};
    }
}
#define LOCKSTEP_COLUMN(Row, field) \
    ::lockstep::storage::h5::column<decltype(Row::field)>(#field, offsetof(Row, field))

Id text_type(size_t bytes);  // UTF-8, zero-padded
Id compound(const std::vector<Column>& columns, size_t size);

// Valid UTF-8 without zero bytes: what is not becomes '?'.
std::string clean(const std::string& text);

// --- writing ---
Id create_file(const std::string& path);  // libver v110; must not exist
Id create_group(hid_t parent, const std::string& name);
void write_attribute(hid_t object, const std::string& name, const std::string& text);
void write_attribute(hid_t object, const std::string& name, hid_t type, const void* data, size_t count,
                     bool scalar);
template <typename T>
void write_number(hid_t object, const std::string& name, T value) {
    write_attribute(object, name, number_type<T>(), &value, 1, true);
}
template <typename T>
void write_numbers(hid_t object, const std::string& name, const std::vector<T>& values) {
    write_attribute(object, name, number_type<T>(), values.data(), values.size(), false);
}
void write_text(hid_t group, const std::string& name, const std::string& text);  // scalar dataset

// A growing dataset [rows][planes][inner] with one chunk per chunk_rows rows of one plane, shuffled and
// deflated here and written with H5Dwrite_chunk: never a partly filled chunk on the disk, and no chunk
// cache. close() writes the tail, cuts the extent to the rows and leaves the attribute `crc32c`, one
// CRC-32C per plane over its bytes in row order.
class Grower {
  public:
    struct Shape {
        size_t planes = 0;  // 0: the dataset has no such dimension
        size_t inner = 0;   // 0: likewise
        size_t chunk_rows = 1024;
        bool packed = true;  // false: full chunks are stored as they are, to be read without unpacking
    };
    Grower() = default;
    Grower(hid_t group, const std::string& name, hid_t type, const Shape& shape);
    Grower(Grower&&) = default;
    Grower& operator=(Grower&&) = default;

    // Appends one row of one plane: inner * type_size bytes. Every plane must get the same rows.
    void append(size_t plane, const void* row);
    // Appends a row of a dataset with a single plane.
    void append(const void* row) { append(0, row); }
    uint64_t rows() const { return rows_; }
    hid_t dataset() const { return dataset_.get(); }
    explicit operator bool() const { return bool(dataset_); }
    uint64_t bytes() const { return bytes_; }  // written so far
    uint64_t pending_bytes() const;            // what close() would still write, unpacked
    void close();

  private:
    void write_chunk(size_t plane);
    Id dataset_;
    std::string name_;
    Shape shape_;
    size_t type_size_ = 0;
    size_t row_bytes_ = 0;
    std::vector<std::vector<uint8_t>> pending_;  // per plane
    std::vector<uint64_t> written_;              // rows in full chunks, per plane
    std::vector<uint32_t> crc_;
    uint64_t rows_ = 0;
    uint64_t extent_ = 0;
    uint64_t bytes_ = 0;
};

// A small table written at once: fixed part of each row from `numbers`, then string columns as wide
// as their longest text.
struct TextColumn {
    std::string name;
    std::vector<std::string> texts;
};
void write_table(hid_t group, const std::string& name, const std::vector<Column>& columns, size_t row_bytes,
                 const void* rows, size_t count, const std::vector<TextColumn>& texts);

// --- reading ---
Id open_file(const std::string& path);
int descriptor(hid_t file);            // of the operating system; -1 when there is none
uint64_t allocated_bytes(hid_t file);  // with what is not yet written
bool has(hid_t parent, const std::string& name);
Id open_group(hid_t parent, const std::string& name);
Id open_dataset(hid_t parent, const std::string& name);
std::vector<std::string> children(hid_t group);
std::vector<uint64_t> dimensions(hid_t dataset);
bool has_attribute(hid_t object, const std::string& name);
std::string read_text_attribute(hid_t object, const std::string& name, const std::string& fallback = {});
void read_attribute(hid_t object, const std::string& name, hid_t type, void* data, size_t count);
template <typename T>
T read_number(hid_t object, const std::string& name, T fallback) {
    if (!has_attribute(object, name)) return fallback;
    T value{};
    read_attribute(object, name, number_type<T>(), &value, 1);
    return value;
}
size_t attribute_size(hid_t object, const std::string& name);  // elements, 0 when there is none
template <typename T>
std::vector<T> read_numbers(hid_t object, const std::string& name) {
    std::vector<T> values(attribute_size(object, name));
    if (!values.empty()) read_attribute(object, name, number_type<T>(), values.data(), values.size());
    return values;
}
std::string read_text(hid_t group, const std::string& name);  // scalar dataset

// Rows [first, first + count) of a one- or more-dimensional dataset, all of the other dimensions, as
// `type` in memory. Throws when they are not there.
void read_rows(hid_t dataset, hid_t type, uint64_t first, uint64_t count, void* out);

// A table with columns of the file's own widths, in memory as a whole: for small ones.
class Table {
  public:
    Table(hid_t group, const std::string& name);
    size_t size() const { return rows_; }
    template <typename T>
    T number(size_t row, const std::string& name) const {
        T value{};
        fetch(row, name, number_type<T>(), sizeof(T), &value);
        return value;
    }
    std::string text(size_t row, const std::string& name) const;

  private:
    void fetch(size_t row, const std::string& name, hid_t type, size_t size, void* out) const;
    Id type_;
    size_t rows_ = 0;
    size_t row_bytes_ = 0;
    std::vector<uint8_t> bytes_;
    std::string where_;
};

// Walks the whole file before it is used: hard links only, nothing reached twice, no external or
// virtual storage, no variable-length or reference types, built-in filters only, no dataset that
// claims more than its file can hold. Throws with the object's name.
void check_structure(hid_t file, const std::string& path);

}  // namespace lockstep::storage::h5
