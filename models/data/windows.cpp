#include "models/data/windows.h"

#include <sodium.h>

#include <cmath>
#include <fstream>

#include "models/data/dataset_file.h"
#include "models/data/npy.h"

namespace lockstep {
namespace {

// The first of the members that the file has.
Result<NpyArray> member_of(const std::string& path, std::initializer_list<const char*> names) {
    Result<NpyArray> array = read_npy(path, *names.begin());
    for (const char* name : names) {
        if (array) break;
        array = read_npy(path, name);
    }
    return array;
}

Result<WindowSet> read_numpy(const std::string& path) {
    auto x = member_of(path, {"x", "X", "inputs"});
    if (!x) x = read_npy(path);
    if (!x) return tl::make_unexpected(x.error());
    if (x->shape.size() < 2 || x->values.empty())
        return fail(ErrorKind::usage, "the array is not [windows, ...]", path);
    WindowSet set;
    set.count = x->shape[0];
    set.shape.assign(x->shape.begin() + 1, x->shape.end());
    set.values = std::move(x->values);
    set.part = "all";
    if (path.size() < 4 || path.compare(path.size() - 4, 4, ".npz") != 0) return set;
    if (const auto y = member_of(path, {"y", "labels"})) {
        if (y->shape.size() != 1 || y->values.size() != set.count)
            return fail(ErrorKind::usage, "the labels do not fit the windows", path);
        for (const float v : y->values) {
            if (!(v >= -1 && v < 65536) || v != std::floor(v))
                return fail(ErrorKind::usage, "a label is no class number from 0 on", path);
            set.labels.push_back(int32_t(v));
        }
    }
    if (const auto people = member_of(path, {"subject", "groups"})) {
        if (people->shape.size() != 1 || people->values.size() != set.count)
            return fail(ErrorKind::usage, "the subjects do not fit the windows", path);
        for (const float v : people->values)
            set.people.push_back(std::isfinite(v) && std::fabs(v) < 1e9f ? std::to_string(int64_t(v)) : "?");
    }
    return set;
}

}  // namespace

std::string file_hash(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return {};
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    std::vector<char> block(1 << 16);
    while (in.read(block.data(), std::streamsize(block.size())) || in.gcount() > 0)
        crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(block.data()),
                                  static_cast<unsigned long long>(in.gcount()));
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&state, digest);
    char hex[2 * sizeof digest + 1];
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    return hex;
}

Result<WindowSet> read_windows(const std::string& path, const std::string& part) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return fail(ErrorKind::usage, "cannot open the file", path, "check the path");
    char magic[8] = {};
    in.read(magic, sizeof magic);
    in.close();
    const bool hdf5 = std::string(magic, 4) == "\x89HDF";
    if (!hdf5 && !part.empty() && part != "all")
        return fail(ErrorKind::usage, "only a training dataset has parts", path, "leave out --part");
    auto set = hdf5 ? read_dataset(path, part) : read_numpy(path);
    if (!set) return set;
    set->source = path;
    set->sha256 = file_hash(path);
    return set;
}

}  // namespace lockstep
