#include "storage/formats/dataset_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace lockstep::storage {
namespace {

// Labels of one session that count for one stream, answering "what covers [t0, t1)?".
class LabelCover {
  public:
    LabelCover(const std::vector<Label>& labels, const DatasetSession& session, const DatasetRules& rules) {
        for (const Label& label : labels) {  // by start
            if (label.stream >= 0 && label.stream != session.stream) continue;
            if (label.stream >= 0 && label.channel >= 0 &&
                std::find(session.channels.begin(), session.channels.end(), label.channel) ==
                    session.channels.end())
                continue;
            if (!rules.classes.empty() && std::find(rules.classes.begin(), rules.classes.end(),
                                                    label.label_class) == rules.classes.end())
                continue;
            labels_.push_back(label);
            reach_.push_back(std::max(reach_.empty() ? label.stop : reach_.back(), label.stop));
        }
    }

    // The label that names the window, null when none does.
    const Label* find(const DatasetRules& rules, double t0, double t1) const {
        if (rules.rule == LabelRule::centre) {
            const double centre = (t0 + t1) / 2;
            const Label* found = nullptr;
            // The one that began last is the most particular.
            visit(centre, centre, [&](const Label& label) {
                if (label.start <= centre && centre < label.stop) found = &label;
            });
            return found;
        }
        if (rules.rule == LabelRule::event) {
            const Label* found = nullptr;
            visit(t0, t1, [&](const Label& label) {
                if (found == nullptr && label.start >= t0 && label.start < t1) found = &label;
            });
            return found;
        }
        std::map<std::string, std::pair<double, const Label*>> covered;
        visit(t0, t1, [&](const Label& label) {
            const double overlap = std::min(t1, label.stop) - std::max(t0, label.start);
            if (overlap <= 0) return;
            auto& [sum, first] = covered[label.label_class];
            sum += overlap;
            if (first == nullptr) first = &label;
        });
        const Label* best = nullptr;
        double most = 0;
        for (const auto& [name, entry] : covered)  // equal shares: the first by name
            if (entry.first > most) {
                most = entry.first;
                best = entry.second;
            }
        // A window of exactly the least share counts; the slack is for the sums' rounding.
        return best != nullptr && most >= rules.min_overlap * (t1 - t0) - 1e-9 ? best : nullptr;
    }

    const std::vector<Label>& labels() const { return labels_; }

  private:
    template <typename F>
    void visit(double t0, double t1, F&& f) const {
        size_t i = size_t(std::lower_bound(reach_.begin(), reach_.end(), t0) - reach_.begin());
        for (; i < labels_.size() && labels_[i].start <= t1; ++i)
            f(labels_[i]);
    }
    std::vector<Label> labels_;
    std::vector<double> reach_;  // latest stop so far: non-decreasing
};

Result<int> choose_stream(const SessionReader& session, const std::string& wanted) {
    const auto& streams = session.streams();
    for (const int index : stored_streams(session))
        if (wanted.empty() || streams[size_t(index)].info.name == wanted) return index;
    for (const int index : stored_streams(session))
        if (streams[size_t(index)].info.kind == wanted) return index;
    std::string names;
    for (const SessionStream& stream : streams)
        names += (names.empty() ? "" : ", ") + stream.info.name;
    return fail(ErrorKind::usage, "has no stream \"" + wanted + "\" with samples", session.path(),
                "it has: " + names);
}

Status choose_channels(const StreamInfo& info, const std::string& where, DatasetPlan* plan,
                       DatasetSession* session) {
    if (plan->channels.empty()) {
        plan->rate = info.rate();
        plan->stream_kind = info.kind;
        if (plan->rules.channels.empty()) {
            plan->channels = info.channels;
        } else {
            for (const std::string& name : plan->rules.channels) {
                ChannelInfo channel;
                channel.name = name;
                for (const ChannelInfo& known : info.channels)
                    if (known.name == name) channel = known;
                plan->channels.push_back(channel);
            }
        }
    }
    if (std::fabs(info.rate() - plan->rate) > 1e-9 * plan->rate)
        return fail(ErrorKind::usage,
                    info.name + " runs at " + number_text(info.rate()) + " Hz, the others at " +
                        number_text(plan->rate) + " Hz",
                    where, "nothing is resampled silently; leave this session out");
    for (const ChannelInfo& wanted : plan->channels) {
        int found = -1;
        for (size_t c = 0; c < info.channels.size(); ++c)
            if (found < 0 && info.channels[c].name == wanted.name) found = int(c);
        if (found < 0)
            return fail(ErrorKind::usage, info.name + " has no channel \"" + wanted.name + "\"", where);
        if (info.channels[size_t(found)].unit != wanted.unit)
            return fail(ErrorKind::usage,
                        "channel " + wanted.name + " is in " + info.channels[size_t(found)].unit +
                            ", in other sessions in " + wanted.unit,
                        where);
        session->channels.push_back(found);
    }
    return {};
}

// What a recording is known by even when it was imported or copied twice: when it began and its samples.
// Its ends suffice: two recordings do not begin and end with the same noise.
Result<std::string> content_of(SessionReader& session, int stream) {
    const SessionStream& info = session.streams()[size_t(stream)];
    constexpr uint64_t kRows = 4096;
    std::string bytes = std::to_string(session.header().start_utc_ns) + "," + std::to_string(info.rows);
    std::vector<int32_t> counts;
    for (const uint64_t row : {uint64_t(0), info.rows - std::min(info.rows, kRows)}) {
        const uint64_t n = std::min(kRows, info.rows - row);
        counts.resize(size_t(n) * info.info.channels.size());
        if (auto status = session.read(stream, row, n, counts.data()); !status)
            return tl::make_unexpected(status.error());
        bytes.append(reinterpret_cast<const char*>(counts.data()), counts.size() * sizeof(int32_t));
    }
    return hex_sha256(bytes);
}

void add_windows(const SessionStream& stream, const LabelCover& cover, uint32_t session,
                 std::vector<std::string>* names, DatasetPlan* plan) {
    const double length = double(plan->window) / true_rate(stream);
    RowRun run;
    const auto cut = [&] {
        // Windows lie on the sample counter's multiples of the hop, as a device decides them.
        uint64_t first = (run.first + plan->hop - 1) / plan->hop * plan->hop;
        for (; first + plan->window <= run.first + run.count; first += plan->hop) {
            DatasetWindow window;
            window.session = session;
            window.row = run.row + (first - run.first);
            window.start = row_time(stream, window.row);
            window.stop = window.start + length;
            const Label* label = cover.find(plan->rules, window.start, window.stop);
            if (label == nullptr && plan->rules.background.empty()) {
                ++plan->unlabelled;
                continue;
            }
            window.label_id = label != nullptr ? label->id : 0;
            names->push_back(label != nullptr ? label->label_class : plan->rules.background);
            plan->windows.push_back(window);
        }
    };
    for (const RowRun& next : stream.runs) {
        const bool joined = run.count > 0 && next.segment == run.segment &&
                            next.first == run.first + run.count && next.row == run.row + run.count;
        if (joined) {
            run.count += next.count;
        } else {
            if (run.count > 0) cut();
            run = next;
        }
    }
    if (run.count > 0) cut();
}

// splitmix64 (Steele, Lea, Flood 2014): small, and the same on every computer.
uint64_t next_random(uint64_t* state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Deals n groups into parts by share; every part that has a share gets at least one. Empty: too few groups.
std::vector<Part> deal(size_t n, const DatasetRules& rules, uint64_t salt) {
    const auto share = [n](double part) {
        return part > 0 ? std::max<size_t>(1, size_t(std::lround(part * double(n)))) : 0;
    };
    const size_t val = share(rules.val);
    const size_t test = share(rules.test);
    if (val + test >= n) return {};
    std::vector<size_t> order(n);
    for (size_t i = 0; i < n; ++i)
        order[i] = i;
    uint64_t state = rules.seed ^ (salt * 0xd1342543de82ef95u);
    for (size_t i = n; i > 1; --i)
        std::swap(order[i - 1], order[next_random(&state) % i]);
    std::vector<Part> parts(n, Part::train);
    for (size_t i = 0; i < test; ++i)
        parts[order[i]] = Part::test;
    for (size_t i = test; i < test + val; ++i)
        parts[order[i]] = Part::val;
    return parts;
}

Status split_by_group(DatasetPlan* plan) {
    const bool by_subject = plan->rules.split == SplitBy::subject;
    std::map<std::string, size_t> index;
    for (const DatasetSession& session : plan->sessions)
        index.try_emplace(by_subject ? session.subject : session.recording, 0);
    size_t next = 0;
    for (auto& [key, number] : index)
        number = next++;
    const std::vector<Part> parts = deal(index.size(), plan->rules, 0);
    if (parts.empty())
        return fail(ErrorKind::usage,
                    std::to_string(index.size()) + (by_subject ? " subjects" : " sessions") +
                        " are too few for the parts asked for",
                    "", "add sessions, or: --set val=0 --set test=0, or: --set split=time");
    for (DatasetWindow& window : plan->windows) {
        const DatasetSession& session = plan->sessions[window.session];
        window.part = parts[index.at(by_subject ? session.subject : session.recording)];
    }
    return {};
}

Status split_by_time(DatasetPlan* plan) {
    const auto blocks = size_t(plan->rules.blocks);
    std::vector<std::vector<Part>> parts;
    for (size_t s = 0; s < plan->sessions.size(); ++s) {
        parts.push_back(deal(blocks, plan->rules, s + 1));
        if (parts.back().empty())
            return fail(ErrorKind::usage,
                        std::to_string(blocks) + " blocks are too few for the parts asked for", "blocks");
    }
    const double margin = plan->rules.gap / 2;
    std::vector<DatasetWindow> kept;
    for (DatasetWindow& window : plan->windows) {
        const double length = plan->sessions[window.session].duration / double(blocks);
        const auto block = [&](double t) {
            return size_t(std::clamp(std::floor(t / length), 0.0, double(blocks - 1)));
        };
        const auto& of = parts[window.session];
        const size_t last = block(window.stop + margin);
        bool one = true;
        for (size_t b = block(window.start - margin); b <= last; ++b)
            one = one && of[b] == of[last];
        if (one) {
            window.part = of[last];
            kept.push_back(window);
        }
    }
    plan->left_out = plan->windows.size() - kept.size();
    plan->windows = std::move(kept);
    return {};
}

}  // namespace

size_t DatasetPlan::count(Part part) const {
    return size_t(std::count_if(windows.begin(), windows.end(),
                                [part](const DatasetWindow& w) { return w.part == part; }));
}

Result<DatasetPlan> plan_dataset(SessionSource& sessions, const DatasetRules& rules) {
    DatasetPlan plan;
    plan.rules = rules;
    std::vector<std::string> names;  // class of each window
    std::set<std::string> identifiers;
    std::map<std::string, std::string> contents;  // -> path
    for (size_t i = 0; i < sessions.size(); ++i) {
        auto opened = sessions.open(i);
        if (!opened) return tl::make_unexpected(opened.error());
        SessionReader& reader = **opened;
        DatasetSession session;
        session.path = reader.path();
        session.identifier = reader.header().identifier;
        session.subject = reader.header().subject;
        // The parts of a long recording are one session: their ends are neighbours.
        const auto whole = reader.header().settings.find("part_of");
        session.recording = whole == reader.header().settings.end() ? session.identifier : whole->second;
        session.start_utc_ns = reader.header().start_utc_ns;
        session.duration = reader.duration();
        if (!identifiers.insert(session.identifier).second)
            return fail(ErrorKind::usage, "the same session is given twice", session.path,
                        "name each session once");
        if (rules.split == SplitBy::subject && session.subject.empty())
            return fail(ErrorKind::usage, "names no subject", session.path,
                        "record or import with --subject, or: --set split=session, or: --set split=time");
        if (rules.split == SplitBy::subject && reader.header().composite)
            return fail(ErrorKind::usage, "joins streams of several people", session.path,
                        "--set split=session, or: --set split=time");
        if (!rules.hidden)
            if (auto hash = file_sha256(session.path)) session.sha256 = *hash;
        auto stream = choose_stream(reader, rules.stream);
        if (!stream) return tl::make_unexpected(stream.error());
        session.stream = *stream;
        const SessionStream& info = reader.streams()[size_t(*stream)];
        if (auto status = choose_channels(info.info, session.path, &plan, &session); !status)
            return tl::make_unexpected(status.error());
        auto content = content_of(reader, *stream);
        if (!content) return tl::make_unexpected(content.error());
        const auto [same, fresh] = contents.try_emplace(*content, session.path);
        if (!fresh)
            return fail(ErrorKind::usage, "holds the same samples as " + same->second, session.path,
                        "name each recording once");
        plan.window = uint64_t(std::max(1.0, std::round(rules.window * plan.rate)));
        plan.hop = uint64_t(std::max(1.0, std::round(rules.hop * plan.rate)));
        auto labels = current_labels(reader);
        if (!labels) return tl::make_unexpected(labels.error());
        session.label_revision = labels->revision;
        const LabelCover cover(labels->labels, session, rules);
        add_windows(info, cover, uint32_t(plan.sessions.size()), &names, &plan);
        plan.sessions.push_back(std::move(session));
    }
    // Named classes keep their numbers even where one does not occur, so that data sets fit each other.
    std::map<std::string, int64_t> numbers;
    plan.classes = rules.classes;
    if (rules.classes.empty()) {
        const std::set<std::string> used(names.begin(), names.end());
        plan.classes.assign(used.begin(), used.end());
    } else if (!rules.background.empty()) {
        plan.classes.push_back(rules.background);
    }
    for (const std::string& name : plan.classes)
        numbers.try_emplace(name, int64_t(numbers.size()));
    if (numbers.size() < plan.classes.size())
        return fail(ErrorKind::usage, "a class is named twice", "classes, background");
    for (size_t i = 0; i < names.size(); ++i)
        plan.windows[i].y = numbers.at(names[i]);
    if (plan.windows.empty())
        return fail(
            ErrorKind::usage, "no window has a label", "",
            plan.unlabelled > 0
                ? std::to_string(plan.unlabelled) +
                      " windows have none: label the sessions, lower min_overlap or name a background class"
                : "the recordings are shorter than a window");
    Status status;
    if (rules.split == SplitBy::subject || rules.split == SplitBy::session) status = split_by_group(&plan);
    if (rules.split == SplitBy::time) status = split_by_time(&plan);
    if (status) status = prove_disjoint(plan);
    if (!status) return tl::make_unexpected(status.error());
    if (plan.count(Part::train) == 0) return fail(ErrorKind::usage, "no window is left to train on");
    return plan;
}

Status prove_disjoint(const DatasetPlan& plan) {
    if (plan.rules.split == SplitBy::subject) {
        std::map<std::string, Part> part;
        for (const DatasetWindow& window : plan.windows) {
            const auto& subject = plan.sessions[window.session].subject;
            if (part.try_emplace(subject, window.part).first->second != window.part)
                return fail(ErrorKind::usage, "a subject is in two parts", subject);
        }
    }
    if (plan.rules.split == SplitBy::none) return {};
    // Windows come by session and row, so the nearest earlier window of another part is the last one of it.
    struct Last {
        bool seen = false;
        uint32_t session = 0;
        uint64_t end = 0;
        double stop = 0;
    };
    Last last[3];
    for (const DatasetWindow& window : plan.windows) {
        for (size_t p = 0; p < 3; ++p) {
            if (p == size_t(window.part) || !last[p].seen || last[p].session != window.session) continue;
            const bool near =
                plan.rules.split == SplitBy::time && window.start < last[p].stop + plan.rules.gap - 1e-6;
            if (window.row < last[p].end || near)
                return fail(ErrorKind::usage,
                            "windows of different parts share samples or are nearer than the gap",
                            plan.sessions[window.session].path + " row " + std::to_string(window.row));
        }
        Last& mine = last[size_t(window.part)];
        mine = {true, window.session, window.row + plan.window, window.stop};
    }
    return {};
}

}  // namespace lockstep::storage
