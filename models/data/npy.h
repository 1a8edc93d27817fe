// Reads NumPy arrays: .npy, and arrays inside an .npz that numpy.savez wrote (uncompressed). Floats of
// 4 or 8 bytes and whole numbers, little-endian, C order; all become float32. Untrusted input.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep {

struct NpyArray {
    std::vector<size_t> shape;
    std::vector<float> values;
};

// `member` names the array of an .npz; it may be empty for a file that has only one.
Result<NpyArray> read_npy(const std::string& path, const std::string& member = {});

}  // namespace lockstep
