// The training dataset: one HDF5 file with every window of every session, ready to be mapped into
// memory. Same sessions, labels and options: same bytes. Layout: docs/exports.md.
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "storage/formats/dataset_plan.h"
#include "storage/formats/dataset_samples.h"
#include "storage/formats/exports.h"
#include "storage/formats/h5_out.h"

namespace lockstep::storage {
namespace {

// Mean and standard deviation per channel, in a fixed order of sums; values are taken relative to the
// first one, so that large offsets (raw electrode potentials) cost no digits.
class Moments {
  public:
    explicit Moments(size_t channels) : first_(channels), sum_(channels), square_(channels), n_(channels) {}
    void add(const std::vector<float>& window) {
        const size_t channels = n_.size();
        for (size_t i = 0; i < window.size(); ++i) {
            const size_t c = i % channels;
            if (!std::isfinite(window[i])) continue;
            if (n_[c]++ == 0) first_[c] = double(window[i]);
            const double d = double(window[i]) - first_[c];
            sum_[c] += d;
            square_[c] += d * d;
        }
    }
    std::vector<float> mean() const {
        std::vector<float> out;
        for (size_t c = 0; c < n_.size(); ++c)
            out.push_back(n_[c] == 0 ? 0 : float(first_[c] + sum_[c] / double(n_[c])));
        return out;
    }
    std::vector<float> deviation() const {
        std::vector<float> out;
        for (size_t c = 0; c < n_.size(); ++c) {
            const double n = double(n_[c]);
            const double variance = n_[c] == 0 ? 0 : square_[c] / n - (sum_[c] / n) * (sum_[c] / n);
            out.push_back(variance > 0 ? float(std::sqrt(variance))
                                       : 1);  // a constant channel is only shifted
        }
        return out;
    }

  private:
    std::vector<double> first_, sum_, square_;
    std::vector<uint64_t> n_;
};

const char* split_name(SplitBy split) {
    switch (split) {
        case SplitBy::none:
            return "none";
        case SplitBy::subject:
            return "subject";
        case SplitBy::session:
            return "session";
        case SplitBy::time:
            return "time";
    }
    return "";
}

const char* rule_name(LabelRule rule) {
    switch (rule) {
        case LabelRule::majority:
            return "majority";
        case LabelRule::centre:
            return "centre";
        case LabelRule::event:
            return "event";
    }
    return "";
}

template <typename F>
auto column(const DatasetPlan& plan, F&& value) {
    std::vector<decltype(value(plan.windows.front()))> values;
    values.reserve(plan.windows.size());
    for (const DatasetWindow& window : plan.windows)
        values.push_back(value(window));
    return values;
}

void write_tables(H5Out& out, const DatasetPlan& plan) {
    const hid_t file = out.file();
    out.numbers(file, "y", column(plan, [](const DatasetWindow& w) { return w.y; }));
    out.numbers(file, "label_id", column(plan, [](const DatasetWindow& w) { return w.label_id; }));
    out.numbers(file, "t_start", column(plan, [](const DatasetWindow& w) { return w.start; }));
    out.numbers(file, "t_stop", column(plan, [](const DatasetWindow& w) { return w.stop; }));
    out.numbers(file, "row0", column(plan, [](const DatasetWindow& w) { return w.row; }));
    out.numbers(file, "row1", column(plan, [&](const DatasetWindow& w) { return w.row + plan.window; }));
    out.texts(file, "subject",
              column(plan, [&](const DatasetWindow& w) { return plan.sessions[w.session].subject; }));
    out.texts(file, "session",
              column(plan, [&](const DatasetWindow& w) { return plan.sessions[w.session].identifier; }));
    out.texts(file, "recording", column(plan, [&](const DatasetWindow& w) {
                  return std::filesystem::path(plan.sessions[w.session].path).stem().string();
              }));

    const h5::Id classes = out.group(file, "classes");
    out.texts(classes.get(), "name", plan.classes);
    const h5::Id channels = out.group(file, "channels");
    std::vector<std::string> names, units;
    for (const ChannelInfo& channel : plan.channels) {
        names.push_back(channel.name);
        units.push_back(channel.unit);
    }
    out.texts(channels.get(), "name", names);
    out.texts(channels.get(), "unit", units);

    const h5::Id sources = out.group(file, "sources");
    std::vector<std::string> paths, hashes, identifiers;
    std::vector<uint64_t> revisions;
    for (const DatasetSession& session : plan.sessions) {
        paths.push_back(session.path);
        hashes.push_back(session.sha256);
        identifiers.push_back(session.identifier);
        revisions.push_back(session.label_revision);
    }
    out.texts(sources.get(), "path", paths);
    out.texts(sources.get(), "sha256", hashes);
    out.texts(sources.get(), "session", identifiers);
    out.numbers(sources.get(), "label_revision", revisions);

    const h5::Id splits = out.group(file, "splits");
    const h5::Id split = out.group(splits.get(), split_name(plan.rules.split));
    for (const auto& [part, name] :
         {std::pair(Part::train, "train"), {Part::val, "val"}, {Part::test, "test"}}) {
        std::vector<uint64_t> rows;
        for (size_t i = 0; i < plan.windows.size(); ++i)
            if (plan.windows[i].part == part) rows.push_back(i);
        out.numbers(split.get(), name, rows);
    }
    const bool by_time = plan.rules.split == SplitBy::time;
    h5::write_attribute(split.get(), "method", split_name(plan.rules.split));
    h5::write_attribute(split.get(), "group_key", by_time ? "session" : split_name(plan.rules.split));
    h5::write_number(split.get(), "seed", plan.rules.seed);
    h5::write_number(split.get(), "min_gap_s", by_time ? plan.rules.gap : 0.0);
    h5::write_attribute(split.get(), "proved_disjoint",
                        plan.rules.split == SplitBy::subject ? "subjects, rows"
                        : plan.rules.split == SplitBy::none  ? ""
                                                             : "rows");
}

void write_attributes(hid_t file, const DatasetPlan& plan) {
    h5::write_attribute(file, "format", "lockstep-dataset");
    h5::write_number(file, "format_version", uint32_t(1));
    h5::write_attribute(file, "stream_kind", plan.stream_kind);
    h5::write_number(file, "rate", plan.rate);
    h5::write_number(file, "window", plan.window);
    h5::write_number(file, "hop", plan.hop);
    h5::write_attribute(file, "filters_json", "[]");
    h5::write_attribute(file, "label_rule", rule_name(plan.rules.rule));
    h5::write_number(file, "min_overlap", plan.rules.min_overlap);
    h5::write_attribute(file, "background", plan.rules.background);
}

Status write_file(const DatasetPlan& plan, WindowSource& source, const std::string& path,
                  const Progress& progress) {
    const size_t values = plan.window * plan.channels.size();
    std::vector<float> window(values);
    const bool apply = plan.rules.normalize == "apply";
    Moments moments(plan.channels.size());
    if (apply)
        for (size_t i = 0; i < plan.windows.size(); ++i) {
            if (plan.windows[i].part != Part::train) continue;
            if (auto status = source.read(i, window.data()); !status) return status;
            moments.add(window);
        }
    const std::vector<float> mean = moments.mean();
    const std::vector<float> deviation = moments.deviation();

    Status read;
    auto written = h5::guard(path, [&] {
        H5Out out(path);
        h5::Id x = out.dataset(out.file(), "X", H5T_IEEE_F32LE,
                               {plan.windows.size(), plan.window, plan.channels.size()});
        const size_t batch = std::max<size_t>(1, std::min<size_t>(1024, (1 << 20) / values));
        std::vector<float> rows;
        for (size_t i = 0; i < plan.windows.size(); ++i) {
            read = source.read(i, window.data());
            if (!read) return;
            if (!apply && plan.windows[i].part == Part::train) moments.add(window);
            if (apply)
                for (size_t v = 0; v < values; ++v)
                    window[v] = (window[v] - mean[v % mean.size()]) / deviation[v % mean.size()];
            rows.insert(rows.end(), window.begin(), window.end());
            const size_t held = rows.size() / values;
            if (held == batch || i + 1 == plan.windows.size()) {
                out.write_rows(x.get(), H5T_IEEE_F32LE, i + 1 - held, held, rows.data());
                rows.clear();
                if (progress && !progress(double(i + 1) / double(plan.windows.size())))
                    h5::refuse("stopped", path);
            }
        }
        x.reset();
        write_tables(out, plan);
        if (plan.rules.normalize != "none") {
            const h5::Id group = out.group(out.file(), "normalization");
            out.numbers(group.get(), "mean", moments.mean());
            out.numbers(group.get(), "std", moments.deviation());
            h5::write_attribute(group.get(), "mode", apply ? "applied" : "stored");
            h5::write_attribute(group.get(), "fitted_on", "train");
        }
        write_attributes(out.file(), plan);
        out.close();
    });
    if (!read) return read;
    return written;
}

Status write_dataset(SessionSource& sessions, const ExportOptions& options, const std::string& path,
                     ExportReport* report) {
    auto rules = dataset_rules(options);
    if (!rules) return tl::make_unexpected(rules.error());
    auto plan = plan_dataset(sessions, *rules);
    if (!plan) return tl::make_unexpected(plan.error());

    std::unique_ptr<WindowSource> source = session_windows(sessions, *plan);
    if (options.shards > 0) {
        const std::string file = shard_path(path, options.shard, options.shards);
        if (auto status = write_shard(*plan, *source, options.shard, options.shards, file, options.progress);
            !status)
            return status;
        report->files.push_back(file);
        return {};
    }
    if (const std::string parts = options.value("parts"); !parts.empty()) {
        const unsigned long n = std::strtoul(parts.c_str(), nullptr, 10);
        if (n < 1 || n > 100000)
            return fail(ErrorKind::usage, "\"" + parts + "\" is no number of shards", "parts");
        auto shards = shard_windows(*plan, options.output, uint32_t(n));
        if (!shards) return tl::make_unexpected(shards.error());
        source = std::move(*shards);
    }
    if (auto status = write_file(*plan, *source, path, options.progress); !status) return status;
    report->files.push_back(path);
    report->notes.push_back(std::to_string(plan->windows.size()) + " windows of " +
                            std::to_string(plan->window) + " x " + std::to_string(plan->channels.size()) +
                            ": train " + std::to_string(plan->count(Part::train)) + ", val " +
                            std::to_string(plan->count(Part::val)) + ", test " +
                            std::to_string(plan->count(Part::test)));
    if (plan->unlabelled > 0)
        report->notes.push_back(std::to_string(plan->unlabelled) + " windows without a label left out");
    if (plan->left_out > 0)
        report->notes.push_back(std::to_string(plan->left_out) +
                                " windows near a border between parts left out");
    for (size_t c = 0; c < plan->classes.size(); ++c) {
        bool present[3] = {};
        for (const DatasetWindow& window : plan->windows)
            if (window.y == int64_t(c)) present[size_t(window.part)] = true;
        if (!present[0]) report->notes.push_back("class " + plan->classes[c] + " does not occur in train");
    }
    return {};
}

}  // namespace

ExportFormat dataset_format() {
    return {"dataset",
            "Training dataset (HDF5): windows with labels and splits",
            ".h5",
            true,
            dataset_options(),
            write_dataset};
}

}  // namespace lockstep::storage
