#include "storage/formats/samples.h"

#include <sodium.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

namespace lockstep::storage {

int32_t float_bits(float value) {
    int32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float physical(const StreamInfo& info, size_t channel, int32_t count) {
    float value = 0;
    if (info.type == SampleType::float32)
        std::memcpy(&value, &count, sizeof value);
    else
        value = float(count);
    if (channel >= info.channels.size()) return value;
    return value * info.channels[channel].scale + info.channels[channel].offset;
}

Result<CurrentLabels> current_labels(SessionReader& session) {
    auto history = session.label_history();
    if (!history) return tl::make_unexpected(history.error());
    std::map<uint64_t, Label> by_id;
    CurrentLabels current;
    for (const LabelEdit& edit : *history) {
        if (edit.operation == LabelOperation::remove)
            by_id.erase(edit.before.id);
        else
            by_id[edit.after.id] = edit.after;
        current.revision = std::max(current.revision, edit.revision);
    }
    for (auto& [id, label] : by_id)
        current.labels.push_back(std::move(label));
    std::stable_sort(current.labels.begin(), current.labels.end(),
                     [](const Label& a, const Label& b) { return a.start < b.start; });
    return current;
}

std::string stream_name(const SessionReader& session, const Label& label) {
    const auto& streams = session.streams();
    return label.stream >= 0 && size_t(label.stream) < streams.size()
               ? streams[size_t(label.stream)].info.name
               : "";
}

std::string channel_name(const SessionReader& session, const Label& label) {
    if (stream_name(session, label).empty() || label.channel < 0) return {};
    const auto& channels = session.streams()[size_t(label.stream)].info.channels;
    return size_t(label.channel) < channels.size() ? channels[size_t(label.channel)].name : "";
}

double true_rate(const SessionStream& stream) {
    const double nominal = stream.info.rate();
    const double measured = stream.rate_measured;
    // A measurement over a few blocks says nothing; a real device is within a fifth of its own word.
    return measured > nominal * 0.8 && measured < nominal * 1.2 ? measured : nominal;
}

double row_time(const SessionStream& stream, uint64_t row) {
    const auto after = std::upper_bound(stream.runs.begin(), stream.runs.end(), row,
                                        [](uint64_t r, const RowRun& run) { return r < run.row; });
    if (after == stream.runs.begin()) return double(row) / true_rate(stream);
    const RowRun& run = *(after - 1);
    return run.time + double(row - run.row) / true_rate(stream);
}

std::vector<int> stored_streams(const SessionReader& session) {
    std::vector<int> found;
    const auto& streams = session.streams();
    for (size_t i = 0; i < streams.size(); ++i)
        if (streams[i].rows > 0 && !streams[i].info.channels.empty() && streams[i].info.rate_num > 0)
            found.push_back(int(i));
    return found;
}

Grid::Grid(const SessionStream& stream, double origin)
    : rate_(stream.info.rate()),
      true_rate_(true_rate(stream)),
      origin_(origin),
      channels_(stream.info.channels.size()) {
    lay(stream, [this](const RowRun& run) { return (run.time - origin_) * rate_; });
}

Grid::Grid(const SessionStream& stream, double rate, const std::function<double(double)>& clock)
    : rate_(rate), true_rate_(true_rate(stream)), channels_(stream.info.channels.size()) {
    if (stream.runs.empty()) return;
    origin_ = stream.runs.front().time;
    const double first = clock(origin_);
    lay(stream, [&](const RowRun& run) { return (clock(run.time) - first) * rate; });
}

void Grid::lay(const SessionStream& stream, const std::function<double(const RowRun&)>& place) {
    const RowRun* before = nullptr;
    for (const RowRun& run : stream.runs) {
        Piece piece{0, run.row, run.count, run.time};
        if (before != nullptr && before->segment == run.segment && run.first >= before->first) {
            piece.position = pieces_.back().position + (run.first - before->first);
        } else {
            const double at = std::max(0.0, std::round(place(run)));
            piece.position = uint64_t(std::min(at, 1e15));
        }
        piece.position = std::max(piece.position, size_);
        size_ = piece.position + piece.count;
        pieces_.push_back(piece);
        before = &run;
    }
}

double Grid::seconds(double session_time) const {
    const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), session_time,
                                        [](double t, const Piece& piece) { return t < piece.time; });
    if (after == pieces_.begin()) {
        if (pieces_.empty()) return session_time - origin_;
        return double(pieces_.front().position) / rate_ - (pieces_.front().time - session_time);
    }
    const Piece& piece = *(after - 1);
    const double past = (session_time - piece.time) * true_rate_;
    double position = double(piece.position) + past;
    // In the hole behind a piece positions grow as fast as needed to reach the next piece in time.
    if (after != pieces_.end()) position = std::min(position, double(after->position));
    return position / rate_;
}

Status Grid::read(SessionReader& session, int stream, uint64_t first, uint64_t count,
                  std::vector<int32_t>* out) {
    out->resize(size_t(count) * channels_);
    auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), first,
                                  [](uint64_t p, const Piece& x) { return p < x.position; });
    if (piece != pieces_.begin()) --piece;
    if (held_.empty() && !pieces_.empty()) {
        held_.resize(channels_);
        if (auto status = session.read(stream, pieces_.front().row, 1, held_.data()); !status) return status;
    }
    uint64_t at = first;
    const uint64_t end = first + count;
    while (at < end) {
        while (piece != pieces_.end() && piece->position + piece->count <= at)
            ++piece;
        const uint64_t data = piece == pieces_.end() ? end : std::max(piece->position, at);
        for (; at < std::min(data, end); ++at)
            std::copy(held_.begin(), held_.end(), out->begin() + std::ptrdiff_t((at - first) * channels_));
        if (at >= end) break;
        const uint64_t n = std::min(end, piece->position + piece->count) - at;
        int32_t* to = out->data() + (at - first) * channels_;
        if (auto status = session.read(stream, piece->row + (at - piece->position), n, to); !status)
            return status;
        held_.assign(to + (n - 1) * channels_, to + n * channels_);
        at += n;
    }
    return {};
}

Status for_rows(SessionReader& session, int stream, uint64_t chunk,
                const std::function<Status(uint64_t row, uint64_t count, const int32_t* counts)>& visit) {
    const SessionStream& info = session.streams()[size_t(stream)];
    std::vector<int32_t> counts;
    for (uint64_t row = 0; row < info.rows; row += chunk) {
        const uint64_t n = std::min(chunk, info.rows - row);
        counts.resize(size_t(n) * info.info.channels.size());
        if (auto status = session.read(stream, row, n, counts.data()); !status) return status;
        if (auto status = visit(row, n, counts.data()); !status) return status;
    }
    return {};
}

namespace {
template <typename T>
std::string shortest(T value) {
    if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    char text[64];
    const auto end = std::to_chars(text, text + sizeof text, value);
    return {text, end.ptr};
}
}  // namespace

std::string number_text(double value) {
    return shortest(value);
}
std::string number_text(float value) {
    return shortest(value);
}

std::string file_safe(const std::string& text) {
    std::string safe;
    for (const char c : text) {
        const bool fine =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        if (fine)
            safe += c;
        else if (!safe.empty() && safe.back() != '-')
            safe += '-';
    }
    while (!safe.empty() && safe.back() == '-')
        safe.pop_back();
    return safe.empty() ? "stream" : safe;
}

namespace {
std::string hex(const unsigned char* bytes, size_t size) {
    static const char digits[] = "0123456789abcdef";
    std::string text;
    for (size_t i = 0; i < size; ++i) {
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}
}  // namespace

std::string hex_sha256(const std::string& bytes) {
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    return hex(hash, sizeof hash);
}

Result<std::string> file_sha256(const std::string& path) {
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
    if (!file) return fail(ErrorKind::usage, "cannot be opened for reading", path);
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    std::vector<unsigned char> buffer(1 << 16);
    while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get()))
        crypto_hash_sha256_update(&state, buffer.data(), n);
    if (std::ferror(file.get())) return fail(ErrorKind::system, "cannot be read", path);
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&state, hash);
    return hex(hash, sizeof hash);
}

}  // namespace lockstep::storage
