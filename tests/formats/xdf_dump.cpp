// What libxdf, a library that other programs load XDF with, finds in a file: xdf_dump FILE JSON.
#include <xdf.h>

#include <fstream>
#include <nlohmann/json.hpp>

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    Xdf xdf;
    if (xdf.load_xdf(argv[1]) != 0) return 3;
    nlohmann::json streams = nlohmann::json::array();
    for (const auto& stream : xdf.streams) {
        nlohmann::json labels = nlohmann::json::array();
        for (const auto& channel : stream.info.channels)
            if (channel.count("label") != 0) labels.push_back(channel.at("label"));
        streams.push_back({{"name", stream.info.name},
                           {"type", stream.info.type},
                           {"rate", stream.info.nominal_srate},
                           {"labels", labels},
                           {"times", stream.time_stamps},
                           {"values", stream.time_series}});
    }
    nlohmann::json events = nlohmann::json::array();
    for (const auto& [event, stream] : xdf.eventMap)
        events.push_back({event.first, event.second, stream});
    std::ofstream(argv[2]) << nlohmann::json{{"streams", streams}, {"events", events}};
    return 0;
}
