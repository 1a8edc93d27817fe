#include "devices/virtual_board/recording_csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "devices/wire/messages.h"

namespace lockstep {
namespace {

constexpr const char* kRemedy = "write it like resources/recordings/eeg.csv";

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::stringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);)
        parts.push_back(part);
    return parts;
}

std::string trimmed(const std::string& text) {
    const size_t first = text.find_first_not_of(" \t\r");
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

bool parse_float(const std::string& text, float* out) {
    // Not strtof: a number must not depend on the locale.
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *out);
    return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && std::isfinite(*out);
}

struct Recording {
    StreamInfo info;
    std::vector<int32_t> counts;
};

struct TypeName {
    const char* name;
    SampleType type;
    int64_t limit;  // counts are in [-limit, limit)
};
constexpr TypeName kTypes[] = {{"int16", SampleType::int16, int64_t(1) << 15},
                               {"int24", SampleType::int24, int64_t(1) << 23},
                               {"int32", SampleType::int32, int64_t(1) << 31}};

class RecordingReader {
  public:
    explicit RecordingReader(std::string path) : path_(std::move(path)) {}

    Result<Recording> read() {
        std::error_code error;
        if (std::filesystem::is_directory(path_, error))
            return fail(ErrorKind::usage, "is a folder, not a recording", path_);
        std::ifstream file(path_);
        if (!file)
            return fail(ErrorKind::usage, "cannot open the recording", path_,
                        "check the name and the permissions");
        std::string line;
        while (std::getline(file, line)) {
            ++line_;
            if (line.empty() || line[0] != '#') break;
            const size_t colon = line.find(':');
            if (colon != std::string::npos)
                head_[trimmed(line.substr(1, colon - 1))] = trimmed(line.substr(colon + 1));
        }
        if (auto status = read_head(); !status) return tl::make_unexpected(status.error());
        while (std::getline(file, line)) {
            ++line_;
            if (trimmed(line).empty()) continue;
            if (auto status = read_row(line); !status) return tl::make_unexpected(status.error());
        }
        if (recording_.counts.empty()) return fail(ErrorKind::usage, "holds no sample", path_);
        return std::move(recording_);
    }

  private:
    tl::unexpected<Error> wrong(const std::string& what) const {
        return fail(ErrorKind::usage, what, path_ + ": line " + std::to_string(line_), kRemedy);
    }

    Status read_head() {
        if (head_["schema"] != "lockstep-recording") return wrong("not a lockstep-recording");
        StreamInfo& info = recording_.info;
        info.name = head_["stream"];
        info.kind = head_["kind"];
        if (info.name.empty() || info.name.size() >= wire::kNameSize || info.kind.empty() ||
            info.kind.size() >= wire::kKindSize)
            return wrong("names no stream or kind");
        const std::string& rate = head_["rate_hz"];
        double hz = 0;
        const auto parsed = std::from_chars(rate.data(), rate.data() + rate.size(), hz);
        if (parsed.ec != std::errc() || hz < 0.001 || hz > 1000000) return wrong("rate_hz is no rate");
        info.rate_den = hz == std::floor(hz) ? 1 : 1000;
        info.rate_num = uint32_t(std::lround(hz * info.rate_den));
        const TypeName* type = nullptr;
        for (const TypeName& t : kTypes)
            if (head_["sample_type"] == t.name) type = &t;
        if (type == nullptr) return wrong("sample_type is none of int16, int24, int32");
        info.type = type->type;
        limit_ = type->limit;
        const auto names = split(head_["channels"], ',');
        const auto units = split(head_["unit"], ',');
        const auto scales = split(head_["scale"], ',');
        const auto offsets = split(head_["offset"], ',');
        if (names.empty() || names.size() > wire::kMaxChannels) return wrong("has no channels or too many");
        if (units.size() != names.size() || scales.size() != names.size() || offsets.size() != names.size())
            return wrong("channels, unit, scale and offset differ in length");
        for (size_t c = 0; c < names.size(); ++c) {
            ChannelInfo channel;
            channel.name = names[c];
            channel.unit = units[c];
            if (!parse_float(scales[c], &channel.scale) || !parse_float(offsets[c], &channel.offset) ||
                channel.scale == 0)
                return wrong("a scale or offset is no number");
            info.channels.push_back(channel);
        }
        return {};
    }

    Status read_row(const std::string& line) {
        const char* at = line.data();
        const char* end = at + line.size();
        for (size_t c = 0; c < recording_.info.channels.size(); ++c) {
            int64_t value = 0;
            const auto parsed = std::from_chars(at, end, value);
            if (parsed.ec != std::errc()) return wrong("expected a count in column " + std::to_string(c + 1));
            if (value < -limit_ || value >= limit_)
                return wrong("count " + std::to_string(value) + " does not fit the type");
            recording_.counts.push_back(int32_t(value));
            at = parsed.ptr;
            if (at != end && *at == ',') ++at;
        }
        if (at != end && *at != '\r') return wrong("more columns than channels");
        return {};
    }

    std::string path_;
    size_t line_ = 0;
    std::map<std::string, std::string> head_;
    int64_t limit_ = 0;
    Recording recording_;
};

class RecordingSource final : public SignalSource {
  public:
    void add(Recording recording) {
        streams_.push_back(recording.info);
        counts_.push_back(std::move(recording.counts));
    }
    const std::vector<StreamInfo>& streams() const override { return streams_; }
    uint64_t length(size_t stream) const override {
        return counts_[stream].size() / streams_[stream].channels.size();
    }
    Result<SignalChunk> read(size_t stream, uint64_t first, uint32_t max) override {
        const size_t channels = streams_[stream].channels.size();
        const uint64_t n = std::min<uint64_t>(max, length(stream) - first);
        const auto begin = counts_[stream].begin() + ptrdiff_t(first * channels);
        SignalChunk chunk;
        chunk.counts.assign(begin, begin + ptrdiff_t(n * channels));
        return chunk;
    }

  private:
    std::vector<StreamInfo> streams_;
    std::vector<std::vector<int32_t>> counts_;
};

}  // namespace

Result<std::unique_ptr<SignalSource>> open_recordings(const std::vector<std::string>& files) {
    auto source = std::make_unique<RecordingSource>();
    for (const std::string& list : files) {
        for (const std::string& entry : split(list, ',')) {
            const size_t colon = entry.find(':');
            const bool named = colon != std::string::npos && !std::filesystem::exists(entry);
            auto recording = RecordingReader(named ? entry.substr(colon + 1) : entry).read();
            if (!recording) return tl::make_unexpected(recording.error());
            if (named) recording->info.name = entry.substr(0, colon);
            for (const StreamInfo& other : source->streams())
                if (other.name == recording->info.name)
                    return fail(ErrorKind::usage, "two recordings of a stream '" + other.name + "'", entry,
                                "name each stream once");
            source->add(std::move(*recording));
        }
    }
    if (source->streams().empty()) return fail(ErrorKind::usage, "no recording named");
    if (source->streams().size() > wire::kMaxStreams)
        return fail(ErrorKind::usage, "more than " + std::to_string(wire::kMaxStreams) + " streams");
    return source;
}

}  // namespace lockstep
