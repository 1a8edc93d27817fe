// Everything of a session file but its samples and events: what a reader holds in memory while the session
// is open. Internal to storage/; throws h5::Failure; under h5::lock().
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "acquisition/session_store.h"
#include "storage/h5.h"
#include "storage/provenance.h"

namespace lockstep::storage {

struct SessionTables {
    std::string path;
    h5::Id file;
    SessionHeader header;
    std::string state;
    double duration = 0;
    std::vector<SegmentInfo> segments;
    std::vector<std::pair<uint64_t, SegmentStarted>> starts;  // with the order in which they were received
    std::vector<std::pair<uint64_t, SegmentEnded>> ends;
    std::vector<std::string> groups;  // names under /acquisition, by stream
    std::vector<SessionStream> streams;
    std::vector<SessionModel> models;
    std::vector<LabelClass> classes;
    std::vector<ClockFit> clocks;
    uint32_t version = 0;  // of the file's format
    Provenance provenance;

    // Opens the file, checks its structure, loads all of the above.
    explicit SessionTables(const std::string& path);
    // With their order; edits that wait beside the file come last.
    std::vector<std::pair<uint64_t, LabelEdit>> history() const;
    // Throws when there is no such stream.
    void check_stream(int stream) const;
    // Float streams are read as floats, into the same four bytes.
    hid_t memory_type(int stream) const;

  private:
    void load_header();
    void load_segments();
    void load_streams();
    SessionStream load_stream(hid_t parent, const std::string& name, int index) const;
    void load_models();
    void load_classes();
    void load_clocks();
    void load_provenance();
};

}  // namespace lockstep::storage
