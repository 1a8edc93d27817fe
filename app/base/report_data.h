// What a session's accounts look like for programs and for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "acquisition/ledger.h"
#include "acquisition/session_store.h"

namespace lockstep::app {

using Json = nlohmann::ordered_json;

// UTF-8 that a device or a file got wrong becomes a replacement character, never an exception.
std::string dump(const Json& json);
void print_json(const Json& json);  // one object on standard output
bool json_printed();
// What a command that was to answer in JSON says when it failed: {"error": {what, where, remedy}, "status"}.
Json to_json(const Error& error, int status);

Json to_json(const WindowAccount& account);
Json to_json(const DeviceInfo& info);
// "acc_x, acc_y [g], gyro_x [deg/s]": channels by name, with their units.
std::string channels_text(const StreamInfo& stream);
const char* verdict_name(Verdict verdict);
const char* difference_name(Difference difference);

// The keys of report.json (docs/cli.md).
Json report_json(const Summary& summary, const std::string& session, bool whole, bool composite);
// One short table for a terminal.
std::string report_text(const Summary& summary);

// A stored session's accounts; `whole` includes that the file verifies.
struct SessionAccounts {
    Summary summary;
    bool whole = false;
    std::vector<std::string> faults;  // of the file
    std::string why_not;
};
Result<SessionAccounts> account_for(SessionReader& reader);

}  // namespace lockstep::app
