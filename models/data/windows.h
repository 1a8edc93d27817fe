// Windows of data for a model: to calibrate it, to run it, to judge it. From a training dataset
// (docs/exports.md) or NumPy files; app/ makes them from sessions. Any thread; the files are untrusted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep {

struct WindowSet {
    std::vector<size_t> shape;  // of one window, as the source has it
    std::vector<float> values;  // [count][shape], physical units or what the model takes
    size_t count = 0;
    std::vector<int32_t> labels;       // one a window, or none at all; -1 = this one has none
    std::vector<std::string> classes;  // names of the labels, may be empty
    std::vector<std::string> people;   // one a window, or none at all
    bool time_first = false;           // [time, channels]; NumPy files have the model's own order
    bool filtered = false;             // by the plan's own filters
    bool session = false;              // cut from a session
    std::string source;                // for messages
    std::string sha256;                // of the file, 64 hex digits
    std::string part;                  // of a dataset with a split: "train", "val", "test", or "all"

    size_t elements() const { return count == 0 ? 0 : values.size() / count; }
};

// .npy: windows [n, ...]. .npz (numpy.savez): "x", "X" or "inputs" or its only array; labels "y" or
// "labels" [n]; people "subject" or "groups" [n], numbers. .h5: a training dataset, of which `part` is
// taken: "train", "val", "test", "all"; "" = all.
Result<WindowSet> read_windows(const std::string& path, const std::string& part = {});

std::string file_hash(const std::string& path);  // SHA-256, 64 hex digits; "" when it cannot be read

}  // namespace lockstep
