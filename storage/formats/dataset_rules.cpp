#include <charconv>
#include <cmath>

#include "storage/formats/dataset_plan.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {

OptionInfo option(const char* name, const char* text, const char* fallback,
                  std::vector<std::string> choices) {
    OptionInfo info;
    info.name = name;
    info.text = text;
    info.fallback = fallback;
    info.choices = std::move(choices);
    return info;
}

std::vector<OptionInfo> dataset_options() {
    return {
        option("stream", "Stream, by name or kind", ""),
        option("channels", "Channels, by name, separated by commas", ""),
        option("window", "Window, seconds", "2"),
        option("hop", "Step between windows, seconds", "1"),
        option(
            "rule",
            "Label of a window: the class that covers most of it, the one at its centre, or an event inside",
            "majority", {"majority", "centre", "event"}),
        option("min_overlap", "Least covered share of a window (majority)", "0.6"),
        option("background", "Class of windows without a label (empty: left out)", ""),
        option("classes", "Classes to keep, in the order of y, separated by commas (empty: all, by name)",
               ""),
        option("split", "What is never shared between train, val and test", "subject",
               {"subject", "session", "time", "none"}),
        option("val", "Share of val", "0.2"),
        option("test", "Share of test", "0.2"),
        option("seed", "Seed of the split", "1"),
        option("blocks", "Blocks per session (split by time)", "10"),
        option("gap", "Seconds between windows of different parts (split by time); at least a window", ""),
        option("normalize", "Mean and standard deviation of train: not at all, stored, or applied to X",
               "fit", {"none", "fit", "apply"}),
        option("parts", "Merge this many shards, written beside the output with --shard", ""),
    };
}

namespace {

Status take(const ExportOptions& options, const char* name, double low, double high, double* out) {
    const std::string text = options.value(name);
    if (text.empty()) return {};
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value >= low && value <= high))
        return fail(ErrorKind::usage,
                    "\"" + text + "\" is no number from " + number_text(low) + " to " + number_text(high),
                    name);
    *out = value;
    return {};
}

std::vector<std::string> list(const std::string& text) {
    std::vector<std::string> items;
    if (!text.empty())
        for (const std::string& item : csv_split(text))
            if (!item.empty()) items.push_back(item);
    return items;
}

}  // namespace

Result<DatasetRules> dataset_rules(const ExportOptions& options) {
    DatasetRules rules;
    rules.stream = options.value("stream");
    rules.channels = list(options.value("channels"));
    rules.classes = list(options.value("classes"));
    rules.background = options.value("background");
    rules.normalize = options.value("normalize", rules.normalize);
    const std::string rule = options.value("rule", "majority");
    rules.rule = rule == "centre"  ? LabelRule::centre
                 : rule == "event" ? LabelRule::event
                                   : LabelRule::majority;
    const std::string split = options.value("split", "subject");
    rules.split = split == "none"      ? SplitBy::none
                  : split == "session" ? SplitBy::session
                  : split == "time"    ? SplitBy::time
                                       : SplitBy::subject;
    double seed = 1;
    double blocks = rules.blocks;
    for (const auto& status :
         {take(options, "window", 1e-3, 86400, &rules.window), take(options, "hop", 1e-3, 86400, &rules.hop),
          take(options, "min_overlap", 0, 1, &rules.min_overlap), take(options, "val", 0, 0.9, &rules.val),
          take(options, "test", 0, 0.9, &rules.test), take(options, "seed", 0, 9e15, &seed),
          take(options, "blocks", 2, 10000, &blocks), take(options, "gap", 0, 86400, &rules.gap)})
        if (!status) return tl::make_unexpected(status.error());
    rules.hidden = options.deidentify;
    rules.seed = uint64_t(seed);
    rules.blocks = int(blocks);
    if (rules.val + rules.test > 0.95)
        return fail(ErrorKind::usage, "val and test leave nothing to train on", "val, test");
    if (options.value("gap").empty()) rules.gap = rules.window;
    if (rules.split == SplitBy::time && rules.gap < rules.window)
        return fail(ErrorKind::usage, "the gap between parts is shorter than a window", "gap",
                    "give at least " + number_text(rules.window));
    return rules;
}

}  // namespace lockstep::storage
