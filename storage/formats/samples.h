// What every export needs of a session: physical values, the current labels, a stream's rows as a
// regular grid of samples (what EDF and its like can hold) and as times.
// Thread: as SessionReader, one caller at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "acquisition/session_store.h"

namespace lockstep::storage {

// count * scale + offset in float32, as the shared core computes it; float32 streams hold bits.
float physical(const StreamInfo& info, size_t channel, int32_t count);
int32_t float_bits(float value);

// Labels as the whole history leaves them, by start, then id; and the history's last revision.
struct CurrentLabels {
    std::vector<Label> labels;
    uint64_t revision = 0;
};
Result<CurrentLabels> current_labels(SessionReader& session);

// Names of what a label is about; "": all.
std::string stream_name(const SessionReader& session, const Label& label);
std::string channel_name(const SessionReader& session, const Label& label);

// The rate that rows really have on the session's clock: measured when that is plausible.
double true_rate(const SessionStream& stream);
// Session seconds of a stored row. REQUIRES: row < stream.rows.
double row_time(const SessionStream& stream, uint64_t row);
// The streams that hold anything, in order.
std::vector<int> stored_streams(const SessionReader& session);

// A stream on a regular grid: within a segment positions follow the device's counter, so a lost sample
// is a hole of exactly its width; a new segment starts where the session's clock puts it, never before
// the end of the one before.
class Grid {
  public:
    struct Piece {
        uint64_t position = 0;
        uint64_t row = 0;
        uint64_t count = 0;
        double time = 0;  // session seconds of its first sample
    };
    // `origin`: session seconds of position 0. REQUIRES: no row of the stream is earlier.
    Grid(const SessionStream& stream, double origin);
    // The same on another clock and at the rate that the stream has on it; position 0 is its first row.
    // `clock`: session seconds -> that clock's, non-decreasing.
    Grid(const SessionStream& stream, double rate, const std::function<double(double)>& clock);

    uint64_t size() const { return size_; }  // positions, holes counted
    const std::vector<Piece>& pieces() const { return pieces_; }
    // Seconds on the grid (position / nominal rate) of a session time.
    double seconds(double session_time) const;
    // Positions [first, first + count) as [count][channels]; holes hold the value before them (the
    // first value at the start). Past the end likewise.
    Status read(SessionReader& session, int stream, uint64_t first, uint64_t count,
                std::vector<int32_t>* out);

  private:
    // A new segment begins at the position that `place` says of its run.
    void lay(const SessionStream& stream, const std::function<double(const RowRun&)>& place);
    std::vector<Piece> pieces_;
    std::vector<int32_t> held_;  // last row that was read, for holes
    uint64_t size_ = 0;
    double rate_ = 1;       // nominal
    double true_rate_ = 1;  // measured
    double origin_ = 0;
    size_t channels_ = 0;
};

// Rows in order, at most `chunk` at a time.
Status for_rows(SessionReader& session, int stream, uint64_t chunk,
                const std::function<Status(uint64_t row, uint64_t count, const int32_t* counts)>& visit);

// Shortest text that reads back as the same number; independent of the locale.
std::string number_text(double value);
std::string number_text(float value);
// Letters, digits and '-' only: for file names.
std::string file_safe(const std::string& text);
std::string hex_sha256(const std::string& bytes);
Result<std::string> file_sha256(const std::string& path);

}  // namespace lockstep::storage
