#include "app/base/session_signals.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace lockstep::app {

Result<std::unique_ptr<SessionSignals>> SessionSignals::open(std::unique_ptr<SessionReader> reader) {
    std::map<int, uint64_t> samples;  // by segment
    for (const SessionStream& stream : reader->streams())
        for (const RowRun& run : stream.runs)
            samples[run.segment] += run.count;
    if (samples.empty())
        return fail(ErrorKind::usage, "the session holds no samples to replay", reader->path(),
                    "choose another session");
    std::unique_ptr<SessionSignals> out(new SessionSignals);
    out->segment_ = std::max_element(samples.begin(), samples.end(), [](const auto& a, const auto& b) {
                        return a.second < b.second;
                    })->first;
    // Device time of sample 0 of each stream, by the stream's first run.
    std::vector<double> zero_us;
    for (size_t i = 0; i < reader->streams().size(); ++i) {
        const SessionStream& stored = reader->streams()[i];
        Stream stream;
        stream.index = int(i);
        for (const RowRun& run : stored.runs)
            if (run.segment == out->segment_ && run.count > 0) stream.runs.push_back(run);
        if (stream.runs.empty()) continue;
        std::sort(stream.runs.begin(), stream.runs.end(),
                  [](const RowRun& a, const RowRun& b) { return a.first < b.first; });
        stream.length = stream.runs.back().first + stream.runs.back().count;
        zero_us.push_back(double(stream.runs.front().device_us) -
                          double(stream.runs.front().first) * 1e6 / stored.info.rate());
        out->infos_.push_back(stored.info);
        out->streams_.push_back(std::move(stream));
    }
    const double earliest = *std::min_element(zero_us.begin(), zero_us.end());
    for (size_t i = 0; i < zero_us.size(); ++i)
        out->streams_[i].start_us = uint32_t(std::clamp(std::round(zero_us[i] - earliest), 0.0, 4e9));
    out->reader_ = std::move(reader);
    return out;
}

Result<SignalChunk> SessionSignals::read(size_t stream, uint64_t first, uint32_t max) {
    const Stream& s = streams_[stream];
    auto run = std::upper_bound(s.runs.begin(), s.runs.end(), first,
                                [](uint64_t n, const RowRun& r) { return n < r.first + r.count; });
    SignalChunk out;
    if (run == s.runs.end()) return fail(ErrorKind::usage, "past the end of the stream", infos_[stream].name);
    if (first < run->first) {
        out.missing = uint32_t(std::min<uint64_t>(max, run->first - first));
        return out;
    }
    const uint64_t count = std::min<uint64_t>(max, run->first + run->count - first);
    out.counts.resize(size_t(count) * infos_[stream].channels.size());
    if (const Status read = reader_->read(s.index, run->row + (first - run->first), count, out.counts.data());
        !read)
        return tl::make_unexpected(read.error());
    return out;
}

double SessionSignals::longest_gap() const {
    double out = 0;
    for (size_t i = 0; i < streams_.size(); ++i) {
        uint64_t end = 0;
        for (const RowRun& run : streams_[i].runs) {
            if (run.first > end) out = std::max(out, double(run.first - end) / infos_[i].rate());
            end = run.first + run.count;
        }
    }
    return out;
}

}  // namespace lockstep::app
