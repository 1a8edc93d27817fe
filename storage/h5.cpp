#include "storage/h5.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "dsp/base/crc32c.h"
#include "storage/file.h"
#include "storage/pack.h"

namespace lockstep::storage::h5 {
namespace {

constexpr int kDeflateLevel = 4;
constexpr uint32_t kNoFilter = 3;  // neither shuffle nor deflate

// HDF5's own sentence about the operating system holds dates, addresses and line breaks: only its number
// counts.
int system_code(const std::string& message) {
    const size_t at = message.find("errno = ");
    return at == std::string::npos ? 0 : std::atoi(message.c_str() + at + 8);
}

// The innermost message of HDF5's error stack, where the cause is.
std::string last_message() {
    std::string text;
    H5Ewalk2(
        H5E_DEFAULT, H5E_WALK_DOWNWARD,
        [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
            if (error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
            return 0;
        },
        &text);
    return text;
}

[[noreturn]] void fail_with_cause(const std::string& what, const std::string& where) {
    const std::string cause = last_message();
    if (const int code = system_code(cause); code != 0) throw Failure(system_error(what, where, code));
    throw Failure(Error{ErrorKind::system, cause.empty() ? what : what + " (" + cause + ")", where, {}});
}

}  // namespace

void refuse(const std::string& what, const std::string& where, ErrorKind kind) {
    throw Failure(Error{kind, what, where, {}});
}

std::unique_lock<std::recursive_mutex> lock() {
    static std::recursive_mutex mutex;
    static const bool quiet = [] {
        H5dont_atexit();
        return true;
    }();
    (void)quiet;
    std::unique_lock<std::recursive_mutex> held(mutex);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // per thread in a thread-safe HDF5
    return held;
}

Id::Id(hid_t id, const std::string& what, const std::string& where) : id_(id) {
    if (id < 0) fail_with_cause(what, where);
}

void Id::reset() {
    if (id_ >= 0) {
        const auto held = lock();
        H5Idec_ref(id_);
    }
    id_ = -1;
}

void check(herr_t status, const std::string& what, const std::string& where) {
    if (status < 0) fail_with_cause(what, where);
}

Id text_type(size_t bytes) {
    Id type(H5Tcopy(H5T_C_S1), "cannot make a string type");
    check(H5Tset_size(type.get(), std::max<size_t>(bytes, 1)), "cannot make a string type");
    check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "cannot make a string type");
    check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "cannot make a string type");
    return type;
}

Id compound(const std::vector<Column>& columns, size_t size) {
    Id type(H5Tcreate(H5T_COMPOUND, size), "cannot make a table type");
    for (const Column& c : columns) {
        Id member;
        if (c.text != 0) {
            member = text_type(c.text);
        } else if (c.count != 1) {
            const hsize_t n = c.count;
            member = Id(H5Tarray_create2(c.base, 1, &n), "cannot make an array type");
        } else {
            member = Id(H5Tcopy(c.base), "cannot make a number type");
        }
        check(H5Tinsert(type.get(), c.name, c.offset, member.get()), "cannot make a table type");
    }
    return type;
}

std::string clean(const std::string& text) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
        const auto c = uint8_t(text[i]);
        const size_t n = c < 0x80             ? 1
                         : (c & 0xE0) == 0xC0 ? 2
                         : (c & 0xF0) == 0xE0 ? 3
                         : (c & 0xF8) == 0xF0 ? 4
                                              : 0;
        bool good = n != 0 && c != 0 && i + n <= text.size();
        uint32_t code = n == 1 ? c : n == 0 ? 0 : c & (0x7Fu >> n);
        for (size_t k = 1; good && k < n; ++k) {
            good = (uint8_t(text[i + k]) & 0xC0) == 0x80;
            code = code << 6 | (uint8_t(text[i + k]) & 0x3F);
        }
        const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        good = good && code >= least[n] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        if (good) {
            out.append(text, i, n);
            i += n;
        } else {
            out.push_back('?');
            ++i;
        }
    }
    return out;
}

Id create_file(const std::string& path) {
    const Id access(H5Pcreate(H5P_FILE_ACCESS), "cannot set up HDF5");
    check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110), "cannot set up HDF5");
    return Id(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get()), "cannot create the file",
              path);
}

Id create_group(hid_t parent, const std::string& name) {
    return Id(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
              "cannot create a group", name);
}

void write_attribute(hid_t object, const std::string& name, hid_t type, const void* data, size_t count,
                     bool scalar) {
    const hsize_t n = count;
    const Id space(scalar   ? H5Screate(H5S_SCALAR)
                   : n == 0 ? H5Screate(H5S_NULL)
                            : H5Screate_simple(1, &n, nullptr),
                   "cannot write an attribute", name);
    if (H5Aexists(object, name.c_str()) > 0)
        check(H5Adelete(object, name.c_str()), "cannot replace an attribute", name);
    const Id attribute(H5Acreate2(object, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                       "cannot write an attribute", name);
    if (count != 0) check(H5Awrite(attribute.get(), type, data), "cannot write an attribute", name);
}

void write_attribute(hid_t object, const std::string& name, const std::string& text) {
    std::string bytes = clean(text);
    const Id type = text_type(bytes.size());
    bytes.resize(std::max<size_t>(bytes.size(), 1));
    write_attribute(object, name, type.get(), bytes.data(), 1, true);
}

void write_text(hid_t group, const std::string& name, const std::string& text) {
    std::string bytes = clean(text);
    const Id type = text_type(bytes.size());
    bytes.resize(std::max<size_t>(bytes.size(), 1));
    const Id space(H5Screate(H5S_SCALAR), "cannot write a text", name);
    const Id dataset(
        H5Dcreate2(group, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
        "cannot write a text", name);
    check(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()),
          "cannot write a text", name);
}

Grower::Grower(hid_t group, const std::string& name, hid_t type, const Shape& shape)
    : name_(name), shape_(shape) {
    type_size_ = H5Tget_size(type);
    row_bytes_ = type_size_ * std::max<size_t>(shape.inner, 1);
    const size_t planes = std::max<size_t>(shape.planes, 1);
    pending_.resize(planes);
    written_.resize(planes);
    crc_.resize(planes);

    hsize_t size[3] = {0}, most[3] = {H5S_UNLIMITED}, chunk[3] = {shape.chunk_rows};
    int rank = 1;
    if (shape.planes != 0) {
        size[rank] = most[rank] = shape.planes;
        chunk[rank++] = 1;
    }
    if (shape.inner != 0) {
        size[rank] = most[rank] = chunk[rank] = shape.inner;
        ++rank;
    }
    const Id space(H5Screate_simple(rank, size, most), "cannot create a dataset", name);
    const Id create(H5Pcreate(H5P_DATASET_CREATE), "cannot create a dataset", name);
    check(H5Pset_chunk(create.get(), rank, chunk), "cannot create a dataset", name);
    check(H5Pset_shuffle(create.get()), "cannot create a dataset", name);
    check(H5Pset_deflate(create.get(), kDeflateLevel), "cannot create a dataset", name);
    // Chunks are always written by us: none is to be filled beforehand.
    check(H5Pset_fill_time(create.get(), H5D_FILL_TIME_NEVER), "cannot create a dataset", name);
    dataset_ = Id(H5Dcreate2(group, name.c_str(), type, space.get(), H5P_DEFAULT, create.get(), H5P_DEFAULT),
                  "cannot create a dataset", name);
}

void Grower::append(size_t plane, const void* row) {
    auto& pending = pending_[plane];
    const auto* bytes = static_cast<const uint8_t*>(row);
    pending.insert(pending.end(), bytes, bytes + row_bytes_);
    if (plane == 0) ++rows_;
    if (pending.size() == shape_.chunk_rows * row_bytes_) write_chunk(plane);
}

void Grower::write_chunk(size_t plane) {
    auto& pending = pending_[plane];
    const size_t rows = pending.size() / row_bytes_;
    if (rows == 0) return;
    crc_[plane] = crc32c(Bytes(pending.data(), pending.size()), crc_[plane]);
    pending.resize(shape_.chunk_rows * row_bytes_);  // the tail of the last chunk is zero

    const bool plain = !shape_.packed && rows == shape_.chunk_rows;
    std::vector<uint8_t> packed;
    if (!plain && !pack(Bytes(pending.data(), pending.size()), type_size_, &packed))
        refuse("cannot compress", name_, ErrorKind::system);

    // The tail's extent is exact at once: cutting it later would make HDF5 rewrite the chunk.
    if (written_[plane] + rows > extent_) {
        extent_ = written_[plane] + rows;
        hsize_t extent[3] = {extent_};
        int rank = 1;
        if (shape_.planes != 0) extent[rank++] = shape_.planes;
        if (shape_.inner != 0) extent[rank++] = shape_.inner;
        check(H5Dset_extent(dataset_.get(), extent), "cannot grow a dataset", name_);
    }
    const hsize_t offset[3] = {written_[plane], shape_.planes != 0 ? plane : 0, 0};
    const std::vector<uint8_t>& stored = plain ? pending : packed;
    check(H5Dwrite_chunk(dataset_.get(), H5P_DEFAULT, plain ? kNoFilter : 0, offset, stored.size(),
                         stored.data()),
          "cannot write", name_);
    bytes_ += stored.size();
    written_[plane] += rows;
    pending.clear();
}

uint64_t Grower::pending_bytes() const {
    uint64_t total = 0;
    for (const auto& pending : pending_)
        if (!pending.empty()) total += pending.size() + 64;
    return total;
}

void Grower::close() {
    if (!dataset_) return;
    for (size_t plane = 0; plane < pending_.size(); ++plane)
        write_chunk(plane);
    write_numbers(dataset_.get(), "crc32c", crc_);
    dataset_.reset();
}

void write_table(hid_t group, const std::string& name, const std::vector<Column>& columns, size_t row_bytes,
                 const void* rows, size_t count, const std::vector<TextColumn>& texts) {
    std::vector<Column> all = columns;
    std::vector<std::vector<std::string>> cleaned;
    size_t size = row_bytes;
    for (const TextColumn& t : texts) {
        size_t width = 1;
        cleaned.emplace_back();
        for (const std::string& s : t.texts) {
            cleaned.back().push_back(clean(s));
            width = std::max(width, cleaned.back().back().size());
        }
        all.push_back({t.name.c_str(), size, -1, width, 1});
        size += width;
    }
    const Id type = compound(all, size);
    Grower out(group, name, type.get(), {0, 0, std::clamp<size_t>(count, 1, 4096)});
    std::vector<uint8_t> row(size);
    for (size_t i = 0; i < count; ++i) {
        if (row_bytes != 0) memcpy(row.data(), static_cast<const uint8_t*>(rows) + i * row_bytes, row_bytes);
        std::fill(row.begin() + ptrdiff_t(row_bytes), row.end(), uint8_t(0));
        for (size_t k = 0; k < texts.size(); ++k)
            memcpy(row.data() + all[columns.size() + k].offset, cleaned[k][i].data(), cleaned[k][i].size());
        out.append(row.data());
    }
    out.close();
}

}  // namespace lockstep::storage::h5
