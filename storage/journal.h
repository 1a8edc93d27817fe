// The journal of a recording or of label edits: records with a sync mark, an index and a CRC-32C,
// appended with write(2). A record that was written survives the death of the program; one that was
// synced survives a power cut (docs/file_format.md, "Journal").
// Thread: one caller at a time, but sync() may run beside the others.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/session_store.h"
#include "storage/file.h"

namespace lockstep::storage {

constexpr uint32_t kJournalVersion = 1;

enum class RecordKind : uint8_t {
    options = 1,  // first record: what is known before the first sample
    event = 2,
    label_class = 3,
    end = 4,  // the recording ended as it should
};

class JournalWriter {
  public:
    // Creates the file and writes its header.
    static Result<std::unique_ptr<JournalWriter>> create(const std::string& path,
                                                         const OpenAppend& open = create_append);
    // Goes on after the last whole record of an existing journal.
    static Result<std::unique_ptr<JournalWriter>> resume(const std::string& path);

    // Adds a record to the buffer.
    void add(RecordKind kind, const std::vector<uint8_t>& payload);
    void add(const Event& event);
    // Writes the buffer; on an error it is kept for the next try.
    Status flush();
    Status sync();
    // Space is kept ahead of the end, so that a disk that others fill leaves room for what is on its way;
    // true when no more can be had.
    bool short_of_space() const { return short_of_space_; }
    size_t buffered() const { return buffer_.size(); }
    uint64_t size() const { return file_->size(); }
    const std::string& path() const { return path_; }

  private:
    JournalWriter(std::string path, std::unique_ptr<AppendFile> file, uint64_t next)
        : path_(std::move(path)), file_(std::move(file)), next_(next) {}
    std::string path_;
    std::unique_ptr<AppendFile> file_;
    uint64_t next_;
    std::vector<uint8_t> buffer_;
    std::vector<uint8_t> scratch_;
    uint64_t reserved_ = 0;
    bool short_of_space_ = false;
};

struct JournalReport {
    uint64_t records = 0;
    uint64_t whole_bytes = 0;    // up to the end of the last whole record
    uint64_t torn_bytes = 0;     // after it
    uint64_t damaged_bytes = 0;  // skipped between whole records
    uint64_t lost_records = 0;   // as the index tells
    bool ended = false;          // has the end record
};

// Calls `visit` for every whole record, in order; it returns false to end early. Damaged bytes are
// skipped up to the next whole record, a torn tail is no error. Errors: not a journal, a newer version.
Result<JournalReport> read_journal(const std::string& path,
                                   const std::function<bool(RecordKind kind, Bytes payload)>& visit);

}  // namespace lockstep::storage
