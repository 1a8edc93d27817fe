#include "devices/describe.h"

#include <algorithm>
#include <cstdio>
#include <set>

namespace lockstep {
namespace {

std::string hex(Bytes bytes) {
    std::string out;
    char digits[3];
    for (const uint8_t b : bytes) {
        std::snprintf(digits, sizeof digits, "%02x", b);
        out += digits;
    }
    return out;
}

const char* cause_name(wire::ResetCause cause) {
    switch (cause) {
        case wire::ResetCause::power_on:
            return "power on";
        case wire::ResetCause::software:
            return "software";
        case wire::ResetCause::watchdog:
            return "watchdog";
        case wire::ResetCause::external:
            return "external";
        case wire::ResetCause::unknown:
            break;
    }
    return "unknown";
}

// Names become paths in files and words on the screen.
bool usable_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." &&
           std::none_of(name.begin(), name.end(),
                        [](unsigned char c) { return c < ' ' || c == 127 || c == '/'; });
}

}  // namespace

Result<DeviceInfo> describe_device(const std::string& uri, const wire::Hello& hello,
                                   const std::vector<DescribedStream>& streams,
                                   const std::vector<wire::ModelDescription>& models) {
    const auto refuse = [&](const std::string& why) {
        return fail(ErrorKind::device, "the board's self-description is refused: " + why, uri,
                    "update its firmware");
    };
    DeviceInfo info;
    info.uri = uri;
    info.board = hello.board;
    info.firmware = hello.firmware;
    info.build_id = hex(Bytes(hello.build_id));
    info.boot_id = hello.boot_id;
    info.reset_cause = cause_name(hello.reset_cause);
    std::set<std::string> names;
    for (const DescribedStream& d : streams) {
        StreamInfo s;
        s.name = d.stream.name;
        s.kind = d.stream.kind;
        s.type = d.stream.type;
        s.rate_num = d.stream.rate_num;
        s.rate_den = d.stream.rate_den;
        s.batch = d.stream.batch;
        s.enabled = d.stream.enabled;
        if (!usable_name(s.name)) return refuse("a stream's name is empty or holds control characters");
        if (!names.insert(s.name).second) return refuse("two streams are called '" + s.name + "'");
        std::set<std::string> channel_names;
        for (const wire::ChannelDescription& c : d.channels) {
            if (!usable_name(c.name) || !channel_names.insert(c.name).second)
                return refuse("a channel of '" + s.name + "' has no name of its own");
            s.channels.push_back({c.name, c.unit, c.scale, c.offset});
        }
        info.streams.push_back(std::move(s));
    }
    for (const wire::ModelDescription& m : models) {
        auto model = describe_model(m, streams.size(), uri);
        if (!model) return tl::make_unexpected(model.error());
        info.models.push_back(std::move(*model));
    }
    return info;
}

Result<DeviceModel> describe_model(const wire::ModelDescription& m, size_t streams, const std::string& uri) {
    DeviceModel model{m.name, hex(Bytes(m.plan_id)), {}, m.active};
    for (size_t i = 0; i < m.inputs; ++i) {
        const bool bound = m.input_stream[i] != 255;
        if (bound && m.input_stream[i] >= streams)
            return fail(ErrorKind::device,
                        "the board's self-description is refused: model '" + model.name + "' reads stream " +
                            std::to_string(m.input_stream[i]) + ", which does not exist",
                        uri, "update its firmware");
        model.input_streams.push_back(bound ? m.input_stream[i] : -1);
    }
    return model;
}

bool same_meaning(const DeviceInfo& a, const DeviceInfo& b) {
    const auto same_channel = [](const ChannelInfo& x, const ChannelInfo& y) {
        return x.name == y.name && x.unit == y.unit && x.scale == y.scale && x.offset == y.offset;
    };
    const auto same_stream = [&](const StreamInfo& x, const StreamInfo& y) {
        return x.name == y.name && x.kind == y.kind && x.type == y.type && x.rate_num == y.rate_num &&
               x.rate_den == y.rate_den && x.enabled == y.enabled && x.channels.size() == y.channels.size() &&
               std::equal(x.channels.begin(), x.channels.end(), y.channels.begin(), same_channel);
    };
    const auto same_model = [](const DeviceModel& x, const DeviceModel& y) {
        return x.plan_id == y.plan_id && x.input_streams == y.input_streams && x.active == y.active;
    };
    return a.boot_id == b.boot_id && a.streams.size() == b.streams.size() &&
           std::equal(a.streams.begin(), a.streams.end(), b.streams.begin(), same_stream) &&
           a.models.size() == b.models.size() &&
           std::equal(a.models.begin(), a.models.end(), b.models.begin(), same_model);
}

}  // namespace lockstep
