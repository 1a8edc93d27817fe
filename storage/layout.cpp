#include "storage/layout.h"

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

namespace lockstep::storage {

using h5::Column;
#define C(field) LOCKSTEP_COLUMN(Row, field)

const std::vector<Column>& columns(const BlockRow*) {
    using Row = BlockRow;
    static const std::vector<Column> all = {C(order),     C(row),     C(first),    C(count), C(segment),
                                            C(device_us), C(host_ns), C(sequence), C(flags)};
    return all;
}
const std::vector<Column>& columns(const GapRow*) {
    using Row = GapRow;
    static const std::vector<Column> all = {C(order),   C(row),   C(first),  C(missing),
                                            C(segment), C(cause), C(host_ns)};
    return all;
}
const std::vector<Column>& columns(const RunRow*) {
    using Row = RunRow;
    static const std::vector<Column> all = {C(row),     C(count), C(first),  C(device_us),
                                            C(host_ns), C(time),  C(segment)};
    return all;
}
const std::vector<Column>& columns(const ClockRow*) {
    using Row = ClockRow;
    static const std::vector<Column> all = {
        C(order),          C(device),     C(segment), C(sent_ns), C(device_received_us),
        C(device_sent_us), C(received_ns)};
    return all;
}
const std::vector<Column>& columns(const HealthRow*) {
    using Row = HealthRow;
    static const std::vector<Column> all = {
        C(order),           C(device),     C(host_ns),    C(uptime_us),  C(tx_queue_high),
        C(rx_queue_high),   C(stack_size), C(stack_high), C(bad_frames), C(late_samples),
        C(windows_skipped), C(streams),    C(produced),   C(dropped)};
    return all;
}
const std::vector<Column>& columns(const PredictionRow*) {
    using Row = PredictionRow;
    static const std::vector<Column> all = {C(order),   C(window),     C(segment),     C(model),
                                            C(plan_id), C(input_hash), C(output_hash), C(cost_kind),
                                            C(cost),    C(device_us),  C(host_ns)};
    return all;
}
const std::vector<Column>& columns(const VerdictRow*) {
    using Row = VerdictRow;
    static const std::vector<Column> all = {C(order),   C(segment),    C(model), C(window),
                                            C(verdict), C(difference), C(stage), C(reason)};
    return all;
}
const std::vector<Column>& columns(const LinkRow*) {
    using Row = LinkRow;
    static const std::vector<Column> all = {C(order), C(device), C(kind), C(count), C(host_ns)};
    return all;
}
const std::vector<Column>& columns(const MarkerRow*) {
    using Row = MarkerRow;
    static const std::vector<Column> all = {C(order), C(device), C(device_us), C(host_ns), C(code)};
    return all;
}
const std::vector<Column>& columns(const LabelRow*) {
    using Row = LabelRow;
    static const std::vector<Column> all = {C(id), C(start), C(stop), C(stream), C(channel), C(confidence)};
    return all;
}
#undef C

const std::vector<Column>& columns(const HistoryRow*) {
    using Row = HistoryRow;
    static const std::vector<Column> all = [] {
        std::vector<Column> c = {LOCKSTEP_COLUMN(Row, order), LOCKSTEP_COLUMN(Row, revision),
                                 LOCKSTEP_COLUMN(Row, operation), LOCKSTEP_COLUMN(Row, utc_ns)};
        static std::vector<std::string> names;  // Column keeps pointers
        names.reserve(2 * columns(static_cast<const LabelRow*>(nullptr)).size());
        for (const char* side : {"old_", "new_"}) {
            const size_t base = side[0] == 'o' ? offsetof(Row, before) : offsetof(Row, after);
            for (Column column : columns(static_cast<const LabelRow*>(nullptr))) {
                names.push_back(side + std::string(column.name));
                column.name = names.back().c_str();
                column.offset += base;
                c.push_back(column);
            }
        }
        return c;
    }();
    return all;
}

hid_t stored_type(SampleType type) {
    switch (type) {
        case SampleType::int16:
            return H5T_STD_I16LE;
        case SampleType::float32:
            return H5T_IEEE_F32LE;
        default:
            return H5T_STD_I32LE;
    }
}

std::string path_name(const std::string& name) {
    std::string out;
    for (const char c : h5::clean(name))
        out.push_back(c == '/' || uint8_t(c) < 0x20 ? '_' : c);
    if (out.size() > 100) out = h5::clean(out.substr(0, 100));
    if (out.empty() || out[0] == '.') out.insert(out.begin(), '_');
    return out;
}

std::string utc_text(int64_t utc_ns) {
    const int64_t us = utc_ns / 1000;
    const auto seconds = time_t(us >= 0 ? us / 1000000 : (us - 999999) / 1000000);
    tm parts{};
    gmtime_r(&seconds, &parts);
    char text[40], whole[64];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(whole, sizeof whole, "%s.%06dZ", text, int(us - int64_t(seconds) * 1000000));
    return whole;
}

namespace {
using nlohmann::json;
double finite(float v) {
    return std::isfinite(v) ? double(v) : 0.0;
}
}  // namespace

std::string to_json(const DeviceInfo& info) {
    json j = {{"uri", info.uri},
              {"board", info.board},
              {"firmware", info.firmware},
              {"build_id", info.build_id},
              {"boot_id", std::to_string(info.boot_id)},
              {"reset_cause", info.reset_cause},
              {"serial", info.serial},
              {"verified_link", info.verified_link},
              {"streams", json::array()},
              {"models", json::array()}};
    for (const StreamInfo& s : info.streams) {
        json channels = json::array();
        for (const ChannelInfo& c : s.channels)
            channels.push_back({{"name", c.name},
                                {"unit", c.unit},
                                {"scale", finite(c.scale)},
                                {"offset", finite(c.offset)}});
        j["streams"].push_back({{"name", s.name},
                                {"kind", s.kind},
                                {"type", int(s.type)},
                                {"rate_num", s.rate_num},
                                {"rate_den", s.rate_den},
                                {"batch", s.batch},
                                {"enabled", s.enabled},
                                {"channels", channels}});
    }
    for (const DeviceModel& m : info.models)
        j["models"].push_back({{"name", m.name},
                               {"plan_id", m.plan_id},
                               {"input_streams", m.input_streams},
                               {"active", m.active}});
    return j.dump(1, ' ', false, json::error_handler_t::replace);
}

DeviceInfo device_from_json(const std::string& text) {
    const json j = json::parse(text, nullptr, false);
    if (!j.is_object()) h5::refuse("a device's description is not JSON", {});
    DeviceInfo info;
    info.uri = j.value("uri", "");
    info.board = j.value("board", "");
    info.firmware = j.value("firmware", "");
    info.build_id = j.value("build_id", "");
    info.boot_id = std::strtoull(j.value("boot_id", "0").c_str(), nullptr, 10);
    info.reset_cause = j.value("reset_cause", "");
    info.serial = j.value("serial", "");
    info.verified_link = j.value("verified_link", true);
    for (const json& s : j.value("streams", json::array())) {
        StreamInfo stream;
        stream.name = s.value("name", "");
        stream.kind = s.value("kind", "");
        const int type = s.value("type", 0);
        if (type < 1 || type > 4) h5::refuse("a stream has a sample type that does not exist", stream.name);
        stream.type = SampleType(type);
        stream.rate_num = s.value("rate_num", 0u);
        stream.rate_den = s.value("rate_den", 0u);
        if (stream.rate_num == 0 || stream.rate_den == 0) h5::refuse("a stream's rate is zero", stream.name);
        stream.batch = s.value("batch", uint16_t(1));
        stream.enabled = s.value("enabled", true);
        for (const json& c : s.value("channels", json::array())) {
            ChannelInfo channel;
            channel.name = c.value("name", "");
            channel.unit = c.value("unit", "");
            channel.scale = float(c.value("scale", 1.0));
            channel.offset = float(c.value("offset", 0.0));
            stream.channels.push_back(channel);
        }
        info.streams.push_back(stream);
    }
    for (const json& m : j.value("models", json::array())) {
        DeviceModel model;
        model.name = m.value("name", "");
        model.plan_id = m.value("plan_id", "");
        model.input_streams = m.value("input_streams", std::vector<int>{});
        model.active = m.value("active", false);
        info.models.push_back(model);
    }
    return info;
}

}  // namespace lockstep::storage
