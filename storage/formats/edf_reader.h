// EDF, EDF+, BDF and BDF+ as they lie on disk, record by record; also the interrupted ones (EDF+D), which
// edflib does not open. Every field is checked before it is used; memory is one record.
// https://www.edfplus.info/specs/edf.html, edfplus.html; https://www.biosemi.com/faq/file_format.htm
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep::storage {

struct EdfFileSignal {
    std::string label;
    std::string unit;
    std::string filters;  // "HP:0.1Hz LP:75Hz N:50Hz"
    double physical_min = 0;
    double physical_max = 0;
    double digital_min = 0;
    double digital_max = 0;
    size_t samples = 0;  // in a record
    size_t at = 0;       // first byte in a record
    bool annotations = false;

    double scale() const { return (physical_max - physical_min) / (digital_max - digital_min); }
    double offset() const { return physical_max - scale() * digital_max; }
};

struct EdfAnnotation {
    double onset = 0;  // seconds since the first record
    double duration = 0;
    std::string text;
};

class EdfReader {
  public:
    // Reads the header. Errors are the file's fault (usage) and name the field.
    Status open(const std::string& path);

    bool bdf() const { return bdf_; }
    bool interrupted() const { return interrupted_; }
    int64_t start_utc_ns() const { return start_utc_ns_; }  // of the first record; no zone in the file
    double record_seconds() const { return record_seconds_; }
    uint64_t declared() const { return declared_; }  // records; kUnknown: the file was never closed
    uint64_t records() const { return records_; }    // whole ones in the file, at most `declared`
    bool longer() const { return longer_; }
    const std::vector<EdfFileSignal>& signals() const { return signals_; }

    static constexpr uint64_t kUnknown = UINT64_MAX;

    // The next record and its annotations. `time`: seconds since the first record.
    Status next(double* time, std::vector<EdfAnnotation>* annotations);
    // Sample i of a signal in the current record.
    int32_t digit(const EdfFileSignal& signal, size_t i) const;

  private:
    Status read_signals(size_t count);
    Status read_first_onset();
    Status parse_annotations(const EdfFileSignal& signal, bool keeps_time, double* onset,
                             std::vector<EdfAnnotation>* out) const;

    std::string path_;
    std::ifstream file_;
    bool bdf_ = false;
    bool plus_ = false;
    bool interrupted_ = false;
    bool longer_ = false;
    int64_t start_utc_ns_ = 0;
    double record_seconds_ = 0;
    double first_onset_ = 0;
    uint64_t declared_ = 0;
    uint64_t records_ = 0;
    uint64_t read_ = 0;
    size_t record_bytes_ = 0;
    std::vector<EdfFileSignal> signals_;
    std::vector<char> record_;
};

}  // namespace lockstep::storage
