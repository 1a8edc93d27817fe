#include "models/data/dataset_file.h"

#include <hdf5.h>

#include <algorithm>

namespace lockstep {
namespace {

constexpr size_t kMaxValues = size_t(1) << 28;
constexpr size_t kMaxText = 4096;

struct Damaged {
    std::string what;
};

// An identifier with the function that gives it back.
class Handle {
  public:
    Handle(hid_t id, herr_t (*close)(hid_t), const std::string& what) : id_(id), close_(close) {
        if (id < 0) throw Damaged{what};
    }
    ~Handle() { close_(id_); }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    operator hid_t() const { return id_; }

  private:
    hid_t id_;
    herr_t (*close_)(hid_t);
};

// HDF5 reports through return values here; its own printing is for programmers.
class Quiet {
  public:
    Quiet() {
        H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    }
    ~Quiet() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

  private:
    H5E_auto2_t print_ = nullptr;
    void* data_ = nullptr;
};

bool has(hid_t at, const std::string& name) {
    return H5Lexists(at, name.c_str(), H5P_DEFAULT) > 0;
}

std::vector<size_t> shape_of(hid_t dataset, const std::string& name) {
    const Handle space(H5Dget_space(dataset), H5Sclose, name + " has no shape");
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 1 || rank > 8) throw Damaged{name + " has an unexpected number of dimensions"};
    hsize_t dims[8];
    H5Sget_simple_extent_dims(space, dims, nullptr);
    std::vector<size_t> shape;
    size_t count = 1;
    for (int i = 0; i < rank; ++i) {
        if (dims[i] > kMaxValues) throw Damaged{name + " is too large"};
        shape.push_back(size_t(dims[i]));
        count *= shape.back();
        if (count > kMaxValues) throw Damaged{name + " is too large"};
    }
    return shape;
}

template <typename T>
std::vector<T> numbers(hid_t at, const std::string& name, hid_t type, std::vector<size_t>* shape = nullptr) {
    const Handle d(H5Dopen2(at, name.c_str(), H5P_DEFAULT), H5Dclose, name + " is missing");
    const Handle stored(H5Dget_type(d), H5Tclose, name + " has no type");
    const H5T_class_t kind = H5Tget_class(stored);
    if (kind != H5T_INTEGER && kind != H5T_FLOAT) throw Damaged{name + " holds no numbers"};
    const std::vector<size_t> dims = shape_of(d, name);
    size_t count = 1;
    for (const size_t n : dims)
        count *= n;
    std::vector<T> out(count);
    if (count != 0 && H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) < 0)
        throw Damaged{name + " cannot be read"};
    if (shape != nullptr) *shape = dims;
    return out;
}

std::vector<std::string> texts(hid_t at, const std::string& name) {
    const Handle d(H5Dopen2(at, name.c_str(), H5P_DEFAULT), H5Dclose, name + " is missing");
    const Handle type(H5Dget_type(d), H5Tclose, name + " has no type");
    const size_t size = H5Tget_size(type);
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0 || size == 0 || size > kMaxText)
        throw Damaged{name + " holds no texts of fixed length"};
    const std::vector<size_t> shape = shape_of(d, name);
    if (shape.size() != 1 || shape[0] > kMaxValues / size) throw Damaged{name + " is no list of texts"};
    std::vector<char> raw(shape[0] * size);
    if (!raw.empty() && H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()) < 0)
        throw Damaged{name + " cannot be read"};
    std::vector<std::string> out;
    for (size_t i = 0; i < shape[0]; ++i) {
        const char* begin = raw.data() + i * size;
        out.emplace_back(begin, std::find(begin, begin + size, '\0'));
    }
    return out;
}

// Rows of the part in the one split that the file has.
std::vector<uint64_t> rows_of(hid_t file, const std::string& part) {
    if (part != "train" && part != "val" && part != "test")
        throw Damaged{"\"" + part + "\" is no part of a dataset; there are train, val, test and all"};
    for (const char* method : {"subject", "session", "time", "none"}) {
        const std::string group = std::string("splits/") + method;
        if (has(file, "splits") && has(file, group) && has(file, group + "/" + part))
            return numbers<uint64_t>(file, group + "/" + part, H5T_NATIVE_UINT64);
    }
    throw Damaged{"the dataset is not split: it has no part \"" + part + "\""};
}

template <typename T>
void select(const std::vector<uint64_t>& rows, size_t per, std::vector<T>* values) {
    std::vector<T> out;
    out.reserve(rows.size() * per);
    for (const uint64_t row : rows)
        out.insert(out.end(), values->begin() + long(row * per), values->begin() + long((row + 1) * per));
    *values = std::move(out);
}

WindowSet read(const std::string& path, const std::string& part) {
    const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "not a whole HDF5 file");
    if (!has(file, "X") || !has(file, "y"))
        throw Damaged{"not a training dataset; make one with 'lockstep export --format dataset'"};
    WindowSet set;
    std::vector<size_t> shape;
    set.values = numbers<float>(file, "X", H5T_NATIVE_FLOAT, &shape);
    if (shape.size() != 3 || set.values.empty()) throw Damaged{"X is not [windows, time, channels]"};
    set.count = shape[0];
    set.shape = {shape[1], shape[2]};
    set.time_first = true;
    const size_t per = shape[1] * shape[2];
    for (const int64_t y : numbers<int64_t>(file, "y", H5T_NATIVE_INT64))
        set.labels.push_back(y < 0 || y > INT32_MAX ? -1 : int32_t(y));
    if (set.labels.size() != set.count) throw Damaged{"y does not fit X"};
    if (has(file, "classes") && has(file, "classes/name")) set.classes = texts(file, "classes/name");
    if (has(file, "subject")) set.people = texts(file, "subject");
    if (!set.people.empty() && set.people.size() != set.count) throw Damaged{"subject does not fit X"};
    set.part = part.empty() ? "all" : part;
    if (set.part != "all") {
        const std::vector<uint64_t> rows = rows_of(file, set.part);
        if (rows.empty()) throw Damaged{"the part \"" + set.part + "\" is empty"};
        if (rows.size() > set.count) throw Damaged{"the split does not fit X"};
        for (const uint64_t row : rows)
            if (row >= set.count) throw Damaged{"the split does not fit X"};
        select(rows, per, &set.values);
        select(rows, 1, &set.labels);
        if (!set.people.empty()) select(rows, 1, &set.people);
        set.count = rows.size();
    }
    return set;
}

}  // namespace

bool is_dataset(const std::string& path) {
    const Quiet quiet;
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) return false;
    const bool yes = has(file, "X") && has(file, "y");
    H5Fclose(file);
    return yes;
}

Result<WindowSet> read_dataset(const std::string& path, const std::string& part) {
    const Quiet quiet;
    try {
        return read(path, part);
    } catch (const Damaged& d) {
        return fail(ErrorKind::usage, d.what, path);
    }
}

}  // namespace lockstep
