#include "tests/ui/fake_workbench.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace lockstep::test {

namespace {

constexpr int64_t kStart = 1000000000;  // host ns of session time 0

std::string resources() {
    const char* source = std::getenv("LOCKSTEP_SOURCE");
    return std::string(source ? source : ".") + "/resources/recordings/";
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    std::stringstream stream(text);
    std::string part;
    while (std::getline(stream, part, ','))
        parts.push_back(part);
    return parts;
}

}  // namespace

Recording read_recording(const std::string& path) {
    std::ifstream file(path);
    if (!file) {
        std::fprintf(stderr, "%s: not there; set LOCKSTEP_SOURCE to the repository\n", path.c_str());
        std::abort();
    }
    Recording out;
    std::vector<std::string> names, units, scales, offsets;
    std::string line;
    bool header = true;
    while (std::getline(file, line)) {
        if (line.rfind("# ", 0) == 0) {
            const size_t colon = line.find(": ");
            const std::string key = line.substr(2, colon - 2);
            const std::string value = colon == std::string::npos ? "" : line.substr(colon + 2);
            if (key == "stream") out.info.name = value;
            if (key == "kind") out.info.kind = value;
            if (key == "rate_hz") out.info.rate_num = uint32_t(std::stoul(value));
            if (key == "sample_type")
                out.info.type = value == "int24" ? SampleType::int24 : SampleType::int16;
            if (key == "channels") names = split(value);
            if (key == "unit") units = split(value);
            if (key == "scale") scales = split(value);
            if (key == "offset") offsets = split(value);
            continue;
        }
        if (header) {
            header = false;
            for (size_t i = 0; i < names.size(); ++i) {
                out.info.channels.push_back(
                    {names[i], units[i], std::stof(scales[i]), std::stof(offsets[i])});
            }
            continue;
        }
        std::vector<int32_t> row;
        for (const std::string& cell : split(line))
            row.push_back(std::stoi(cell));
        if (row.size() == names.size()) out.rows.push_back(std::move(row));
    }
    out.info.batch = 10;
    return out;
}

FakeWorkbench::FakeWorkbench(bool real_recordings) {
    if (real_recordings) {
        for (const char* name : {"eeg", "ppg", "gsr", "imu"})
            recordings_.push_back(read_recording(resources() + name + ".csv"));
    }
    classes = {{"blink", "#1f5fa8", '1', ""},         {"blink_train", "#2b7a9a", '2', ""},
               {"jaw_left", "#9a5b13", '3', ""},      {"jaw_right", "#b0702a", '4', ""},
               {"hand_movement", "#7a3fa0", '5', ""}, {"alpha_eyes_closed", "#2b7a4b", '6', ""},
               {"artifact", "#c0453f", '9', ""}};
    found = {{"virtual:mps2-an386", "Virtual board"},
             {"serial:/dev/ttyACM0?baud=921600", "Lockstep board on /dev/ttyACM0"}};
}

void FakeWorkbench::connect_now() {
    store = std::make_shared<TraceStore>(kStart);
    SegmentStarted start;
    start.host_ns = kStart;
    start.reason = "start";
    start.info.boot_id = 7;
    for (size_t i = 0; i < recordings_.size(); ++i) {
        start.info.streams.push_back(recordings_[i].info);
        start.streams.push_back(int(i));
        StreamAccount account;
        account.name = recordings_[i].info.name;
        account.rate_nominal = recordings_[i].info.rate();
        now.summary.streams.push_back(account);
    }
    store->on_event(start);
    sent_.assign(recordings_.size(), 0);
    now.state = WorkbenchState::streaming;
    now.device = "mps2-an386 · 0.1.0";
    now.seconds_to_full = 214 * 3600.0;
    now.has_health = true;
    now.health.tx_queue_high = 18;
    now.health.stack_size = 8192;
    now.health.stack_high = 2864;
    now.summary.clock.observations = 40;
    now.summary.clock.drift_ppm = 12.4;
    now.summary.clock.offset_ms = 3.21;
    now.summary.clock.error_ms = 0.08;
}

void FakeWorkbench::drop(int stream, double t0, double t1) {
    cuts_.push_back({stream, t0, t1});
}

void FakeWorkbench::stream_until(double seconds) {
    for (size_t s = 0; s < recordings_.size(); ++s) {
        const Recording& r = recordings_[s];
        const uint32_t batch = r.info.batch;
        StreamAccount& account = now.summary.streams[s];
        while (double(sent_[s] + batch) / r.info.rate() <= seconds) {
            const uint64_t first = sent_[s];
            sent_[s] += batch;
            const double t = double(first) / r.info.rate();
            account.sent += batch;
            bool lost = false;
            for (const Cut& cut : cuts_)
                lost = lost || (cut.stream == int(s) && t >= cut.t0 && t < cut.t1);
            if (lost) {
                account.lost += batch;
                account.gaps = cuts_.size();
                continue;
            }
            auto block = std::make_shared<Block>();
            block->stream = int(s);
            block->first = first;
            block->device_us = uint64_t(t * 1e6);
            block->host_ns = kStart + int64_t(double(sent_[s]) / r.info.rate() * 1e9);
            // The first block's arrival anchors the device's clock.
            if (first == 0) block->host_ns = kStart;
            block->count = batch;
            block->channels = uint16_t(r.info.channels.size());
            for (uint32_t i = 0; i < batch; ++i) {
                const auto& row = r.rows[(first + i) % r.rows.size()];
                block->counts.insert(block->counts.end(), row.begin(), row.end());
            }
            account.received += batch;
            account.rate = r.info.rate() * 1.00001;
            store->on_event(std::shared_ptr<const Block>(block));
        }
    }
    add_windows(seconds);
    now.seconds = seconds;
    now.link.bytes = uint64_t(seconds * 8300);
    now.link.frames = uint64_t(seconds * 52);
    now.health.uptime_us = uint64_t(seconds * 1e6) + 4000000;
    if (now.state == WorkbenchState::recording) now.recorded_seconds = seconds;
}

void FakeWorkbench::add_windows(double seconds) {
    now.summary.models.resize(2);
    for (int m = 0; m < 2; ++m) {
        const double hop = m == 0 ? 0.5 : 1.0;
        const double length = m == 0 ? 2.56 : 8;
        for (;; ++next_window_[m]) {
            WindowRow row;
            row.model = m;
            row.window = next_window_[m];
            row.time = row.window * hop + length;
            if (row.time > seconds) break;
            row.decided = row.time < seconds - 0.3;
            row.has_device = row.has_host = true;
            const bool moving = (row.time > 9.5 && row.time < 12) || (row.time > 13.5 && row.time < 17);
            if (m == 0) {
                row.host_scores =
                    moving ? std::vector<float>{0.1f, 0.8f, 0.1f} : std::vector<float>{0.92f, 0.05f, 0.03f};
            } else {
                row.host_scores = {float(68 + 4 * std::sin(row.time / 9)), 1.02f};
            }
            row.device_scores = row.host_scores;
            row.verdict = Verdict::same;
            for (const Cut& cut : cuts_) {
                const bool uses =
                    (m == 0 && cut.stream == 3) || (m == 1 && (cut.stream == 1 || cut.stream == 2));
                if (!uses || row.time < cut.t0 || row.time - length > cut.t1) continue;
                row.verdict = Verdict::lost;
                row.reason = "samples lost on the link";
                row.has_host = false;
            }
            if (m == 1 && row.window < 2) {
                row.verdict = Verdict::outside;
                row.reason = "warming up";
            }
            if (!row.decided) continue;
            window_rows.push_back(row);
            WindowAccount& account = now.summary.models[size_t(m)];
            for (WindowAccount* a : {&account, &now.summary.windows}) {
                ++a->expected;
                if (row.verdict == Verdict::same) ++a->same;
                if (row.verdict == Verdict::lost) ++a->lost;
                if (row.verdict == Verdict::outside) ++a->outside;
            }
        }
    }
}

void FakeWorkbench::review() {
    now.state = WorkbenchState::reviewing;
    now.path = "/recordings/sub-07_task-rest.h5";
    now.has_health = false;
    now.summary.seconds = now.seconds;
    now.summary.labels = track.labels().size();
    now.summary.whole = now.summary.windows.lost == 0;
    if (!now.summary.whole) now.summary.why_not = "samples of imu were lost on the link";
}

void FakeWorkbench::say(const std::string& message, bool error) {
    now.message = message;
    now.message_is_error = error;
    ++now.message_id;
}

std::vector<DriverInfo> FakeWorkbench::drivers() const {
    return {{"virtual", "Virtual board", "mps2-an386", {{"signals", "Signals", "", {}}}},
            {"serial",
             "Serial port",
             "/dev/ttyACM0",
             {{"baud", "Baud rate", "115200", {"115200", "460800", "921600"}}}},
            {"ble", "Bluetooth", "AA:BB:CC:DD:EE:FF", {}},
            {"tcp", "Network bridge", "192.168.1.20:7000", {}}};
}

void FakeWorkbench::connect_device(const std::string& uri) {
    calls.push_back("connect " + uri);
    connect_now();
}

void FakeWorkbench::disconnect_device() {
    calls.push_back("disconnect");
    now = WorkbenchStatus{};
    store = nullptr;
}

void FakeWorkbench::start_recording(const std::string& path, const std::string&, const std::string&) {
    calls.push_back("record");
    now.state = WorkbenchState::recording;
    now.path = path;
}

void FakeWorkbench::stop_recording() {
    calls.push_back("stop");
    now.state = WorkbenchState::streaming;
}

void FakeWorkbench::open_session(const std::string& path) {
    calls.push_back("open " + path);
}

std::vector<ModelView> FakeWorkbench::models() const {
    if (now.summary.models.size() < 2) return {};
    ModelView movement{"movement", true, {"still", "moving", "shaking"}, {"", "", ""}, now.summary.models[0]};
    ModelView vitals{"vitals", false, {"heart_rate", "level"}, {"bpm", "uS"}, now.summary.models[1]};
    return {movement, vitals};
}

std::vector<WindowRow> FakeWorkbench::windows(double t0, double t1) const {
    std::vector<WindowRow> out;
    for (const WindowRow& row : window_rows) {
        if (row.time >= t0 && row.time < t1) out.push_back(row);
    }
    return out;
}

bool FakeWorkbench::edit_label(const LabelEdit& edit) {
    if (refuse_edits) return false;
    LabelEdit own = edit;
    own.author = "tester";
    return track.apply(own).has_value();
}

bool FakeWorkbench::undo_label() {
    return track.undo("tester").has_value();
}

bool FakeWorkbench::redo_label() {
    return track.redo("tester").has_value();
}

}  // namespace lockstep::test
