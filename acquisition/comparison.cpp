#include "acquisition/comparison.h"

#include <algorithm>
#include <cstring>

namespace lockstep {
namespace {

// A device that is so late has lost the prediction.
constexpr int64_t kPatienceNs = 30'000'000'000;
constexpr size_t kGapsKept = 256;
constexpr int kUnansweredAtMost = 2;
constexpr size_t kUnopenedAtMost = 4096;  // a hostile device predicts windows that never come

const char* cause_text(GapCause cause) {
    switch (cause) {
        case GapCause::link:
            return "lost on the link";
        case GapCause::device:
            return "lost on the device";
        case GapCause::host:
            return "lost on the host";
    }
    return "lost";
}

std::string gap_text(const Gap& gap, const std::string& stream) {
    const std::string first = std::to_string(gap.first);
    const std::string samples = gap.missing == 1
                                    ? "sample " + first
                                    : "samples " + first + "-" + std::to_string(gap.first + gap.missing - 1);
    return samples + " of " + stream + " " + cause_text(gap.cause);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

}  // namespace

void Comparison::on_event(const Event& event) {
    if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&event)) {
        on_block(**block);
    } else if (const auto* prediction = std::get_if<Prediction>(&event)) {
        if (prediction->origin == Origin::device) on_prediction(*prediction);
    } else if (const auto* gap = std::get_if<Gap>(&event)) {
        on_gap(*gap);
    } else if (const auto* started = std::get_if<SegmentStarted>(&event)) {
        start(*started);
    } else if (const auto* ended = std::get_if<SegmentEnded>(&event)) {
        const auto it = segments_.find(ended->segment);
        if (it == segments_.end()) return;
        for (Match& m : it->second)
            end(m);
        segments_.erase(it);
    }
}

void Comparison::finish() {
    for (auto& segment : segments_)
        for (Match& m : segment.second)
            end(m);
    segments_.clear();
}

void Comparison::start(const SegmentStarted& e) {
    std::vector<Match>& matches = segments_[e.segment];
    for (size_t i = 0; i < models_.size(); ++i) {
        auto runner = ModelRunner::bind(models_[i], e.info, e.streams);
        if (!runner) continue;
        Match m;
        m.segment = e.segment;
        m.model = int(i);
        m.runner = std::move(*runner);
        for (const int s : m.runner->device_streams())
            m.stream_names.push_back(e.info.streams[size_t(s)].name);
        m.next_sample.resize(m.stream_names.size());
        // The same plan, or else another version of it: then every window says so.
        const auto find = [&](auto&& fits) {
            const auto it = std::find_if(e.info.models.begin(), e.info.models.end(), fits);
            if (it == e.info.models.end()) return false;
            m.device = *it;
            return true;
        };
        const auto host_has = [&](const std::string& id) {
            return std::any_of(models_.begin(), models_.end(),
                               [&](const PlanPtr& p) { return p->plan_id == id; });
        };
        m.compared =
            find([&](const DeviceModel& d) { return d.active && d.plan_id == models_[i]->plan_id; }) ||
            find([&](const DeviceModel& d) {
                return d.active && d.name == models_[i]->plan.name() && !host_has(d.plan_id);
            });
        matches.push_back(std::move(m));
    }
}

void Comparison::cover(Match& m, uint64_t first, uint64_t last) {
    if (!m.begun) {
        m.begun = true;
        m.begin = first;
        m.end = last;
        const uint64_t hop = m.runner->plan().plan.input(0).hop;
        m.next = uint32_t((first + hop - 1) / hop);
    }
    m.end = std::max(m.end, last);
}

void Comparison::on_block(const Block& block) {
    const auto it = segments_.find(block.segment);
    if (it == segments_.end()) return;
    for (Match& m : it->second) {
        const std::vector<int>& streams = m.runner->streams();
        if (block.stream == streams[0]) cover(m, block.first, block.first + block.count);
        for (size_t i = 0; i < streams.size(); ++i)
            if (block.stream == streams[i]) m.next_sample[i] = block.first + block.count;
        m.runner->push(block, [&](const ModelRunner::Window& w) { decided(m, w, block.host_ns); });
        resolve(m, block.host_ns, false);
    }
}

void Comparison::on_gap(const Gap& gap) {
    const auto it = segments_.find(gap.segment);
    if (it == segments_.end() || gap.missing == 0) return;
    for (Match& m : it->second) {
        const std::vector<int>& streams = m.runner->streams();
        if (std::find(streams.begin(), streams.end(), gap.stream) == streams.end()) continue;
        m.gaps.push_back(gap);
        if (m.gaps.size() > kGapsKept) m.gaps.erase(m.gaps.begin());
        if (gap.stream == streams[0]) cover(m, gap.first, gap.first + gap.missing);
    }
}

void Comparison::on_prediction(const Prediction& p) {
    const auto it = segments_.find(p.segment);
    if (it == segments_.end()) return;
    // By the plan it names; a plan that nobody knows belongs to the model it claims to be.
    const auto find = [&](auto&& fits) {
        const auto found = std::find_if(it->second.begin(), it->second.end(), fits);
        return found == it->second.end() ? nullptr : &*found;
    };
    Match* m = find([&](const Match& x) {
        return x.compared && !p.plan_id.empty() &&
               x.device.plan_id.compare(0, p.plan_id.size(), p.plan_id) == 0;
    });
    if (m == nullptr) m = find([&](const Match& x) { return x.compared && x.model == p.model; });
    if (m == nullptr) return;
    m->predicted = std::max(m->predicted, p.window + 1);
    const bool over = p.window < m->next && (m->waiting.empty() || p.window < m->waiting.front().window);
    if (!over && m->predictions.size() < kUnopenedAtMost) m->predictions.emplace(p.window, p);
    resolve(*m, p.host_ns, false);
}

void Comparison::decided(Match& m, const ModelRunner::Window& w, int64_t host_ns) {
    const model::WindowResult& r = *w.result;
    const LoadedPlan& plan = m.runner->plan();
    const size_t inputs = plan.plan.inputs();
    const auto hold = [&](uint32_t window, model::WindowState state) {
        Waiting waiting;
        waiting.window = window;
        waiting.state = state;
        waiting.since_ns = host_ns;
        waiting.host.segment = m.segment;
        waiting.host.model = m.model;
        waiting.host.window = window;
        m.waiting.push_back(std::move(waiting));
    };
    // The core begins with the first sample that came; windows sent before are lost.
    for (; m.next < r.window; ++m.next)
        hold(m.next, model::WindowState::missing);
    if (r.window < m.next) return;
    hold(r.window, w.state);
    m.next = r.window + 1;
    Prediction& host = m.waiting.back().host;
    host.first.assign(r.first, r.first + inputs);
    if (w.state != model::WindowState::result) return;
    host.origin = Origin::host;
    host.plan_id = plan.plan_id;
    host.input_hash = r.input_hash;
    host.output_hash = r.output_hash;
    host.scores.assign(r.scores, r.scores + r.scores_count);
    host.cost_kind = wire::CostKind::host_us;
    host.cost = w.cost_us;
    host.device_us = w.device_us;
    host.host_ns = host_ns;
    host.stages.assign(r.stage_hash, r.stage_hash + r.stages);
    publish_(host);
}

// Decides, in order, what can be decided; with `last` all of it.
void Comparison::resolve(Match& m, int64_t now_ns, bool last) {
    if (!m.compared) {
        m.waiting.clear();
        return;
    }
    while (!m.waiting.empty()) {
        const Waiting& w = m.waiting.front();
        if (w.state == model::WindowState::warming) {
            give(m, w.window, {Verdict::outside, Difference::none, -1, "warming up"});
        } else if (w.state == model::WindowState::missing) {
            give(m, w.window, missing(m, w.window, w.host.first));
        } else {
            const auto device = m.predictions.find(w.window);
            if (device != m.predictions.end())
                give(m, w.window, compare(m, w.host, device->second));
            else if (last || m.predicted > w.window || now_ns - w.since_ns > kPatienceNs)
                give(m, w.window,
                     {Verdict::lost, Difference::none, -1, "the device's prediction never came"});
            else
                return;
        }
        m.predictions.erase(m.predictions.begin(), m.predictions.upper_bound(w.window));
        m.waiting.pop_front();
    }
}

void Comparison::end(Match& m) {
    if (m.begun && m.compared) {
        const model::InputSpec primary = m.runner->plan().plan.input(0);
        resolve(m, 0, true);
        // Sent, but the samples to decide on never came.
        for (; uint64_t(m.next) * primary.hop + primary.window <= m.end; ++m.next)
            give(m, m.next, undecided(m, m.next));
    }
    m.compared = false;
}

void Comparison::give(const Match& m, uint32_t window, Finding finding) {
    publish_(WindowVerdict{m.segment, m.model, window, finding.verdict, finding.difference, finding.stage,
                           std::move(finding.reason)});
}

// Which samples are missing for a window: in it, or before it in the history its filters depend on.
Comparison::Finding Comparison::missing(const Match& m, uint32_t window,
                                        const std::vector<uint64_t>& first) const {
    const model::Plan& plan = m.runner->plan().plan;
    const std::vector<int>& streams = m.runner->streams();
    const Gap* before = nullptr;
    std::string before_stream;
    for (size_t i = 0; i < streams.size(); ++i) {
        const model::InputSpec spec = plan.input(i);
        // The device's clock places a secondary's window; undecided, it is anywhere up to now.
        const bool placed = i == 0 || (i < first.size() && first[i] != 0);
        const uint64_t begin = i == 0 ? uint64_t(window) * spec.hop : placed ? first[i] : 0;
        const uint64_t end = placed ? begin + spec.window : UINT64_MAX;
        for (auto gap = m.gaps.rbegin(); gap != m.gaps.rend(); ++gap) {
            if (gap->stream != streams[i] || gap->first >= end) continue;
            if (gap->first + gap->missing > begin && placed)
                return {Verdict::lost, Difference::none, -1, gap_text(*gap, m.stream_names[i])};
            if (before == nullptr || gap->host_ns > before->host_ns) {
                before = &*gap;
                before_stream = m.stream_names[i];
            }
            break;
        }
    }
    if (before != nullptr)
        return {Verdict::lost, Difference::none, -1,
                gap_text(*before, before_stream) + ", which the window depends on"};
    if (m.begin != 0)
        return {Verdict::outside, Difference::none, -1,
                "what the window depends on was sent before the recording began"};
    return {Verdict::lost, Difference::none, -1,
            "samples that the window depends on are missing on the host"};
}

// Why a window was still open when the segment ended: the end of a stream is missing, or a secondary
// stream was not yet past the window's end, on the device as here.
Comparison::Finding Comparison::undecided(const Match& m, uint32_t window) const {
    const model::InputSpec primary = m.runner->plan().plan.input(0);
    const uint64_t begin = uint64_t(window) * primary.hop;
    const std::vector<int>& streams = m.runner->streams();
    for (auto gap = m.gaps.rbegin(); gap != m.gaps.rend(); ++gap)
        for (size_t i = 0; i < streams.size(); ++i) {
            if (gap->stream != streams[i]) continue;
            const bool inside =
                i == 0 && gap->first < begin + primary.window && gap->first + gap->missing > begin;
            const bool at_end = i < m.next_sample.size() && gap->first >= m.next_sample[i];
            if (inside || at_end)
                return {Verdict::lost, Difference::none, -1, gap_text(*gap, m.stream_names[i])};
        }
    return {Verdict::outside, Difference::none, -1, "the streams stopped before the window could be decided"};
}

Comparison::Finding Comparison::compare(Match& m, const Prediction& host, const Prediction& device) {
    const LoadedPlan& plan = m.runner->plan();
    if (plan.plan_id.compare(0, device.plan_id.size(), device.plan_id) != 0 || device.plan_id.empty())
        return {Verdict::different, Difference::plan, -1,
                "the device ran plan " + device.plan_id + ", the host " + plan.plan_id.substr(0, 16)};
    for (size_t i = 0; i < m.device.input_streams.size() && i < m.stream_names.size(); ++i)
        if (m.device.input_streams[i] != m.runner->device_streams()[i])
            return {Verdict::different, Difference::settings, -1,
                    "the device's model reads its stream " + std::to_string(m.device.input_streams[i]) +
                        ", the host's reads " + m.stream_names[i]};
    if (device.first.size() != host.first.size())
        return {Verdict::different, Difference::settings, -1,
                "the device's model has " + std::to_string(device.first.size()) + " inputs, the host's " +
                    std::to_string(host.first.size())};
    for (size_t i = 0; i < host.first.size(); ++i)
        if (device.first[i] != host.first[i])
            return {Verdict::different, Difference::samples, -1,
                    "the device's window of " + m.stream_names[i] + " begins at sample " +
                        std::to_string(device.first[i]) + ", the host's at " + std::to_string(host.first[i])};
    if (device.input_hash == host.input_hash && device.output_hash == host.output_hash) {
        if (same_bits(device.scores, host.scores)) return {};
        return {Verdict::different, Difference::arithmetic, int(plan.plan.stages()) - 1,
                "the device's scores are not those it hashed"};
    }
    return locate(m, host, device);
}

// Asks the device for its stage hashes and names the first that differs.
Comparison::Finding Comparison::locate(Match& m, const Prediction& host, const Prediction& device) {
    const model::Plan& plan = m.runner->plan().plan;
    Finding out{Verdict::different, Difference::none, -1, {}};
    const bool input_same = device.input_hash == host.input_hash;
    Result<std::vector<uint32_t>> stages = fail(ErrorKind::device, "there is no device to ask");
    // A device that does not answer is not asked for every window.
    if (stages_ && m.unanswered < kUnansweredAtMost) {
        stages = stages_(m.segment, m.model, host.window);
        m.unanswered = stages ? 0 : m.unanswered + 1;
    }
    if (!stages) {
        if (input_same) out.difference = Difference::arithmetic;
        out.reason =
            std::string(input_same ? "the output differs, the input is the same" : "the input differs") +
            "; at which stage is not known: " + stages.error().what;
        return out;
    }
    if (stages->size() != host.stages.size()) {
        out.difference = Difference::settings;
        out.reason = "the device reports " + std::to_string(stages->size()) + " stages, the plan has " +
                     std::to_string(host.stages.size());
        return out;
    }
    const auto at = std::mismatch(stages->begin(), stages->end(), host.stages.begin()).first;
    if (at == stages->end()) {
        out.difference = Difference::arithmetic;
        out.stage = int(plan.stages()) - 1;
        out.reason = "every stage is the same, but the device's prediction says otherwise";
        return out;
    }
    out.stage = int(at - stages->begin());
    const model::StageInfo stage = plan.stage(size_t(out.stage));
    out.difference = stage.kind == model::StageKind::samples ? Difference::samples : Difference::arithmetic;
    out.reason = std::string("first at stage ") + std::to_string(out.stage) + " (" + stage.name + ")";
    return out;
}

}  // namespace lockstep
