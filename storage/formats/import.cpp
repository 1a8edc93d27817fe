#include "storage/formats/import.h"

#include <sodium.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "storage/formats/import_text.h"
#include "storage/formats/samples.h"

namespace lockstep {
namespace {

constexpr int64_t kStartNs = 1000000000;  // the session's own steady clock starts here
constexpr size_t kBlockRows = 256;
constexpr double kClockEvery = 60;  // seconds between observations of the (exact) device clock
constexpr double kLongest = 10.0 * 365 * 86400;

std::string new_uuid() {
    unsigned char b[16];
    randombytes_buf(b, sizeof b);
    b[6] = static_cast<unsigned char>((b[6] & 0x0f) | 0x40);
    b[8] = static_cast<unsigned char>((b[8] & 0x3f) | 0x80);
    static const char digits[] = "0123456789abcdef";
    std::string text;
    for (size_t i = 0; i < sizeof b; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += digits[b[i] >> 4];
        text += digits[b[i] & 15];
    }
    return text;
}

// Of a file its hash; of a folder that of a list of its files, `HASH  NAME` a line, by name.
Result<std::string> source_sha256(const std::string& source) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (!fs::is_directory(source, error)) return storage::file_sha256(source);
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(source, error))
        if (entry.is_regular_file(error)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    std::string list;
    for (const fs::path& file : files) {
        auto hash = storage::file_sha256(file.string());
        if (!hash) return hash;
        list += *hash + "  " + file.filename().string() + "\n";
    }
    return storage::hex_sha256(list);
}

}  // namespace

ImportSink::ImportSink(std::string source, std::string session, const ImportOptions& options,
                       storage::CreateSession create)
    : source_(std::move(source)),
      session_(std::move(session)),
      options_(options),
      create_(std::move(create)) {}
ImportSink::~ImportSink() = default;

int64_t ImportSink::host_ns(double time) const {
    return kStartNs + int64_t(std::llround(time * 1e9));
}

Status ImportSink::append(Event event) {
    writer_->append(std::move(event));
    // An import can be faster than the disk is; errors are looked for now and then and at the end.
    if (++appended_ % 1024 == 0)
        if (auto error = writer_->take_error()) return tl::make_unexpected(*error);
    return {};
}

void ImportSink::clock(double time) {
    ClockObservation seen;
    seen.segment = segment_;
    seen.sent_ns = seen.received_ns = host_ns(time);
    seen.device_received_us = seen.device_sent_us = uint64_t(std::llround(time * 1e6));
    writer_->append(seen);
    last_clock_ = time;
}

void ImportSink::start_segment(double time, const std::string& reason) {
    SegmentStarted started;
    started.segment = ++segment_;
    started.epoch = uint8_t(segment_);
    started.host_ns = host_ns(time);
    started.reason = reason;
    started.info = device_;
    for (size_t i = 0; i < streams_.size(); ++i)
        started.streams.push_back(int(i));
    writer_->append(started);
    for (Stream& stream : streams_)
        stream.next = stream.segment_received = 0;
    clock(time);
}

void ImportSink::end_segment(double time, const std::string& reason) {
    clock(std::max(time, last_clock_));
    SegmentEnded ended;
    ended.segment = segment_;
    ended.host_ns = host_ns(time);
    ended.reason = reason;
    ended.counted = true;
    for (const Stream& stream : streams_) {
        wire::StreamHealth health;
        health.produced = uint32_t(stream.next);
        health.dropped = 0;
        ended.sent.push_back(health);
    }
    writer_->append(ended);
}

Status ImportSink::begin(const std::string& board, int64_t start_utc_ns, std::vector<StreamInfo> streams,
                         std::vector<LabelClass> classes) {
    if (writer_) return fail(ErrorKind::system, "an import describes its device once");
    device_.board = board;
    device_.verified_link = false;
    device_.uri = "import:";
    for (StreamInfo& info : streams) {
        if (info.rate_num == 0 || info.rate_den == 0 || info.channels.empty())
            return fail(ErrorKind::usage, "a stream without a rate or without channels", info.name);
        if (info.channels.size() > 4096) return fail(ErrorKind::usage, "more than 4096 channels", info.name);
        device_.streams.push_back(info);
        Stream stream;
        stream.info = std::move(info);
        streams_.push_back(std::move(stream));
    }
    WriterOptions writer;
    writer.path = session_;
    writer.header.identifier = new_uuid();
    writer.header.start_utc_ns = start_utc_ns;
    writer.header.start_host_ns = kStartNs;
    writer.header.software = options_.software.empty() ? "lockstep" : options_.software;
    writer.header.git_commit = options_.git_commit;
    writer.header.subject = options_.subject;
    writer.header.task = options_.task;
    writer.header.mains_hz = options_.mains_hz;
    writer.header.settings["import.format"] = options_.format;
    auto source = source_sha256(source_);
    if (!source) return tl::make_unexpected(source.error());
    writer.header.settings["import.source_sha256"] = *source;
    for (const auto& [name, value] : options_.values) {
        // A file's name may be a person's.
        auto file = name == "labels" || name == "description" ? storage::file_sha256(value) : value;
        if (!file) return tl::make_unexpected(file.error());
        writer.header.settings["import." + name] = *file;
    }
    writer.classes = std::move(classes);
    auto created = create_(writer);
    if (!created) return tl::make_unexpected(created.error());
    writer_ = std::move(*created);
    start_segment(0, "start");
    return {};
}

Status ImportSink::samples(int stream, double time, const std::vector<int32_t>& counts) {
    Stream& to = streams_[size_t(stream)];
    const size_t channels = to.info.channels.size();
    if (!(time >= 0 && time < kLongest)) return fail(ErrorKind::usage, "a time that cannot be", to.info.name);
    if (counts.size() % channels != 0)
        return fail(ErrorKind::system, "samples that do not fit the channels", to.info.name);
    const size_t rows = counts.size() / channels;
    for (size_t row = 0; row < rows; row += kBlockRows) {
        const size_t n = std::min(kBlockRows, rows - row);
        auto block = std::make_shared<Block>();
        block->stream = stream;
        block->segment = segment_;
        block->first = to.next;
        const double at = time + double(row) / to.info.rate();
        const double last = at + double(n) / to.info.rate();
        block->device_us = uint64_t(std::llround(at * 1e6));
        block->host_ns = host_ns(last);
        block->sequence = to.sequence++;
        block->count = uint32_t(n);
        block->channels = uint16_t(channels);
        block->counts.assign(counts.begin() + std::ptrdiff_t(row * channels),
                             counts.begin() + std::ptrdiff_t((row + n) * channels));
        to.next += n;
        to.received += n;
        end_ = std::max(end_, last);
        if (end_ - last_clock_ > kClockEvery) clock(end_);
        if (auto status = append(std::shared_ptr<const Block>(std::move(block))); !status) return status;
    }
    return {};
}

Status ImportSink::gap(int stream, uint64_t missing) {
    if (missing == 0) return {};
    Stream& to = streams_[size_t(stream)];
    Gap gap;
    gap.stream = stream;
    gap.segment = segment_;
    gap.first = to.next;
    gap.missing = missing;
    gap.cause = GapCause::device;
    gap.host_ns = host_ns(end_);
    to.next += missing;
    return append(gap);
}

Status ImportSink::label(double start, double stop, const std::string& label_class, const std::string& note,
                         int stream, int channel) {
    if (!std::isfinite(start) || label_class.empty()) return {};
    LabelEdit edit;
    edit.operation = LabelOperation::add;
    edit.after.id = ++labels_;
    edit.after.start = std::max(0.0, start);
    edit.after.stop = std::isfinite(stop) ? std::max(edit.after.start, stop) : edit.after.start;
    edit.after.stream = stream;
    edit.after.channel = channel;
    edit.after.label_class = storage::to_utf8(label_class);
    edit.after.source = "import";
    edit.after.note = storage::to_utf8(note);
    edit.author = "import";
    edit.reason = "import";
    edit.revision = labels_;
    end_ = std::max(end_, std::min(edit.after.stop, kLongest));
    return append(edit);
}

Status ImportSink::restart(double time, const std::string& reason) {
    end_segment(end_, reason);
    start_segment(std::max(time, 0.0), reason);
    return {};
}

Status ImportSink::finish() {
    if (!writer_) return fail(ErrorKind::usage, "the source holds nothing to import");
    uint64_t received = 0;
    for (const Stream& stream : streams_)
        received += stream.received;
    if (received == 0 && labels_ == 0) {
        return fail(ErrorKind::usage, "the source holds neither samples nor labels");
    }
    end_segment(end_, "stop");
    if (auto error = writer_->take_error()) return tl::make_unexpected(*error);
    const WriterStatistics statistics = writer_->statistics();
    if (statistics.dropped_events > 0)
        return fail(ErrorKind::system, "the session's writer could not keep up");
    auto finished = writer_->finish();
    if (!finished) return tl::make_unexpected(finished.error());
    return {};
}

}  // namespace lockstep
