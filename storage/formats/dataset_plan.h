// Which windows a training file has, what they are called and which part they belong to - decided from
// labels and row runs alone, before a sample is read. Deterministic: the same sessions and rules give
// the same plan. docs/exports.md, "Training dataset", is the description for people.
#pragma once

#include <string>
#include <vector>

#include "acquisition/export.h"
#include "storage/formats/samples.h"

namespace lockstep::storage {

enum class LabelRule { majority, centre, event };
enum class SplitBy { none, subject, session, time };
enum class Part : uint8_t { train = 0, val = 1, test = 2 };

struct DatasetRules {
    std::string stream;                 // name or kind, "" = first stream of the first session
    std::vector<std::string> channels;  // empty = all
    double window = 2;                  // s
    double hop = 1;                     // s
    LabelRule rule = LabelRule::majority;
    double min_overlap = 0.6;          // of the window, majority only
    std::string background;            // class of windows without a label, "" = they are left out
    std::vector<std::string> classes;  // in the order of y; empty = all that occur, by name
    SplitBy split = SplitBy::subject;
    double val = 0.2;
    double test = 0.2;
    uint64_t seed = 1;
    int blocks = 10;                // per session, split by time
    double gap = 0;                 // s between windows of different parts, split by time; at least a window
    std::string normalize = "fit";  // none, fit (mean and std stored, X untouched), apply
    bool hidden = false;            // de-identified: the sources' files are not named
};

OptionInfo option(const char* name, const char* text, const char* fallback,
                  std::vector<std::string> choices = {});
std::vector<OptionInfo> dataset_options();
Result<DatasetRules> dataset_rules(const ExportOptions& options);

struct DatasetSession {
    std::string path;
    std::string identifier;
    std::string recording;  // identifier of the recording that the session is a part of (or all of)
    std::string subject;
    std::string sha256;  // "" when the source's file must not be named
    uint64_t label_revision = 0;
    int64_t start_utc_ns = 0;
    double duration = 0;
    int stream = 0;
    std::vector<int> channels;
};

struct DatasetWindow {
    uint32_t session = 0;
    uint64_t row = 0;
    double start = 0;  // session seconds
    double stop = 0;
    int64_t y = 0;
    uint64_t label_id = 0;  // 0: background
    Part part = Part::train;
};

struct DatasetPlan {
    DatasetRules rules;
    std::vector<DatasetSession> sessions;
    std::vector<ChannelInfo> channels;
    std::string stream_kind;
    std::vector<std::string> classes;
    double rate = 0;      // nominal
    uint64_t window = 0;  // samples
    uint64_t hop = 0;
    std::vector<DatasetWindow> windows;  // by session, then row
    uint64_t left_out = 0;               // windows near a border between parts
    uint64_t unlabelled = 0;
    size_t count(Part part) const;
};

Result<DatasetPlan> plan_dataset(SessionSource& sessions, const DatasetRules& rules);
// Error when a person (split by subject) or a row is in two parts, or windows of different parts are
// nearer than the gap (split by time).
Status prove_disjoint(const DatasetPlan& plan);

}  // namespace lockstep::storage
