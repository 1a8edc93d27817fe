#include "app/base/session_windows.h"

#include <algorithm>
#include <fstream>
#include <map>

#include "acquisition/label_track.h"
#include "acquisition/session.h"
#include "models/core/binding.h"
#include "models/core/history.h"
#include "models/data/dataset_file.h"
#include "models/plan/run.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

constexpr double kMajority = 0.6;  // as in the training dataset
constexpr size_t kMaxValues = size_t(1) << 28;

// Cuts one stream as the plan's runner does: same counters, filters, restarts and windows.
class Cutter {
  public:
    Cutter(const PlanPtr& plan, const SessionStream& stream) : plan_(plan), stream_(stream) {
        const model::InputSpec spec = plan->plan.input(0);
        model::Layout count;
        history_.lay_out(plan->plan, 0, kSlackMs, false, &count);
        memory_.resize(count.needed());
        channel_.resize(spec.channels);
        scale_.resize(spec.channels);
        offset_.resize(spec.channels);
    }

    bool bind() {
        std::vector<model::ChannelView> channels;
        for (const ChannelInfo& c : stream_.info.channels)
            channels.push_back({c.name.c_str(), c.unit.c_str(), c.scale, c.offset});
        const model::StreamView view{stream_.info.kind.c_str(), stream_.info.rate_num, stream_.info.rate_den};
        if (!model::bind_channels(plan_->plan, 0, view, {channels.data(), channels.size()},
                                  {channel_.data(), channel_.size()}, {scale_.data(), scale_.size()},
                                  {offset_.data(), offset_.size()}))
            return false;
        model::Layout layout(MutableBytes(memory_.data(), memory_.size()));
        history_.lay_out(plan_->plan, 0, kSlackMs, false, &layout);
        history_.bind(plan_->plan, 0,
                      {channel_.data(), scale_.data(), offset_.data(), uint16_t(channels.size()),
                       stream_.info.type == SampleType::float32});
        history_.reset();
        return true;
    }

    // Calls window(first sample, values) for every window that has a result.
    template <typename Window>
    void push(const Block& block, Window&& window) {
        if (block.segment != segment_) {
            segment_ = block.segment;
            history_.reset();
            window_ = 0;
            kept_ = 0;
        }
        const BlockView view = block.view();
        if (!history_.accepts(view)) return;
        const model::InputSpec& spec = history_.spec();
        const uint64_t last = block.first + block.count;
        for (uint32_t from = 0; from < block.count;) {
            const uint64_t begin = history_.begin_of(view, from);
            if (begin >= last) return;
            if (!history_.started()) window_ = (begin + spec.hop - 1) / spec.hop;
            const uint64_t end = window_ * spec.hop + spec.window;
            const uint64_t to = std::min(last, std::max(begin + 1, end));
            history_.push(view, from, to);
            from = uint32_t(to - block.first);
            if (window_ * spec.hop < history_.oldest())
                window_ = (history_.oldest() + spec.hop - 1) / spec.hop;
            for (; window_ * spec.hop + spec.window <= history_.next(); ++window_) {
                const uint64_t at = window_ * spec.hop;
                if (history_.judge(at, at + spec.window) != model::WindowState::result) continue;
                keep(at);
                if (kept_ == spec.span) window(at + spec.window - spec.span, values_);
            }
        }
    }

    int segment() const { return segment_; }

  private:
    static constexpr uint32_t kSlackMs = 1000;

    // Appends the plan's window at `at` to what it makes one of, if they follow each other.
    void keep(uint64_t at) {
        const model::InputSpec& spec = history_.spec();
        const size_t step = size_t(spec.window) * spec.channels, all = size_t(spec.span) * spec.channels;
        if (at != next_) kept_ = 0;
        next_ = at + spec.hop;
        if (kept_ == spec.span) {
            values_.erase(values_.begin(), values_.begin() + long(step));
            kept_ -= spec.window;
        }
        values_.resize(all);
        history_.copy_values(at, values_.data() + size_t(kept_) * spec.channels);
        kept_ += spec.window;
    }

    PlanPtr plan_;
    const SessionStream& stream_;
    std::vector<uint8_t> memory_;
    std::vector<uint16_t> channel_;
    std::vector<float> scale_, offset_, values_;
    model::History history_;
    int segment_ = -1;
    uint64_t window_ = 0;
    uint32_t kept_ = 0;           // samples in values_
    uint64_t next_ = UINT64_MAX;  // where the one after them begins
};

// Labels of a session as numbers of classes, in the order in which windows meet them.
class Labeller {
  public:
    Status load(SessionReader& reader) {
        const auto history = reader.label_history();
        return history ? track_.load(*history) : Status(tl::make_unexpected(history.error()));
    }

    // The class whose labels cover most of `seconds` from `start` on, when that is enough of it; else -1.
    // `start` is negative where the session has no time.
    int32_t label(double start, double seconds) {
        if (start < 0) return -1;
        std::map<std::string, double> share;
        for (const Label& label : track_.between(start, start + seconds))
            share[label.label_class] += std::min(start + seconds, label.stop) - std::max(start, label.start);
        const std::string* best = nullptr;
        double most = 0;
        for (const auto& [name, covered] : share)
            if (covered > most) {
                most = covered;
                best = &name;
            }
        if (best == nullptr || most < kMajority * seconds) return -1;
        return classes_.emplace(*best, int32_t(classes_.size())).first->second;
    }

    void name_classes(WindowSet* set) const {
        set->classes.resize(classes_.size());
        for (const auto& [name, number] : classes_)
            set->classes[size_t(number)] = name;
        if (classes_.empty()) set->labels.clear();
    }

  private:
    LabelTrack track_;
    std::map<std::string, int32_t> classes_;
};

// Session seconds of a sample of a segment; negative when it is in no run.
double time_of(const SessionStream& stream, int segment, uint64_t sample) {
    for (const RowRun& run : stream.runs)
        if (run.segment == segment && sample >= run.first && sample <= run.first + run.count)
            return run.time + double(sample - run.first) / stream.info.rate();
    return -1;
}

Error no_stream_fits(const model::InputSpec& spec, const std::string& path) {
    return {ErrorKind::usage,
            std::string("no stream of the session fits the model: it takes ") + spec.kind + " at " +
                std::to_string(double(spec.rate_num) / spec.rate_den) + " Hz",
            path, "'lockstep session info' lists the streams"};
}

void describe_source(SessionReader& reader, WindowSet* set) {
    set->session = true;
    set->part = "all";
    if (!reader.header().subject.empty()) set->people.assign(set->count, reader.header().subject);
    set->source = reader.path();
    set->sha256 = file_hash(reader.path());
}

Result<WindowSet> cut(const std::string& path, const PlanPtr& plan) {
    auto opened = storage::open_session(path);
    if (!opened) return tl::make_unexpected(opened.error());
    SessionReader& reader = **opened;
    if (plan->plan.inputs() != 1)
        return fail(ErrorKind::usage, "the model takes several streams", plan->plan.name(),
                    "this takes one; 'lockstep model run' and 'evaluate' on a session take several");
    Labeller labeller;
    if (const Status s = labeller.load(reader); !s) return tl::make_unexpected(s.error());

    WindowSet set;
    const model::InputSpec spec = plan->plan.input(0);
    set.shape = {spec.span, spec.channels};
    set.time_first = set.filtered = true;
    bool fits = false, full = false;
    for (size_t s = 0; s < reader.streams().size() && !fits; ++s) {
        const SessionStream& stream = reader.streams()[s];
        Cutter cutter(plan, stream);
        if (!cutter.bind()) continue;
        fits = true;
        const double seconds = double(spec.span) / stream.info.rate();
        const auto keep = [&](uint64_t first, const std::vector<float>& values) {
            full = full || set.values.size() + values.size() > kMaxValues;
            if (full) return;
            set.values.insert(set.values.end(), values.begin(), values.end());
            set.labels.push_back(labeller.label(time_of(stream, cutter.segment(), first), seconds));
            ++set.count;
        };
        const Status read = reader.replay([&](const Event& event) {
            const auto* block = std::get_if<std::shared_ptr<const Block>>(&event);
            if (block != nullptr && (*block)->stream == int(s)) cutter.push(**block, keep);
            return !full;
        });
        if (!read) return tl::make_unexpected(read.error());
    }
    if (!fits) return tl::make_unexpected(no_stream_fits(spec, path));
    if (full)
        return fail(ErrorKind::usage, "too many windows to hold in memory", path, "give fewer sessions");
    if (set.count == 0) return fail(ErrorKind::usage, "the session has no whole window for this model", path);
    labeller.name_classes(&set);
    describe_source(reader, &set);
    return set;
}

Result<WindowSet> decide(const std::string& path, const PlanPtr& plan) {
    auto opened = storage::open_session(path);
    if (!opened) return tl::make_unexpected(opened.error());
    SessionReader& reader = **opened;
    Labeller labeller;
    if (const Status s = labeller.load(reader); !s) return tl::make_unexpected(s.error());
    // The stream that the runner binds the plan's primary input to: the first one that fits.
    const SessionStream* primary = nullptr;
    for (const SessionStream& stream : reader.streams())
        if (primary == nullptr && Cutter(plan, stream).bind()) primary = &stream;
    const model::InputSpec spec = plan->plan.input(0);
    if (primary == nullptr) return tl::make_unexpected(no_stream_fits(spec, path));

    WindowSet set;
    set.shape = {plan->plan.scores()};
    const auto keep = [&](const Event& event) {
        const auto* p = std::get_if<Prediction>(&event);
        if (p == nullptr || p->origin != Origin::host || p->scores.size() != plan->plan.scores()) return;
        set.values.insert(set.values.end(), p->scores.begin(), p->scores.end());
        const uint64_t end = p->first[0] + spec.window, reach = std::min<uint64_t>(end, spec.span);
        set.labels.push_back(
            labeller.label(time_of(*primary, p->segment, end - reach), double(reach) / primary->info.rate()));
        ++set.count;
    };
    OfflineComparison runner({plan}, keep);
    const Status read = reader.replay([&](const Event& event) {
        runner.on_event(event);
        return true;
    });
    if (!read) return tl::make_unexpected(read.error());
    runner.finish();
    if (set.count == 0)
        return fail(ErrorKind::usage, "the model decides no window of this session", path,
                    "'lockstep compare SESSION --model PLAN' says why of each window");
    labeller.name_classes(&set);
    describe_source(reader, &set);
    return set;
}

bool is_session(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    char magic[4] = {};
    in.read(magic, sizeof magic);
    return std::string(magic, 4) == "\x89HDF" && !is_dataset(path);
}

}  // namespace

bool looks_beyond_window(const PlanPtr& plan) {
    return smooths(plan->plan) || plan->plan.inputs() > 1;
}

Result<std::optional<WindowSet>> session_decisions_for(const std::string& path, const PlanPtr& plan) {
    if (!is_session(path)) return std::nullopt;
    auto set = decide(path, plan);
    if (!set) return tl::make_unexpected(set.error());
    return std::move(*set);
}

Result<std::optional<WindowSet>> session_windows_for(const std::string& path, const PlanPtr& plan) {
    if (!is_session(path)) return std::nullopt;
    auto set = cut(path, plan);
    if (!set) return tl::make_unexpected(set.error());
    return std::move(*set);
}

}  // namespace lockstep::app
