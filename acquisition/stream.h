// What a device says of itself, in desktop types. Identifiers:
//   device   index of a device in the session, in the order it joined
//   stream   index of a stream in the session, over all devices; names are unique in a session
//   segment  a run of one device between two resets of its counters (START, reboot, model change)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dsp/base/sample.h"

namespace lockstep {

struct ChannelInfo {
    std::string name;
    std::string unit;  // "uV", "g", "deg/s", "uS", "counts"
    float scale = 1;   // physical = count * scale + offset, in float32 as the shared core computes it
    float offset = 0;
};

struct StreamInfo {
    std::string name;  // "eeg"
    std::string kind;  // "eeg", "gsr", "imu", "ppg", ...
    SampleType type = SampleType::int16;
    uint32_t rate_num = 1;  // nominal rate in Hz = rate_num / rate_den
    uint32_t rate_den = 1;
    uint16_t batch = 1;
    bool enabled = true;
    std::vector<ChannelInfo> channels;

    double rate() const { return double(rate_num) / rate_den; }
};

// A model that runs on the device.
struct DeviceModel {
    std::string name;
    std::string plan_id;             // 64 hex digits, SHA-256 of the plan
    std::vector<int> input_streams;  // device-local stream index per input, -1 = unbound
    bool active = false;
};

struct DeviceInfo {
    std::string uri;
    std::string board;
    std::string firmware;
    std::string build_id;  // hex
    uint64_t boot_id = 0;
    std::string reset_cause;
    std::string serial;         // "" when the device has none
    bool verified_link = true;  // false: the device's protocol carries no checksum
    std::vector<StreamInfo> streams;
    std::vector<DeviceModel> models;
};

}  // namespace lockstep
