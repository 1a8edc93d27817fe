#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "storage/h5.h"

namespace lockstep::storage::h5 {
namespace {

constexpr size_t kMaxObjects = 100000;
constexpr int kMaxDepth = 16;
constexpr uint64_t kMaxAttribute = 64u << 20;
// Deflate packs at most 1032 to 1.
constexpr uint64_t kMaxRatio = 1040;
constexpr uint64_t kSmall = 16u << 20;

class Walk {
  public:
    Walk(std::string path, uint64_t file_bytes)
        : path_(std::move(path)),
          limit_(file_bytes > UINT64_MAX / kMaxRatio ? UINT64_MAX : file_bytes * kMaxRatio + kSmall) {}

    void group(hid_t group, const std::string& name, int depth) {
        if (depth > kMaxDepth) refuse("groups are nested too deep", at(name));
        visit_once(group, name);
        attributes(group, name);
        H5G_info_t info{};
        check(H5Gget_info(group, &info), "cannot read the group", at(name));
        for (hsize_t i = 0; i < info.nlinks; ++i) {
            char child[256];
            const ssize_t n = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, child,
                                                 sizeof child, H5P_DEFAULT);
            if (n <= 0 || size_t(n) >= sizeof child) refuse("a link has no usable name", at(name));
            const std::string full = name + "/" + child;
            H5L_info_t link{};
            check(H5Lget_info(group, child, &link, H5P_DEFAULT), "cannot read the link", at(full));
            if (link.type == H5L_TYPE_EXTERNAL)
                refuse("it is an external link; a session holds everything itself", at(full));
            if (link.type != H5L_TYPE_HARD) refuse("it is a link that a session does not use", at(full));
            const Id object(H5Oopen(group, child, H5P_DEFAULT), "cannot open the object", at(full));
            switch (H5Iget_type(object.get())) {
                case H5I_GROUP:
                    this->group(object.get(), full, depth + 1);
                    break;
                case H5I_DATASET:
                    dataset(object.get(), full);
                    break;
                default:
                    refuse("it is neither a group nor a dataset", at(full));
            }
        }
    }

  private:
    std::string at(const std::string& name) const { return path_ + ": " + (name.empty() ? "/" : name); }

    void visit_once(hid_t object, const std::string& name) {
        H5O_info_t info{};
        check(H5Oget_info2(object, &info, H5O_INFO_BASIC), "cannot read the object", at(name));
        if (!seen_.insert(info.addr).second)
            refuse("it is reached by two names or is part of a cycle", at(name));
        if (seen_.size() > kMaxObjects) refuse("there are too many objects", at(name));
    }

    void type(hid_t type, const std::string& name, int depth = 0) {
        if (depth > 4) refuse("its type is nested too deep", at(name));
        switch (H5Tget_class(type)) {
            case H5T_INTEGER:
            case H5T_FLOAT:
                return;
            case H5T_STRING:
                if (H5Tis_variable_str(type) != 0) refuse("it holds variable-length data", at(name));
                return;
            case H5T_ENUM:  // h5py's booleans
            case H5T_ARRAY: {
                const Id base(H5Tget_super(type), "cannot read its type", at(name));
                return this->type(base.get(), name, depth + 1);
            }
            case H5T_COMPOUND: {
                const int n = H5Tget_nmembers(type);
                for (int i = 0; i < n; ++i) {
                    const Id member(H5Tget_member_type(type, unsigned(i)), "cannot read its type", at(name));
                    this->type(member.get(), name, depth + 1);
                }
                return;
            }
            case H5T_VLEN:
                refuse("it holds variable-length data", at(name));
            default:
                refuse("it holds a type that a session does not use", at(name));
        }
    }

    // Bytes that a dataspace of this type claims, UINT64_MAX when past any number.
    static uint64_t claimed(hid_t space, hid_t type) {
        const int rank = H5Sget_simple_extent_ndims(space);
        if (H5Sget_simple_extent_type(space) == H5S_NULL) return 0;
        std::vector<hsize_t> size(size_t(std::max(rank, 0)));
        if (rank > 0) H5Sget_simple_extent_dims(space, size.data(), nullptr);
        uint64_t bytes = H5Tget_size(type);
        for (const hsize_t n : size)
            if (__builtin_mul_overflow(bytes, uint64_t(n), &bytes)) return UINT64_MAX;
        return bytes;
    }

    void attributes(hid_t object, const std::string& name) {
        H5O_info_t info{};
        check(H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS), "cannot read its attributes", at(name));
        if (info.num_attrs > 1000) refuse("it has too many attributes", at(name));
        for (hsize_t i = 0; i < info.num_attrs; ++i) {
            const Id a(H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT),
                       "cannot open an attribute", at(name));
            const Id t(H5Aget_type(a.get()), "cannot read an attribute", at(name));
            const Id space(H5Aget_space(a.get()), "cannot read an attribute", at(name));
            type(t.get(), name + " (attribute)");
            if (claimed(space.get(), t.get()) > std::min(kMaxAttribute, limit_))
                refuse("an attribute claims an absurd size", at(name));
        }
    }

    void dataset(hid_t dataset, const std::string& name) {
        visit_once(dataset, name);
        attributes(dataset, name);
        const Id create(H5Dget_create_plist(dataset), "cannot read the dataset", at(name));
        if (H5Pget_external_count(create.get()) != 0)
            refuse("its data lie in another file (external storage)", at(name));
        const H5D_layout_t layout = H5Pget_layout(create.get());
        if (layout == H5D_VIRTUAL) refuse("it is a virtual dataset; its data lie in other files", at(name));
        const int filters = H5Pget_nfilters(create.get());
        for (int i = 0; i < filters; ++i) {
            unsigned flags = 0, config = 0;
            size_t values = 0;
            char label[64];
            const H5Z_filter_t filter = H5Pget_filter2(create.get(), unsigned(i), &flags, &values, nullptr,
                                                       sizeof label, label, &config);
            if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_DEFLATE &&
                filter != H5Z_FILTER_FLETCHER32)
                refuse("it uses filter " + std::to_string(int(filter)) + ", which a session does not",
                       at(name));
        }
        const Id t(H5Dget_type(dataset), "cannot read the dataset's type", at(name));
        type(t.get(), name);
        const Id space(H5Dget_space(dataset), "cannot read the dataset's shape", at(name));
        const uint64_t bytes = claimed(space.get(), t.get());
        if (bytes > limit_)
            refuse("it claims " + std::to_string(bytes) + " bytes, more than the file can hold", at(name));
        if (layout == H5D_CHUNKED) {
            hsize_t chunk[H5S_MAX_RANK];
            const int rank = H5Pget_chunk(create.get(), H5S_MAX_RANK, chunk);
            uint64_t chunk_bytes = H5Tget_size(t.get());
            for (int i = 0; i < rank; ++i)
                if (__builtin_mul_overflow(chunk_bytes, uint64_t(chunk[i]), &chunk_bytes) ||
                    chunk_bytes > (256u << 20))
                    refuse("its chunks claim an absurd size", at(name));
        }
    }

    std::string path_;
    uint64_t limit_;
    std::set<haddr_t> seen_;
};

// Why a file is none, in words that help; what HDF5 says of it is left for what is not named here.
void explain(const std::string& path) {
    const auto told = [&](const char* what, const std::string& remedy) {
        throw Failure(Error{ErrorKind::usage, what, path, remedy});
    };
    std::error_code code;
    if (std::filesystem::is_directory(path, code)) told("is a folder, no session", "name the file in it");
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    char head[8] = {};
    if (!file.is_open()) {
        if (errno == EACCES) told("may not be read by you", "ask its owner for the right to read it");
        return;
    }
    file.read(head, sizeof head);
    const bool journalled = std::filesystem::exists(path + ".journal", code);
    if (file.gcount() == 0)
        told("is empty", journalled ? "run: lockstep session repair " + path : "copy it once more");
    if (std::memcmp(head, "\x89HDF\r\n\x1a\n", sizeof head) != 0)
        told("is no session and no HDF5 file",
             "another tool's recording becomes a session with: lockstep session import");
}

}  // namespace

Id open_file(const std::string& path) {
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) explain(path);
    try {
        return Id(file, "cannot open it as HDF5", path);
    } catch (Failure& failure) {
        Error& error = failure.error;
        error.kind = ErrorKind::usage;
        if (error.what.find("truncated file") != std::string::npos) {
            error.what = "is cut off: not all of the file is there";
            error.remedy = "copy it once more";
        } else if (error.what.find(std::strerror(EAGAIN)) != std::string::npos) {
            error.what = "another program is writing it";
            error.remedy = "finish the recording first";
        }
        throw;
    }
}

int descriptor(hid_t file) {
    void* handle = nullptr;
    if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0 || handle == nullptr) return -1;
    return *static_cast<int*>(handle);
}

uint64_t allocated_bytes(hid_t file) {
    hsize_t bytes = 0;
    check(H5Fget_filesize(file, &bytes), "cannot read the file's size");
    return bytes;
}

bool has(hid_t parent, const std::string& name) {
    return H5Lexists(parent, name.c_str(), H5P_DEFAULT) > 0;
}

Id open_group(hid_t parent, const std::string& name) {
    return Id(H5Gopen2(parent, name.c_str(), H5P_DEFAULT), "cannot open the group " + name);
}

Id open_dataset(hid_t parent, const std::string& name) {
    return Id(H5Dopen2(parent, name.c_str(), H5P_DEFAULT), "cannot open the dataset " + name);
}

std::vector<std::string> children(hid_t group) {
    std::vector<std::string> names;
    H5G_info_t info{};
    check(H5Gget_info(group, &info), "cannot read a group");
    for (hsize_t i = 0; i < info.nlinks; ++i) {
        char name[256];
        const ssize_t n =
            H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        if (n > 0 && size_t(n) < sizeof name) names.emplace_back(name);
    }
    return names;
}

std::vector<uint64_t> dimensions(hid_t dataset) {
    const Id space(H5Dget_space(dataset), "cannot read a shape");
    const int rank = H5Sget_simple_extent_ndims(space.get());
    std::vector<hsize_t> size(size_t(std::max(rank, 0)));
    if (rank > 0) H5Sget_simple_extent_dims(space.get(), size.data(), nullptr);
    return {size.begin(), size.end()};
}

bool has_attribute(hid_t object, const std::string& name) {
    return H5Aexists(object, name.c_str()) > 0;
}

std::string read_text_attribute(hid_t object, const std::string& name, const std::string& fallback) {
    if (!has_attribute(object, name)) return fallback;
    const Id a(H5Aopen(object, name.c_str(), H5P_DEFAULT), "cannot read the attribute " + name);
    const Id type(H5Aget_type(a.get()), "cannot read the attribute " + name);
    const Id space(H5Aget_space(a.get()), "cannot read the attribute " + name);
    if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
        H5Sget_simple_extent_npoints(space.get()) != 1)
        refuse("the attribute " + name + " is not a fixed-length text", {});
    std::string text(H5Tget_size(type.get()), '\0');
    check(H5Aread(a.get(), type.get(), text.data()), "cannot read the attribute " + name);
    return text.substr(0, text.find('\0'));
}

void read_attribute(hid_t object, const std::string& name, hid_t type, void* data, size_t count) {
    const Id a(H5Aopen(object, name.c_str(), H5P_DEFAULT), "cannot read the attribute " + name);
    const Id space(H5Aget_space(a.get()), "cannot read the attribute " + name);
    if (H5Sget_simple_extent_npoints(space.get()) != hssize_t(count))
        refuse("the attribute " + name + " has another size", {});
    const Id own(H5Aget_type(a.get()), "cannot read the attribute " + name);
    const H5T_class_t kind = H5Tget_class(own.get());
    if (kind != H5T_INTEGER && kind != H5T_FLOAT && kind != H5T_ENUM)
        refuse("the attribute " + name + " is not a number", {});
    check(H5Aread(a.get(), type, data), "cannot read the attribute " + name);
}

size_t attribute_size(hid_t object, const std::string& name) {
    if (!has_attribute(object, name)) return 0;
    const Id a(H5Aopen(object, name.c_str(), H5P_DEFAULT), "cannot read the attribute " + name);
    const Id space(H5Aget_space(a.get()), "cannot read the attribute " + name);
    const hssize_t n = H5Sget_simple_extent_npoints(space.get());
    return n < 0 ? 0 : size_t(n);
}

std::string read_text(hid_t group, const std::string& name) {
    const Id dataset = open_dataset(group, name);
    const Id type(H5Dget_type(dataset.get()), "cannot read " + name);
    const Id space(H5Dget_space(dataset.get()), "cannot read " + name);
    if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
        H5Sget_simple_extent_npoints(space.get()) != 1)
        refuse(name + " is not a fixed-length text", {});
    std::string text(H5Tget_size(type.get()), '\0');
    check(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()),
          "cannot read " + name);
    return text.substr(0, text.find('\0'));
}

void read_rows(hid_t dataset, hid_t type, uint64_t first, uint64_t count, void* out) {
    if (count == 0) return;
    const Id space(H5Dget_space(dataset), "cannot read a dataset");
    const std::vector<uint64_t> size = dimensions(dataset);
    if (size.empty() || first > size[0] || count > size[0] - first)
        refuse("rows past the end of a dataset", {});
    std::vector<hsize_t> start(size.size(), 0), extent(size.begin(), size.end());
    start[0] = first;
    extent[0] = count;
    check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr),
          "cannot select rows");
    const Id memory(H5Screate_simple(int(extent.size()), extent.data(), nullptr), "cannot select rows");
    check(H5Dread(dataset, type, memory.get(), space.get(), H5P_DEFAULT, out), "cannot read rows");
}

Table::Table(hid_t group, const std::string& name) : where_(name) {
    const Id dataset = open_dataset(group, name);
    type_ = Id(H5Dget_type(dataset.get()), "cannot read " + name);
    if (H5Tget_class(type_.get()) != H5T_COMPOUND) refuse(name + " is not a table", {});
    const auto size = dimensions(dataset.get());
    if (size.size() != 1) refuse(name + " is not a table", {});
    rows_ = size_t(size[0]);
    row_bytes_ = H5Tget_size(type_.get());
    if (rows_ > (2ull << 30) / row_bytes_) refuse(name + " is absurdly large", {});
    bytes_.resize(rows_ * row_bytes_);
    read_rows(dataset.get(), type_.get(), 0, rows_, bytes_.data());
}

void Table::fetch(size_t row, const std::string& name, hid_t type, size_t size, void* out) const {
    const int index = H5Tget_member_index(type_.get(), name.c_str());
    if (index < 0) refuse("the table " + where_ + " has no column " + name, {});
    const Id member(H5Tget_member_type(type_.get(), unsigned(index)), "cannot read " + where_);
    if (H5Tequal(member.get(), type) <= 0)
        refuse("column " + name + " of " + where_ + " has another type", {});
    memcpy(out, bytes_.data() + row * row_bytes_ + H5Tget_member_offset(type_.get(), unsigned(index)), size);
}

std::string Table::text(size_t row, const std::string& name) const {
    const int index = H5Tget_member_index(type_.get(), name.c_str());
    if (index < 0) refuse("the table " + where_ + " has no column " + name, {});
    const Id member(H5Tget_member_type(type_.get(), unsigned(index)), "cannot read " + where_);
    if (H5Tget_class(member.get()) != H5T_STRING || H5Tis_variable_str(member.get()) != 0)
        refuse("column " + name + " of " + where_ + " is not a text", {});
    const auto* at = reinterpret_cast<const char*>(bytes_.data() + row * row_bytes_ +
                                                   H5Tget_member_offset(type_.get(), unsigned(index)));
    return std::string(at, strnlen(at, H5Tget_size(member.get())));
}

void check_structure(hid_t file, const std::string& path) {
    hsize_t bytes = 0;
    check(H5Fget_filesize(file, &bytes), "cannot read the file", path);
    const Id root = open_group(file, "/");
    Walk(path, bytes).group(root.get(), "", 0);
}

}  // namespace lockstep::storage::h5
