// Labels in the forms of other tools, told apart by the file's ending: CSV (storage/label_csv.h), BIDS
// events.tsv, Audacity label track (.txt), JSON, and EDF+ annotations (.edf). Any thread.
#pragma once

#include <string>
#include <vector>

#include "acquisition/session_store.h"
#include "storage/label_csv.h"

namespace lockstep::storage {

struct LabelSet {
    std::vector<Label> labels;  // by start
    std::vector<StreamInfo> streams;
    std::vector<LabelClass> classes;
    int64_t start_utc_ns = 0;
};

// "csv", "tsv", "audacity", "json", "edf"; from the name's ending unless `wanted` is given.
Result<std::string> label_format(const std::string& path, const std::string& wanted = {});

// The whole file's bytes. What a format cannot hold is left out: stream and channel in Audacity and EDF,
// source, confidence and note in all but CSV and JSON.
Result<std::string> write_labels(const std::string& format, const LabelSet& set);

// "-" is standard input. Errors name the line.
Result<std::vector<LabelLine>> read_labels(const std::string& path, const std::string& format);

// EDF+ annotations (storage/label_edf.cpp), a file without signals as PhysioNet gives sleep stages.
std::string edf_annotations(const LabelSet& set);
Result<std::vector<LabelLine>> parse_edf_annotations(const std::string& bytes, const std::string& where);

}  // namespace lockstep::storage
