// Labels as CSV: header `start_s,stop_s,class,stream,channel`, then optionally
// `source,confidence,note,author`. stop_s empty or no such column = point; stream and channel empty = all. A
// stream is named, a channel named or numbered from 0. Fields may be quoted as RFC 4180 says. Other tools'
// names for the same columns are taken too: start, onset; stop, end, end_s, duration; label, trial_type,
// description.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "acquisition/error.h"
#include "acquisition/event.h"

namespace lockstep::storage {

// A line whose stream is not looked up yet: a script is read before a device is connected.
struct LabelLine {
    Label label;  // without stream and channel
    std::string stream;
    std::string channel;  // without a stream: of the one stream that has it
    std::string author;   // "": not told
    int line = 0;
};

// A label file's bytes, at most 64 MB; "-": standard input.
Result<std::string> read_label_text(const std::string& path);
Result<std::vector<LabelLine>> read_label_csv(const std::string& path);  // "-": standard input
Result<std::vector<LabelLine>> parse_label_csv(const std::string& text, const std::string& where);

// The label with its stream and channel found among `streams` (by session index).
Result<Label> resolve(const LabelLine& line, const std::vector<StreamInfo>& streams);

// The shortest text that reads back as the same number.
std::string shortest(double v);

// `authors`: by label's number; empty = no such column.
std::string label_csv(const std::vector<Label>& labels, const std::vector<StreamInfo>& streams,
                      const std::map<uint64_t, std::string>& authors = {});

}  // namespace lockstep::storage
