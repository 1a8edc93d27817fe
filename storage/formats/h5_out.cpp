#include "storage/formats/h5_out.h"

#include <algorithm>
#include <cstring>

namespace lockstep::storage {

using h5::check;
using h5::Id;

namespace {

// A huge array starts on a page, so that it can be mapped.
constexpr hsize_t kPage = 4096;

Id no_times(hid_t kind) {
    Id list(H5Pcreate(kind), "a property list");
    check(H5Pset_obj_track_times(list.get(), 0), "object times");
    return list;
}

Id string_type() {
    Id type(H5Tcopy(H5T_C_S1), "a type");
    check(H5Tset_size(type.get(), H5T_VARIABLE), "a type");
    check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "a type");
    return type;
}

// Valid texts and pointers to them, as HDF5 takes them.
struct Strings {
    explicit Strings(const std::vector<std::string>& values) {
        for (const std::string& value : values)
            texts.push_back(h5::clean(value));
        for (const std::string& text : texts)
            pointers.push_back(text.c_str());
    }
    std::vector<std::string> texts;
    std::vector<const char*> pointers;
};

Id space_of(size_t count, bool scalar) {
    const hsize_t n = count;
    return {scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &n, nullptr), "a shape"};
}

Id write_strings(hid_t parent, const std::string& name, const std::vector<std::string>& values, bool scalar) {
    const Id creation = no_times(H5P_DATASET_CREATE);
    const Id type = string_type();
    const Id space = space_of(values.size(), scalar);
    Id made(
        H5Dcreate2(parent, name.c_str(), type.get(), space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
        "a dataset cannot be created", name);
    const Strings strings(values);
    if (!values.empty())
        check(H5Dwrite(made.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, strings.pointers.data()),
              "cannot be written; is the disk full?");
    return made;
}

void write_string_attribute(hid_t object, const std::string& name, const std::vector<std::string>& values,
                            bool scalar) {
    const Id type = string_type();
    const Id space = space_of(values.size(), scalar);
    const Id made(H5Acreate2(object, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
                  "cannot write an attribute", name);
    const Strings strings(values);
    check(H5Awrite(made.get(), type.get(), strings.pointers.data()), "cannot write an attribute", name);
}

}  // namespace

H5Out::H5Out(const std::string& path, size_t user_block) {
    Id access(H5Pcreate(H5P_FILE_ACCESS), "a property list");
    Id creation = no_times(H5P_FILE_CREATE);
    // HDF5 takes only one of the two.
    if (user_block == 0) check(H5Pset_alignment(access.get(), 1 << 16, kPage), "alignment");
    if (user_block > 0) check(H5Pset_userblock(creation.get(), user_block), "user block");
    file_ = Id(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access.get()),
               "the file cannot be created", path);
}

Id H5Out::group(hid_t parent, const std::string& name) {
    const Id creation = no_times(H5P_GROUP_CREATE);
    return {H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
            "a group cannot be created", name};
}

Id H5Out::dataset(hid_t parent, const std::string& name, hid_t type, const std::vector<uint64_t>& shape) {
    const Id creation = no_times(H5P_DATASET_CREATE);
    check(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY), "space");
    const bool empty = std::find(shape.begin(), shape.end(), 0u) != shape.end();
    const std::vector<hsize_t> extent(shape.begin(), shape.end());
    const Id space(
        shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(int(extent.size()), extent.data(), nullptr),
        "a shape", name);
    if (!empty) check(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER), "fill");
    return {H5Dcreate2(parent, name.c_str(), type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
            "a dataset cannot be created", name};
}

Id H5Out::texts(hid_t parent, const std::string& name, const std::vector<std::string>& values) {
    size_t width = 1;
    std::vector<std::string> cleaned;
    for (const std::string& value : values) {
        cleaned.push_back(h5::clean(value));
        width = std::max(width, cleaned.back().size());
    }
    std::vector<char> packed(width * cleaned.size());
    for (size_t i = 0; i < cleaned.size(); ++i)
        std::memcpy(packed.data() + i * width, cleaned[i].data(), cleaned[i].size());
    const Id type = h5::text_type(width);
    Id made = dataset(parent, name, type.get(), {cleaned.size()});
    if (!cleaned.empty()) write(made.get(), type.get(), packed.data());
    return made;
}

Id H5Out::text(hid_t parent, const std::string& name, const std::string& value) {
    std::string cleaned = h5::clean(value);
    if (cleaned.empty()) cleaned.resize(1);
    const Id type = h5::text_type(cleaned.size());
    Id made = dataset(parent, name, type.get(), {});
    write(made.get(), type.get(), cleaned.data());
    return made;
}

Id H5Out::scalar(hid_t parent, const std::string& name, double value) {
    Id made = dataset(parent, name, H5T_IEEE_F64LE, {});
    write(made.get(), H5T_IEEE_F64LE, &value);
    return made;
}

Id H5Out::strings(hid_t parent, const std::string& name, const std::vector<std::string>& values) {
    return write_strings(parent, name, values, false);
}
Id H5Out::string(hid_t parent, const std::string& name, const std::string& value) {
    return write_strings(parent, name, {value}, true);
}
void H5Out::string_attribute(hid_t object, const std::string& name, const std::string& value) {
    write_string_attribute(object, name, {value}, true);
}
void H5Out::string_attribute(hid_t object, const std::string& name, const std::vector<std::string>& values) {
    write_string_attribute(object, name, values, false);
}

void H5Out::write(hid_t dataset, hid_t type, const void* data) {
    check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data),
          "cannot be written; is the disk full?");
}

void H5Out::write_rows(hid_t dataset, hid_t type, uint64_t first, uint64_t count, const void* data) {
    if (count == 0) return;
    const Id space(H5Dget_space(dataset), "a shape");
    hsize_t extent[8];
    const int rank = H5Sget_simple_extent_dims(space.get(), extent, nullptr);
    if (rank < 1) h5::refuse("no rows", "");
    hsize_t start[8] = {first};
    hsize_t size[8];
    std::copy(extent, extent + rank, size);
    size[0] = count;
    check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, size, nullptr), "rows");
    const Id memory(H5Screate_simple(rank, size, nullptr), "a shape");
    check(H5Dwrite(dataset, type, memory.get(), space.get(), H5P_DEFAULT, data),
          "cannot be written; is the disk full?");
}

void H5Out::close() {
    check(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), "cannot be written; is the disk full?");
    file_.reset();
}

}  // namespace lockstep::storage
