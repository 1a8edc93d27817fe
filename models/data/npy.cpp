#include "models/data/npy.h"

#include <cstring>
#include <fstream>
#include <iterator>

namespace lockstep {
namespace {

constexpr size_t kMaxFile = size_t(1) << 30;

template <typename T>
T load(const uint8_t* at) {
    T v;
    memcpy(&v, at, sizeof(T));
    return v;
}

template <typename T>
void convert(const uint8_t* data, std::vector<float>* out) {
    for (size_t i = 0; i < out->size(); ++i)
        (*out)[i] = float(load<T>(data + i * sizeof(T)));
}

// The text behind 'key': in the header, which is a Python dictionary.
std::string field(const std::string& header, const std::string& key) {
    const size_t at = header.find("'" + key + "'");
    if (at == std::string::npos) return {};
    size_t begin = header.find(':', at);
    if (begin == std::string::npos) return {};
    begin = header.find_first_not_of(' ', begin + 1);
    if (begin == std::string::npos) return {};
    const bool tuple = header[begin] == '(';
    const size_t end = tuple ? header.find(')', begin) : header.find_first_of(",}", begin);
    return end == std::string::npos ? std::string() : header.substr(begin, end - begin);
}

Result<NpyArray> parse(const uint8_t* data, size_t size, const std::string& where) {
    const auto bad = [&](const char* what) { return fail(ErrorKind::usage, what, where); };
    if (size < 12 || memcmp(data, "\x93NUMPY", 6) != 0) return bad("not a NumPy array");
    const size_t length_bytes = data[6] == 1 ? 2 : 4;
    const size_t header_size = length_bytes == 2 ? load<uint16_t>(data + 8) : load<uint32_t>(data + 8);
    const size_t start = 8 + length_bytes;
    if (header_size > size - start) return bad("the array's header is cut short");
    const std::string header(reinterpret_cast<const char*>(data + start), header_size);
    if (field(header, "fortran_order") != "False") return bad("only arrays in C order can be read");
    std::string type = field(header, "descr");
    if (type.size() < 5) return bad("the array has no element type");
    type = type.substr(1, type.size() - 2);

    NpyArray out;
    size_t count = 1;
    const std::string shape = field(header, "shape");
    for (size_t i = 1; i < shape.size();) {
        if (shape[i] < '0' || shape[i] > '9') {
            ++i;
            continue;
        }
        size_t d = 0;
        for (; i < shape.size() && shape[i] >= '0' && shape[i] <= '9'; ++i) {
            d = d * 10 + size_t(shape[i] - '0');
            if (d > kMaxFile) return bad("the array's shape is out of range");
        }
        out.shape.push_back(d);
        count *= d;
        if (out.shape.size() > 8 || count > kMaxFile) return bad("the array's shape is out of range");
    }
    const size_t element = type == "<f4" || type == "<i4"   ? 4
                           : type == "<f8" || type == "<i8" ? 8
                           : type == "<i2"                  ? 2
                           : type == "|i1"                  ? 1
                                                            : 0;
    if (element == 0) return bad("the array's element type is not supported; save it as float32");
    const uint8_t* values = data + start + header_size;
    if (count * element != size - start - header_size) return bad("the array's data does not fit its shape");
    out.values.resize(count);
    if (type == "<f4") convert<float>(values, &out.values);
    if (type == "<f8") convert<double>(values, &out.values);
    if (type == "<i1" || type == "|i1") convert<int8_t>(values, &out.values);
    if (type == "<i2") convert<int16_t>(values, &out.values);
    if (type == "<i4") convert<int32_t>(values, &out.values);
    if (type == "<i8") convert<int64_t>(values, &out.values);
    return out;
}

// Walks the ZIP's central directory; an .npz is one with members NAME.npy.
Result<NpyArray> parse_zip(const std::vector<uint8_t>& file, const std::string& member,
                           const std::string& where) {
    const auto bad = [&](const std::string& what) { return fail(ErrorKind::usage, what, where); };
    constexpr size_t kEndSize = 22, kEntrySize = 46, kLocalSize = 30;
    if (file.size() < kEndSize) return bad("not a whole .npz file");
    size_t end = file.size() - kEndSize + 1;
    while (end-- > 0)
        if (load<uint32_t>(&file[end]) == 0x06054b50u) break;
    if (end == SIZE_MAX) return bad("not a whole .npz file");
    const size_t entries = load<uint16_t>(&file[end + 10]);
    size_t at = load<uint32_t>(&file[end + 16]);
    for (size_t i = 0; i < entries; ++i) {
        if (at > file.size() || file.size() - at < kEntrySize || load<uint32_t>(&file[at]) != 0x02014b50u)
            return bad("the .npz file's directory is damaged");
        const size_t method = load<uint16_t>(&file[at + 10]), size = load<uint32_t>(&file[at + 20]);
        const size_t name_size = load<uint16_t>(&file[at + 28]);
        const size_t skip = name_size + load<uint16_t>(&file[at + 30]) + load<uint16_t>(&file[at + 32]);
        const size_t local = load<uint32_t>(&file[at + 42]);
        if (file.size() - at - kEntrySize < skip) return bad("the .npz file's directory is damaged");
        const std::string name(reinterpret_cast<const char*>(&file[at + kEntrySize]), name_size);
        at += kEntrySize + skip;
        if (!(member.empty() && entries == 1) && name != member + ".npy") continue;
        if (method != 0) return bad("a compressed .npz; write it with numpy.savez");
        if (local > file.size() || file.size() - local < kLocalSize) return bad("the .npz file is damaged");
        const size_t data =
            local + kLocalSize + load<uint16_t>(&file[local + 26]) + load<uint16_t>(&file[local + 28]);
        if (data > file.size() || file.size() - data < size) return bad("the .npz file is cut short");
        return parse(file.data() + data, size, where + ": " + name);
    }
    return bad("no array \"" + member + "\" in it");
}

}  // namespace

Result<NpyArray> read_npy(const std::string& path, const std::string& member) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    if (!in) return fail(ErrorKind::usage, "cannot open the file", path);
    const auto size = in.tellg();
    if (size < 0 || size_t(size) > kMaxFile) return fail(ErrorKind::usage, "the file is too large", path);
    std::vector<uint8_t> file(static_cast<size_t>(size));
    in.seekg(0);
    if (!in.read(reinterpret_cast<char*>(file.data()), size))
        return fail(ErrorKind::system, "cannot read it", path);
    if (file.size() >= 4 && memcmp(file.data(), "PK\x03\x04", 4) == 0) return parse_zip(file, member, path);
    return parse(file.data(), file.size(), path);
}

}  // namespace lockstep
