// Labels in the forms of other tools, told apart by the file's ending: CSV (storage/labels/label_csv.h), BIDS
// events.tsv, Audacity label track (.txt), JSON, and EDF+ annotations (.edf). Any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "acquisition/session_store.h"
#include "storage/labels/label_csv.h"

namespace lockstep::storage {

struct LabelSet {
    std::vector<Label> labels;  // by start
    std::vector<StreamInfo> streams;
    std::vector<LabelClass> classes;
    int64_t start_utc_ns = 0;
    std::map<uint64_t, std::string> authors;  // who edited a label last, by its number
};

// "csv", "tsv", "audacity", "json", "edf"; from the name's ending unless `wanted` is given.
Result<std::string> label_format(const std::string& path, const std::string& wanted = {});

// The whole file's bytes. What a format cannot hold is left out: the stream in Audacity and EDF, the channel
// in Audacity; source, confidence, note and author in all but CSV and JSON; classes in all but JSON, which
// has them whole, and events.tsv, which has their HED tags.
Result<std::string> write_labels(const std::string& format, const LabelSet& set);

// "-" is standard input. Errors name the line. `classes`, not null: what the file says of its classes.
Result<std::vector<LabelLine>> read_labels(const std::string& path, const std::string& format,
                                           std::vector<LabelClass>* classes = nullptr);

// EDF+ annotations (storage/labels/label_edf.cpp), a file without signals as PhysioNet gives sleep stages.
std::string edf_annotations(const LabelSet& set);
Result<std::vector<LabelLine>> parse_edf_annotations(const std::string& bytes, const std::string& where);

}  // namespace lockstep::storage
