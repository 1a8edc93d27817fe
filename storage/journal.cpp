#include "storage/journal.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dsp/base/bytes.h"
#include "dsp/base/crc32c.h"
#include "storage/event_codec.h"

namespace lockstep::storage {
namespace {

constexpr char kMagic[8] = {'L', 'K', 'S', 'T', 'J', 'R', 'N', 'L'};
constexpr size_t kFileHead = 16;               // magic, version, CRC-32C of both
constexpr uint32_t kMark = 0x524B534Cu;        // "LSKR"
constexpr size_t kRecordHead = 4 + 4 + 8 + 1;  // mark, payload bytes, index, kind
constexpr size_t kRecordTail = 4;              // CRC-32C of everything before it but the mark
constexpr uint32_t kMaxPayload = 256u << 20;
constexpr uint64_t kReserveStep = 4u << 20;

void file_head(uint8_t (&head)[kFileHead]) {
    ByteWriter out(MutableBytes(head, sizeof head));
    out.bytes(Bytes(reinterpret_cast<const uint8_t*>(kMagic), sizeof kMagic));
    out.u32(kJournalVersion);
    out.u32(crc32c(out.written()));
}

// A file's bytes, mapped; empty files map to an empty span.
class Mapping {
  public:
    static Result<std::unique_ptr<Mapping>> open(const std::string& path) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return tl::make_unexpected(system_error("cannot open the journal", path, errno));
        struct stat info {};
        void* data = nullptr;
        if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
            data = ::mmap(nullptr, size_t(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
        ::close(fd);
        if (data == MAP_FAILED)
            return tl::make_unexpected(system_error("cannot read the journal", path, errno));
        return std::unique_ptr<Mapping>(new Mapping(data, data == nullptr ? 0 : size_t(info.st_size)));
    }
    ~Mapping() {
        if (data_ != nullptr) ::munmap(data_, size_);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    Bytes bytes() const { return Bytes(static_cast<const uint8_t*>(data_), size_); }

  private:
    Mapping(void* data, size_t size) : data_(data), size_(size) {}
    void* data_;
    size_t size_;
};

struct Record {
    RecordKind kind = RecordKind::event;
    uint64_t index = 0;
    Bytes payload;
    size_t size = 0;  // of the whole record
};

// A whole record at the start of `in`?
bool parse(Bytes in, Record* out) {
    ByteReader r(in);
    if (r.u32() != kMark) return false;
    const uint32_t size = r.u32();
    out->index = r.u64();
    const uint8_t kind = r.u8();
    if (!r.ok() || size > kMaxPayload || r.left() < size_t(size) + kRecordTail) return false;
    out->payload = r.bytes(size);
    const uint32_t crc = r.u32();
    if (crc != crc32c(in.subspan(4, kRecordHead - 4 + size))) return false;
    if (kind < uint8_t(RecordKind::options) || kind > uint8_t(RecordKind::end)) return false;
    out->kind = RecordKind(kind);
    out->size = kRecordHead + size + kRecordTail;
    return true;
}

}  // namespace

Result<std::unique_ptr<JournalWriter>> JournalWriter::create(const std::string& path,
                                                             const OpenAppend& open) {
    auto file = open(path);
    if (!file) return tl::make_unexpected(file.error());
    std::unique_ptr<JournalWriter> writer(new JournalWriter(path, std::move(*file), 0));
    uint8_t head[kFileHead];
    file_head(head);
    writer->buffer_.assign(head, head + sizeof head);
    if (auto ok = writer->flush(); !ok) {
        remove_file(path);
        return tl::make_unexpected(ok.error());
    }
    return writer;
}

Result<std::unique_ptr<JournalWriter>> JournalWriter::resume(const std::string& path) {
    uint64_t next = 0;
    auto report = read_journal(path, [](RecordKind, Bytes) { return true; });
    if (!report) return tl::make_unexpected(report.error());
    next = report->records + report->lost_records;
    auto file = open_append(path, report->whole_bytes);
    if (!file) return tl::make_unexpected(file.error());
    return std::unique_ptr<JournalWriter>(new JournalWriter(path, std::move(*file), next));
}

void JournalWriter::add(RecordKind kind, const std::vector<uint8_t>& payload) {
    const size_t at = buffer_.size();
    buffer_.resize(at + kRecordHead + payload.size() + kRecordTail);
    ByteWriter out(MutableBytes(buffer_.data() + at, buffer_.size() - at));
    out.u32(kMark);
    out.u32(uint32_t(payload.size()));
    out.u64(next_++);
    out.u8(uint8_t(kind));
    out.bytes(Bytes(payload.data(), payload.size()));
    out.u32(crc32c(out.written().subspan(4, out.size() - 4)));
}

void JournalWriter::add(const Event& event) {
    scratch_.clear();
    encode(event, &scratch_);
    add(RecordKind::event, scratch_);
}

Status JournalWriter::flush() {
    if (buffer_.empty()) return {};
    if (file_->size() + buffer_.size() + kReserveStep / 2 > reserved_) {
        const uint64_t wanted = file_->size() + buffer_.size() + kReserveStep;
        short_of_space_ = !file_->reserve(wanted);
        if (!short_of_space_) reserved_ = wanted;
    }
    if (auto ok = file_->append(buffer_.data(), buffer_.size()); !ok) return ok;
    buffer_.clear();
    return {};
}

Status JournalWriter::sync() {
    return file_->sync();
}

Result<JournalReport> read_journal(const std::string& path,
                                   const std::function<bool(RecordKind kind, Bytes payload)>& visit) {
    auto mapping = Mapping::open(path);
    if (!mapping) return tl::make_unexpected(mapping.error());
    const Bytes all = (*mapping)->bytes();
    if (all.size() < kFileHead || memcmp(all.data(), kMagic, sizeof kMagic) != 0)
        return fail(ErrorKind::usage, "this is not a session journal", path);
    ByteReader head(all.subspan(sizeof kMagic, kFileHead - sizeof kMagic));
    const uint32_t version = head.u32();
    if (head.u32() != crc32c(all.subspan(0, 12)))
        return fail(ErrorKind::usage, "the journal's header is damaged (offset 0)", path);
    if (version > kJournalVersion)
        return fail(ErrorKind::usage,
                    "the journal has version " + std::to_string(version) + ", this program knows " +
                        std::to_string(kJournalVersion),
                    path, "use a newer lockstep");

    JournalReport report;
    report.whole_bytes = kFileHead;
    size_t at = kFileHead;
    uint64_t next = 0;
    while (at < all.size()) {
        Record record;
        if (!parse(all.subspan(at, all.size() - at), &record)) {
            // The next byte that may begin a mark.
            const void* found = memchr(all.data() + at + 1, kMark & 0xFF, all.size() - at - 1);
            at = found == nullptr ? all.size() : size_t(static_cast<const uint8_t*>(found) - all.data());
            continue;
        }
        report.damaged_bytes += at - report.whole_bytes;
        if (record.index > next) report.lost_records += record.index - next;
        next = record.index + 1;
        at += record.size;
        report.whole_bytes = at;
        ++report.records;
        if (record.kind == RecordKind::end) report.ended = true;
        if (!visit(record.kind, record.payload)) break;
    }
    report.torn_bytes = all.size() - report.whole_bytes;
    return report;
}

}  // namespace lockstep::storage
