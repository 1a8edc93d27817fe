// Builds a session's HDF5 file from its events, incrementally: the same code serves the recorder (as
// events come), repair (from a journal) and importers. Only full compressed chunks are written, so
// close() has little left to do. Thread: one caller at a time.
#pragma once

#include <memory>
#include <string>

#include "acquisition/session_store.h"
#include "storage/provenance.h"

namespace lockstep::storage {

// Why a segment begins that was recorded later (storage/append.h).
constexpr char kContinued[] = "continued";

class SessionFile {
  public:
    // Creates `path` (which must not exist) with what is known before the first sample.
    static Result<std::unique_ptr<SessionFile>> create(const std::string& path, const WriterOptions& options);
    virtual ~SessionFile() = default;

    // The next event in the order received. An error means that the file cannot go on; samples that do
    // not fit their stream's description are stored as a gap (host) instead.
    virtual Status add(const Event& event) = 0;
    virtual Status add_class(const LabelClass& label_class) = 0;
    // A line of provenance, beside the one that says how the session was made.
    virtual void note_step(const std::string& program, const std::string& params_json) = 0;
    // Instead of that one line: what the sessions that this one is made from say of themselves. Segments that
    // it does not name belong to its first step.
    virtual void set_provenance(const Provenance& provenance) = 0;
    // Ends every dataset, writes labels, runs, clock fits and `state` ("final", "recovered"); the file
    // is closed on return, with or without an error.
    virtual Status close(const std::string& state) = 0;
    virtual uint64_t bytes() const = 0;  // compressed so far
    // The file's size if it were closed now: at most, as what is pending counts unpacked.
    virtual uint64_t size_at_end() const = 0;
    virtual uint64_t samples() const = 0;  // rows x channels
};

// Writes the tables under /intervals anew: current labels, history, classes. Replaces what is there.
// `file` is an open, writable HDF5 file; throws h5::Failure (internal to storage/).
struct StoredEdit {
    uint64_t order = 0;
    LabelEdit edit;
};
void write_intervals(int64_t file, const std::vector<StoredEdit>& history,
                     const std::vector<LabelClass>& classes);

}  // namespace lockstep::storage
