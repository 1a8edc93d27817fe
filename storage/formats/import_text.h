// What the text importers share: lines of bounded length, numbers, stream descriptions and a timeline
// that turns packets with time stamps into samples with counted gaps.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "storage/formats/imports.h"

namespace lockstep::storage {

class Lines {
  public:
    explicit Lines(const std::string& path);
    bool ok() const { return bool(file_); }
    // False at the end and for a line longer than 1 MiB, which failed() tells. A last line without a
    // line end counts, whole() tells it apart.
    bool next(std::string* line);
    uint64_t number() const { return number_; }
    bool whole() const { return whole_; }
    double done() const;  // 0..1
    bool failed() const { return failed_; }
    std::string where() const { return path_ + ": line " + std::to_string(number_); }

  private:
    std::string path_;
    std::ifstream file_;
    uint64_t size_ = 0;
    uint64_t read_ = 0;
    uint64_t number_ = 0;
    bool whole_ = true;
    bool failed_ = false;
};

// The whole text (spaces around allowed) as a finite number.
bool parse_number(const std::string& text, double* out);
std::string trimmed(const std::string& text);
std::string lower(std::string text);
// The text as UTF-8: what is none is taken as Latin-1, as old files and spreadsheets write it.
std::string to_utf8(const std::string& text);

// rate as a ratio: exact when a denominator up to 1000 gives it, otherwise in mHz.
void set_rate(StreamInfo* info, double rate);
StreamInfo make_stream(const std::string& name, const std::string& kind, SampleType type, double rate);
// Names become UTF-8; a micro sign at the start of a unit is spelled u, as in uV.
void add_channel(StreamInfo* info, const std::string& name, const std::string& unit, float scale = 1,
                 float offset = 0);
// "eeg", "ecg", "ppg", "imu" ... from a channel's name and unit; "other" when nothing fits.
std::string guess_kind(const std::string& name, const std::string& unit);

// Packets of one stream with their own time stamps -> samples and gaps: a jump of more than
// `tolerance` seconds forward is a gap of that width; a jump back is kept in order and noted once.
class Timeline {
  public:
    Timeline(ImportSink* sink, int stream, double rate, size_t channels, double tolerance)
        : sink_(sink), stream_(stream), rate_(rate), channels_(channels), tolerance_(tolerance) {}
    Status add(double time, const std::vector<int32_t>& counts);

  private:
    ImportSink* sink_;
    int stream_;
    double rate_;
    size_t channels_;
    double tolerance_;
    double expected_ = 0;
    bool started_ = false;
    bool noted_ = false;
};

}  // namespace lockstep::storage
