// EDF, EDF+, BDF and BDF+. Signals of one rate become one stream, with the digits of the file as counts and
// its calibration as scale and offset; trigger channels a stream of their own and labels; annotations become
// labels; what lies between the records of an interrupted file (EDF+D) is a gap.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "storage/formats/edf_reader.h"
#include "storage/formats/import_text.h"
#include "storage/formats/triggers.h"

namespace lockstep::storage {
namespace {

bool matches(const std::string&, const std::string& head) {
    return head.size() >= 8 && (head.compare(0, 8, "0       ") == 0 || head.compare(0, 8,
                                                                                    "\xff"
                                                                                    "BIOSEMI") == 0);
}

// Signals of one rate and sort: a stream.
struct Group {
    std::vector<const EdfFileSignal*> signals;
    StreamInfo info;
    std::vector<TriggerCodes> triggers;  // one per signal of a trigger stream
    std::vector<bool> biosemi;           // 16 trigger inputs; above them battery, electrodes' range and speed
    // Samples that wait to be handed on: from `first` on, the first at `time`.
    std::vector<int32_t> counts;
    uint64_t first = 0;
    double time = 0;

    uint64_t held() const { return counts.size() / signals.size(); }
};

Result<std::vector<Group>> group_signals(const EdfReader& file, const std::string& source) {
    constexpr double kTicks = 1e7;  // of a record's duration: what its eight characters can hold
    // Fastest first; a trigger channel is no EEG channel and stands behind the signals of its rate.
    std::map<std::pair<size_t, bool>, Group, std::greater<>> found;
    for (const EdfFileSignal& signal : file.signals())
        if (!signal.annotations)
            found[{signal.samples, !is_trigger(signal.label)}].signals.push_back(&signal);
    std::map<std::string, int> used;
    std::vector<Group> groups;
    for (auto& [key, group] : found) {
        if (file.record_seconds() * kTicks < 1)
            return fail(ErrorKind::usage, "its data records have no length", source);
        const uint64_t num = uint64_t(key.first) * uint64_t(kTicks);
        const auto den = uint64_t(std::llround(file.record_seconds() * kTicks));
        const uint64_t common = std::gcd(num, den);
        if (num / common > UINT32_MAX || den / common > UINT32_MAX)
            return fail(ErrorKind::usage, "a sampling rate that cannot be", source);
        StreamInfo& info = group.info;
        info.type = file.bdf() ? SampleType::int24 : SampleType::int16;
        info.rate_num = uint32_t(num / common);
        info.rate_den = uint32_t(den / common);
        std::map<std::string, int> kinds;
        for (const EdfFileSignal* s : group.signals) {
            add_channel(&info, s->label, s->unit, float(s->scale()), float(s->offset()));
            ++kinds[guess_kind(s->label, s->unit)];
            if (!key.second) {
                group.triggers.emplace_back(s->label);
                group.biosemi.push_back(file.bdf() && lower(s->label) == "status");
            }
        }
        info.kind = "other";
        for (const auto& [kind, n] : kinds)
            if (n > kinds[info.kind]) info.kind = kind;
        if (!key.second) info.kind = "trigger";
        info.name = info.kind == "other" ? "signals" : info.kind;
        if (const int n = ++used[info.name]; n > 1) info.name += std::to_string(n);
        groups.push_back(std::move(group));
    }
    return groups;
}

Status flush(Group& group, int stream, ImportSink* sink) {
    if (group.counts.empty()) return {};
    auto status = sink->samples(stream, group.time, group.counts);
    group.first += group.held();
    group.counts.clear();
    return status;
}

// What was lost before `time`, where a record begins after an interruption.
Status skip(Group& group, int stream, double time, ImportSink* sink) {
    if (auto status = flush(group, stream, sink); !status) return status;
    const auto due = uint64_t(std::llround(time * group.info.rate()));
    if (due <= group.first) return {};
    const uint64_t missing = due - group.first;
    group.first = due;
    return sink->gap(stream, missing);
}

// One record's samples of a group, the first at `time`.
Status take(const EdfReader& file, Group& group, int stream, double time, ImportSink* sink) {
    constexpr uint64_t kBlock = 2048;
    const double rate = group.info.rate();
    if (group.held() >= kBlock)
        if (auto status = flush(group, stream, sink); !status) return status;
    if (group.counts.empty()) group.time = time;
    const size_t samples = group.signals.front()->samples;
    for (size_t i = 0; i < samples; ++i)
        for (size_t c = 0; c < group.signals.size(); ++c) {
            const EdfFileSignal& signal = *group.signals[c];
            const int32_t digit = file.digit(signal, i);
            group.counts.push_back(digit);
            if (group.triggers.empty()) continue;
            group.triggers[c].add(group.biosemi[c] ? double(uint32_t(digit) & 0xFFFFu)
                                                   : double(digit) * signal.scale() + signal.offset(),
                                  time + double(i) / rate);
        }
    return {};
}

// EDF+ names the signal that a text is about after "@@".
Status label(const EdfAnnotation& a, const std::vector<Group>& groups, ImportSink* sink) {
    std::string text = a.text;
    int stream = -1;
    int channel = -1;
    if (const size_t at = text.rfind("@@"); at != std::string::npos && at > 0)
        for (size_t g = 0; g < groups.size(); ++g)
            for (size_t c = 0; c < groups[g].signals.size(); ++c)
                if (stream < 0 && groups[g].signals[c]->label == text.substr(at + 2)) {
                    stream = int(g);
                    channel = int(c);
                }
    if (stream >= 0) text.resize(text.rfind("@@"));
    return sink->label(a.onset, a.onset + a.duration, text, {}, stream, channel);
}

Status read(const std::string& source, const ImportOptions& options, ImportSink* sink) {
    EdfReader file;
    if (auto status = file.open(source); !status) return status;
    const std::string said = std::to_string(file.declared());
    if (file.declared() == EdfReader::kUnknown)
        sink->note("the file was never closed: all " + std::to_string(file.records()) +
                   " whole records are read");
    else if (file.records() < file.declared() && options.value("incomplete") != "yes")
        return fail(
            ErrorKind::usage,
            "not all of the file is there: " + std::to_string(file.records()) + " of " + said + " records",
            source, "copy it once more, or take what there is: --set incomplete=yes");
    else if (file.records() < file.declared())
        sink->note("only " + std::to_string(file.records()) + " of " + said + " records are there");
    if (file.longer())
        sink->note("what follows the " + said + " records that the header tells of is left out");

    auto groups = group_signals(file, source);
    if (!groups) return tl::make_unexpected(groups.error());
    std::vector<StreamInfo> streams;
    for (const Group& group : *groups)
        streams.push_back(group.info);
    // A notch filter names the mains frequency: "N:50Hz".
    for (const EdfFileSignal& signal : file.signals())
        for (const int mains : {50, 60})
            if (lower(signal.filters).find("n:" + std::to_string(mains)) != std::string::npos)
                sink->mains(mains);
    // Names of people stay where they are: the subject is what the caller says.
    if (auto status =
            sink->begin(file.bdf() ? "BDF file" : "EDF file", file.start_utc_ns(), std::move(streams));
        !status)
        return status;
    std::vector<EdfAnnotation> annotations;
    double end = 0;
    uint64_t interruptions = 0;
    for (uint64_t record = 0; record < file.records(); ++record) {
        double time = 0;
        if (auto status = file.next(&time, &annotations); !status) return status;
        // Times are written with few digits: a record that begins almost where the last one ended follows it.
        const double slack = std::max(0.001, 0.01 * file.record_seconds());
        if (time < end - slack)
            return fail(ErrorKind::usage, "a record begins before the one before it has ended",
                        source + ": record " + std::to_string(record + 1));
        const bool jump = time > end + slack;
        interruptions += jump;
        for (size_t g = 0; g < groups->size(); ++g) {
            if (jump)
                if (auto status = skip((*groups)[g], int(g), time, sink); !status) return status;
            if (auto status = take(file, (*groups)[g], int(g), jump ? time : end, sink); !status)
                return status;
        }
        end = (jump ? time : end) + file.record_seconds();
        if (options.progress && record % 64 == 0 &&
            !options.progress(double(record) / double(file.records())))
            return fail(ErrorKind::usage, "stopped");
    }
    for (size_t g = 0; g < groups->size(); ++g)
        if (auto status = flush((*groups)[g], int(g), sink); !status) return status;
    if (interruptions > 0 && !groups->empty())
        sink->note(std::to_string(interruptions) + " interruptions between records are stored as gaps");
    TriggerCodes::Told told;
    for (const EdfAnnotation& a : annotations) {
        if (auto status = label(a, *groups, sink); !status) return status;
        told.insert({a.text, std::llround(a.onset * 1e3)});
    }
    for (const Group& group : *groups)
        for (const TriggerCodes& codes : group.triggers)
            if (auto status = codes.finish(sink, end, told); !status) return status;
    return {};
}

}  // namespace

ImportFormat edf_import() {
    OptionInfo incomplete;
    incomplete.name = "incomplete";
    incomplete.text = "yes: read a file that was cut off as far as it goes";
    incomplete.choices = {"no", "yes"};
    return {"edf", "EDF, EDF+, BDF, BDF+", {incomplete, label_file_option()}, matches, read};
}

}  // namespace lockstep::storage
