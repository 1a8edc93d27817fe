// How a channel's values become the whole numbers of an EDF or BDF file, and the range that its header
// names. The header has 8 characters for a limit, so limits are numbers that 8 characters hold exactly.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "storage/formats/samples.h"

namespace lockstep::storage {

struct EdfScaling {
    bool lossless = true;  // digit = count - middle; otherwise rounded from the physical value
    double middle = 0;
    double factor = 1;  // file's unit per channel's unit: 1000 when V are written as mV
    std::string unit;   // of the file
    int digital_min = 0;
    int digital_max = 0;
    double low = 0;  // physical values of the digital limits
    double high = 0;
    double step() const { return (high - low) / (double(digital_max) - double(digital_min)); }
    // `hold` where the value is not finite.
    int digit(const ChannelInfo& channel, double value, int hold) const;
};

// What a count stands for before the channel's scale: bits of a float32 stream are its value.
double edf_number(const StreamInfo& info, int32_t count);

struct EdfStream {
    std::vector<EdfScaling> channels;
    std::vector<std::pair<uint64_t, uint64_t>> invalid;  // rows [first, last) with a value that is no number
};

// Reads the stream once when its values may not fit the file's digits as they are. Error when a channel's
// range does not fit the header.
Result<EdfStream> edf_scaling(SessionReader& session, int stream, bool bdf);

// `value` as edflib is to be told it, so that it prints it whole (it cuts where it should round).
double edf_header_value(double value);

}  // namespace lockstep::storage
