// New HDF5 files whose bytes depend on nothing but their content: no time stamps, contiguous datasets,
// fixed-length texts, the oldest (most widely read) file format. Throws h5::Failure; REQUIRES: h5::lock().
#pragma once

#include <string>
#include <vector>

#include "storage/h5.h"

namespace lockstep::storage {

class H5Out {
  public:
    explicit H5Out(const std::string& path, size_t user_block = 0);
    hid_t file() const { return file_.get(); }
    h5::Id group(hid_t parent, const std::string& name);
    // A dataset of the given shape, its space allocated at once; nothing is written yet.
    h5::Id dataset(hid_t parent, const std::string& name, hid_t type, const std::vector<uint64_t>& shape);
    template <typename T>
    h5::Id numbers(hid_t parent, const std::string& name, const std::vector<T>& values) {
        h5::Id made = dataset(parent, name, h5::number_type<T>(), {values.size()});
        if (!values.empty()) write(made.get(), h5::number_type<T>(), values.data());
        return made;
    }
    h5::Id texts(hid_t parent, const std::string& name, const std::vector<std::string>& values);
    h5::Id text(hid_t parent, const std::string& name, const std::string& value);  // scalar
    h5::Id scalar(hid_t parent, const std::string& name, double value);
    // Texts of variable length, UTF-8: what readers that check types (NWB) take.
    h5::Id strings(hid_t parent, const std::string& name, const std::vector<std::string>& values);
    h5::Id string(hid_t parent, const std::string& name, const std::string& value);  // scalar
    static void string_attribute(hid_t object, const std::string& name, const std::string& value);
    static void string_attribute(hid_t object, const std::string& name,
                                 const std::vector<std::string>& values);
    void write(hid_t dataset, hid_t type, const void* data);
    // Rows [first, first + count) along the first dimension.
    void write_rows(hid_t dataset, hid_t type, uint64_t first, uint64_t count, const void* data);
    void close();

  private:
    h5::Id file_;
};

}  // namespace lockstep::storage
