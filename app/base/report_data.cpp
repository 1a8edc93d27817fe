#include "app/base/report_data.h"

#include <cstdio>

#include "storage/repair.h"

namespace lockstep::app {
namespace {

bool printed = false;

std::string format(const char* pattern, double value) {
    char text[64];
    std::snprintf(text, sizeof text, pattern, value);
    return text;
}

std::string pad(std::string text, size_t width, bool left = false) {
    if (text.size() < width) text.insert(left ? text.size() : 0, width - text.size(), ' ');
    return text + "  ";
}

}  // namespace

std::string dump(const Json& json) {
    return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

bool json_printed() {
    return printed;
}

Json to_json(const Error& error, int status) {
    return {{"error", {{"what", error.what}, {"where", error.where}, {"remedy", error.remedy}}},
            {"status", status}};
}

void print_json(const Json& json) {
    printed = true;
    const std::string text = dump(json) + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

std::string channels_text(const StreamInfo& stream) {
    std::string text;
    const auto& channels = stream.channels;
    for (size_t i = 0; i < channels.size(); ++i) {
        text += (i == 0 ? "" : ", ") + channels[i].name;
        const bool last = i + 1 == channels.size() || channels[i + 1].unit != channels[i].unit;
        if (last && !channels[i].unit.empty()) text += " [" + channels[i].unit + "]";
    }
    return text;
}

const char* verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::same:
            return "same";
        case Verdict::different:
            return "different";
        case Verdict::lost:
            return "lost";
        case Verdict::outside:
            return "outside";
    }
    return "?";
}

const char* difference_name(Difference difference) {
    switch (difference) {
        case Difference::none:
            return "none";
        case Difference::samples:
            return "samples";
        case Difference::plan:
            return "plan";
        case Difference::settings:
            return "settings";
        case Difference::arithmetic:
            return "arithmetic";
    }
    return "?";
}

Json to_json(const WindowAccount& account) {
    return {{"expected", account.expected},
            {"same", account.same},
            {"different", account.different},
            {"lost", account.lost},
            {"outside", account.outside}};
}

Json to_json(const DeviceInfo& info) {
    char boot[20];
    std::snprintf(boot, sizeof boot, "%016llx", static_cast<unsigned long long>(info.boot_id));
    Json out = {{"uri", info.uri},           {"board", info.board},
                {"firmware", info.firmware}, {"build_id", info.build_id},
                {"boot_id", boot},           {"reset_cause", info.reset_cause},
                {"serial", info.serial},     {"verified_link", info.verified_link},
                {"streams", Json::array()},  {"models", Json::array()}};
    static const char* const types[] = {"", "int16", "int24", "int32", "float32"};
    for (const StreamInfo& stream : info.streams) {
        Json channels = Json::array();
        for (const ChannelInfo& channel : stream.channels)
            channels.push_back({{"name", channel.name},
                                {"unit", channel.unit},
                                {"scale", channel.scale},
                                {"offset", channel.offset}});
        out["streams"].push_back({{"name", stream.name},
                                  {"kind", stream.kind},
                                  {"rate", stream.rate()},
                                  {"type", types[size_t(stream.type) < 5 ? size_t(stream.type) : 0]},
                                  {"batch", stream.batch},
                                  {"enabled", stream.enabled},
                                  {"channels", channels}});
    }
    for (const DeviceModel& model : info.models)
        out["models"].push_back({{"name", model.name},
                                 {"plan_id", model.plan_id},
                                 {"active", model.active},
                                 {"input_streams", model.input_streams}});
    return out;
}

Json report_json(const Summary& summary, const std::string& session, bool whole, bool composite) {
    Json streams = Json::object();
    for (const StreamAccount& s : summary.streams)
        streams[s.name] = {
            {"rate", s.rate}, {"sent", s.sent}, {"received", s.received}, {"lost", s.lost}, {"gaps", s.gaps}};
    return {{"seconds", summary.seconds},
            {"session", session},
            {"whole", whole},
            {"streams", streams},
            {"windows", to_json(summary.windows)},
            {"labels", summary.labels},
            {"clock",
             {{"offset_ms", summary.clock.offset_ms},
              {"drift_ppm", summary.clock.drift_ppm},
              {"error_ms", summary.clock.error_ms}}},
            {"composite", composite}};
}

std::string report_text(const Summary& summary) {
    std::string out = pad("stream", 12, true) + pad("rate Hz", 9) + pad("sent", 10) + pad("received", 10) +
                      pad("lost", 7) + "gaps\n";
    for (const StreamAccount& s : summary.streams)
        out += pad(s.name, 12, true) + pad(format("%.2f", s.rate), 9) + pad(std::to_string(s.sent), 10) +
               pad(std::to_string(s.received), 10) + pad(std::to_string(s.lost), 7) + std::to_string(s.gaps) +
               "\n";
    const WindowAccount& w = summary.windows;
    out += "windows: " + std::to_string(w.expected) + " expected = " + std::to_string(w.same) + " same + " +
           std::to_string(w.different) + " different + " + std::to_string(w.lost) + " lost + " +
           std::to_string(w.outside) + " outside\n";
    out += "clock: drift " + format("%.1f", summary.clock.drift_ppm) + " ppm, error " +
           format("%.3f", summary.clock.error_ms) + " ms; labels: " + std::to_string(summary.labels);
    return out;
}

Result<SessionAccounts> account_for(SessionReader& reader) {
    SessionAccounts out;
    Ledger ledger;
    const Status read = reader.replay([&](const Event& event) {
        ledger.on_event(event);
        return true;
    });
    if (!read) return tl::make_unexpected(read.error());
    out.summary = ledger.summary();
    auto faults = storage::verify(reader.path());
    if (!faults) return tl::make_unexpected(faults.error());
    out.faults = std::move(*faults);
    out.why_not = out.summary.why_not;
    if (!out.faults.empty()) out.why_not = "the file is not in order: " + out.faults.front();
    out.whole = out.summary.whole && out.faults.empty();
    return out;
}

}  // namespace lockstep::app
