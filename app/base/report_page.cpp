#include "app/base/report_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>

#include "acquisition/label_track.h"
#include "acquisition/review_source.h"
#include "app/base/comparison.h"
#include "app/base/html.h"

namespace lockstep::app {
namespace {

constexpr int kColumns = 1000;    // of an overview trace
constexpr int kLane = 34;         // px, one channel
constexpr int kMaxChannels = 16;  // drawn per stream
constexpr size_t kMaxRows = 200;  // of windows that are not the same

// Beside the page's own style: what the pictures need.
constexpr char kStyle[] = R"(
:root{--trace:#2563a8;--warn:#b7791f;--calm:#b6bcc4;--label:#7a5cc2}
@media(prefers-color-scheme:dark){:root{--trace:#6db1f2;--warn:#e0ae55;--calm:#4a525a;--label:#b39cf0}}
td.w{white-space:pre-wrap}
svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font-size:10px}.t{fill:var(--trace);stroke:var(--trace);stroke-width:.6;stroke-linejoin:round}
.tick{stroke:var(--line);stroke-width:1}.lab{fill:var(--label);opacity:.22}.same{fill:var(--good)}.different{fill:var(--bad)}.lost{fill:var(--warn)}.outside{fill:var(--calm)}
.key span{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 5px 0 14px}
)";

template <typename... Values>
std::string format(const char* pattern, Values... values) {
    char text[400];
    std::snprintf(text, sizeof text, pattern, values...);
    return text;
}

std::string count(uint64_t n) {
    std::string out = std::to_string(n);
    for (int at = int(out.size()) - 3; at > 0; at -= 3)
        out.insert(size_t(at), "\u202f");
    return out;
}

std::string cell(const std::string& text, const char* css = "") {
    return std::string("<td class=\"") + css + "\">" + html_escape(text) + "</td>";
}
std::string row(const std::string& name, const std::string& value) {
    return "<tr>" + cell(name, "l") + cell(value, "l w") + "</tr>";
}
std::string card(const std::string& value, const std::string& text) {
    return "<div class=card><b>" + html_escape(value) + "</b><span class=dim>" + html_escape(text) +
           "</span></div>";
}

double nice_step(double span) {
    const double raw = span / 8;
    const double base = std::pow(10, std::floor(std::log10(std::max(raw, 1e-6))));
    for (const double m : {1.0, 2.0, 5.0})
        if (raw <= m * base) return m * base;
    return 10 * base;
}

// The picture of everything: one lane a channel, labels behind, verdicts below.
class Overview {
  public:
    Overview(const ReviewSource& source, double duration)
        : source_(source), duration_(std::max(duration, 0.001)) {}

    std::string draw(const std::vector<Label>& labels,
                     const std::vector<std::pair<double, const WindowVerdict*>>& windows, int models,
                     const std::vector<PlanPtr>& plans) {
        const std::vector<StreamInfo> streams = source_.streams();
        for (size_t s = 0; s < streams.size(); ++s)
            for (size_t c = 0; c < streams[s].channels.size() && c < size_t(kMaxChannels); ++c)
                lane(int(s), int(c), streams[s]);
        const int lanes_end = y_;
        std::string strip;
        for (int m = 0; m < models; ++m) {
            const std::string name =
                size_t(m) < plans.size() ? plans[size_t(m)]->plan.name() : "model " + std::to_string(m);
            strip += format("<text x=0 y=%d>", y_ + 15) + html_escape(name) + "</text>";
            double previous = 0;
            for (const auto& [time, verdict] : windows) {
                if (verdict->model != m) continue;
                const double left = std::max(previous, time - duration_ / 100);
                strip += format("<rect class=%s x=%.2f y=%d width=%.2f height=12><title>",
                                verdict_name(verdict->verdict), x(left), y_ + 5,
                                std::max(x(time) - x(left) - 0.6, 0.8)) +
                         html_escape(describe(*verdict, plans)) + "</title></rect>";
                previous = time;
            }
            y_ += 22;
        }
        std::string under;
        for (double t = 0; t <= duration_; t += nice_step(duration_))
            under += format(
                "<line class=tick x1=%.1f x2=%.1f y1=12 y2=%d /><text x=%.1f y=10 text-anchor=middle>%g "
                "s</text>",
                x(t), x(t), y_, x(t), t);
        double text_free = -1e9;
        for (const Label& label : labels) {
            const double from = x(std::clamp(label.start, 0.0, duration_));
            const double to = x(std::clamp(label.stop, 0.0, duration_));
            under += format("<rect class=lab x=%.2f y=14 width=%.2f height=%d><title>", from,
                            std::max(to - from, 1.0), lanes_end - 14) +
                     html_escape(label.label_class) +
                     format(" %.2f-%.2f s</title></rect>", label.start, label.stop);
            if (from < text_free) continue;
            under += format("<text x=%.1f y=24>", from + 2) + html_escape(label.label_class) + "</text>";
            text_free = from + 6 + 5.5 * double(label.label_class.size());
        }
        return format("<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"Overview\">", kLeft + kColumns,
                      y_ + 6) +
               under + body_ + strip + "</svg>";
    }

  private:
    static constexpr int kLeft = 108;
    double x(double time) const { return kLeft + kColumns * time / duration_; }

    void lane(int stream, int channel, const StreamInfo& info) {
        std::vector<Extent> extents(static_cast<size_t>(kColumns));
        source_.extent(stream, channel, 0, duration_, kColumns, extents.data());
        std::vector<float> sorted;
        for (const Extent& e : extents)
            if (e.valid) {
                sorted.push_back(e.min);
                sorted.push_back(e.max);
            }
        std::sort(sorted.begin(), sorted.end());
        const ChannelInfo& c = info.channels[size_t(channel)];
        std::string range = "no samples";
        if (!sorted.empty()) {
            // The middle 99 % fill the lane, so that one artefact does not flatten the rest.
            double low = double(sorted[sorted.size() / 200]);
            double high = double(sorted[sorted.size() - 1 - sorted.size() / 200]);
            range = format("%.4g to %.4g ", low, high) + c.unit;
            if (!(high > low)) {
                low -= 0.5;
                high += 0.5;
            }
            const auto y = [&](float v) {
                return y_ + 3 + (kLane - 6) * (1 - std::clamp((double(v) - low) / (high - low), -0.05, 1.05));
            };
            for (int i = 0; i < kColumns;) {
                if (!extents[size_t(i)].valid) {
                    ++i;
                    continue;
                }
                int end = i;
                while (end < kColumns && extents[size_t(end)].valid)
                    ++end;
                body_ += "<path class=t d=\"M";
                for (int k = i; k < end; ++k)
                    body_ += format("%d %.1f ", kLeft + k, y(extents[size_t(k)].max));
                for (int k = end; k-- > i;)
                    body_ += format("%d %.1f ", kLeft + k, y(extents[size_t(k)].min));
                body_ += "Z\"/>";
                i = end;
            }
        }
        body_ += format("<text x=0 y=%d>", y_ + 15) + html_escape(info.name + " " + c.name) +
                 format("</text><text x=0 y=%d opacity=.7>", y_ + 27) + html_escape(range) + "</text>";
        y_ += kLane;
    }

    const ReviewSource& source_;
    double duration_;
    int y_ = 28;
    std::string body_;
};

std::string stream_table(const Summary& summary) {
    std::string out =
        "<table><tr><th class=l>stream<th>nominal Hz<th>measured Hz<th>sent<th>received<th>lost<th>gaps</tr>";
    for (const StreamAccount& s : summary.streams)
        out += "<tr>" + cell(s.name, "l") + cell(format("%.3f", s.rate_nominal)) +
               cell(format("%.3f", s.rate)) + cell(count(s.sent)) + cell(count(s.received)) +
               cell(count(s.lost)) + cell(count(s.gaps)) + "</tr>";
    return out + "</table>";
}

std::string model_table(const Summary& summary, const std::vector<PlanPtr>& plans) {
    std::string out =
        "<table><tr><th class=l>model<th "
        "class=l>plan<th>expected<th>same<th>different<th>lost<th>outside</tr>";
    for (size_t m = 0; m < summary.models.size(); ++m) {
        const WindowAccount& w = summary.models[m];
        const bool known = m < plans.size();
        out += "<tr>" + cell(known ? plans[m]->plan.name() : "model " + std::to_string(m), "l") +
               cell(known ? plans[m]->plan_id.substr(0, 16) : "", "l") + cell(count(w.expected)) +
               cell(count(w.same)) + cell(count(w.different)) + cell(count(w.lost)) + cell(count(w.outside)) +
               "</tr>";
    }
    return out + "</table>";
}

std::string utc(int64_t ns) {
    const std::time_t seconds = std::time_t(ns / 1000000000);
    std::tm parts = {};
    char text[40];
    ::gmtime_r(&seconds, &parts);
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
    return text;
}

std::string provenance(const SessionReader& reader) {
    const SessionHeader& h = reader.header();
    std::string out = "<table>" + row("started", utc(h.start_utc_ns)) + row("identifier", h.identifier) +
                      row("state", reader.state()) +
                      row("software", h.software + (h.git_commit.empty() ? "" : " (" + h.git_commit + ")")) +
                      row("subject", h.subject.empty() ? "not given" : h.subject) +
                      row("task", h.task.empty() ? "not given" : h.task) +
                      row("composite", h.composite ? "yes: streams joined from several people" : "no");
    for (const auto& [key, value] : h.settings)
        out += row(key, value);
    for (const SegmentInfo& s : reader.segments())
        out += row("segment " + std::to_string(s.started.segment),
                   s.started.info.board + ", firmware " + s.started.info.firmware + ", build " +
                       s.started.info.build_id + "; began: " + s.started.reason +
                       (s.ended ? "; ended: " + s.ended->reason : "; not ended"));
    for (const SessionModel& m : reader.models())
        out += row("model " + m.name, "plan " + m.plan_id);
    return out + "</table>";
}

}  // namespace

Result<std::string> report_page(const std::shared_ptr<SessionReader>& reader,
                                const SessionAccounts& accounts) {
    const Summary& summary = accounts.summary;
    auto plans = plans_of_session(*reader);
    if (!plans) return tl::make_unexpected(plans.error());
    const auto verdicts = reader->verdicts();
    if (!verdicts) return tl::make_unexpected(verdicts.error());
    const auto history = reader->label_history();
    if (!history) return tl::make_unexpected(history.error());
    LabelTrack track;
    if (const Status loaded = track.load(*history); !loaded) return tl::make_unexpected(loaded.error());

    // A window's place in time: its end, by its primary stream's counters.
    std::vector<std::pair<double, const WindowVerdict*>> windows;
    for (const WindowVerdict& v : *verdicts) {
        if (v.model < 0 || size_t(v.model) >= plans->size()) continue;
        const model::InputSpec input = (*plans)[size_t(v.model)]->plan.input(0);
        for (const SessionStream& s : reader->streams()) {
            if (s.info.kind != input.kind || input.rate_num == 0) continue;
            const auto run = std::find_if(s.runs.begin(), s.runs.end(),
                                          [&](const RowRun& r) { return r.segment == v.segment; });
            if (run == s.runs.end()) continue;
            const double end = double(v.window) * input.hop + input.window;
            windows.emplace_back(run->time + (end - double(run->first)) / s.info.rate(), &v);
            break;
        }
    }
    std::stable_sort(windows.begin(), windows.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });

    const std::string name = std::filesystem::path(reader->path()).filename().string();
    const ReviewSource source(reader);
    Overview overview(source, reader->duration());
    uint64_t lost = 0, received = 0;
    for (const StreamAccount& s : summary.streams) {
        lost += s.lost;
        received += s.received;
    }
    std::string out =
        "<h1>" + html_escape(name) + "<span class=\"badge " +
        (accounts.whole ? "good\">whole" : "bad\">not whole") + "</span></h1><div class=dim>" +
        html_escape(utc(reader->header().start_utc_ns) +
                    (reader->header().composite ? " - composite of several people's recordings" : "")) +
        "</div>";
    if (!accounts.whole) out += "<p>" + html_escape(accounts.why_not) + "</p>";
    out += "<div class=cards>" + card(format("%.1f s", summary.seconds), "recorded") +
           card(count(received), "samples received") + card(count(lost), "samples lost") +
           card(count(summary.windows.same) + " / " + count(summary.windows.expected),
                "windows same on device and host") +
           card(count(summary.windows.different), "windows different") +
           card(count(summary.labels), "labels") + "</div>";
    out += "<h2>Overview</h2><div class=panel>" +
           overview.draw(track.between(-1e300, 1e300), windows, int(summary.models.size()), *plans) +
           "<div class=\"key dim\">windows: <span style=\"background:var(--good)\"></span>same<span "
           "style=\"background:var(--bad)\"></span>different"
           "<span style=\"background:var(--warn)\"></span>lost<span "
           "style=\"background:var(--calm)\"></span>outside<span "
           "style=\"background:var(--label)\"></span>label</div></div>";
    out += "<h2>Streams</h2><div class=panel>" + stream_table(summary) + "</div>";
    out += "<h2>Device and host</h2><div class=panel>" + model_table(summary, *plans) + "</div>";
    std::string rows;
    size_t unequal = 0;
    for (const auto& [time, v] : windows) {
        if (v->verdict == Verdict::same) continue;
        if (++unequal <= kMaxRows)
            rows += "<tr>" + cell((*plans)[size_t(v->model)]->plan.name(), "l") +
                    cell(std::to_string(v->window)) + cell(format("%.2f", time)) +
                    cell(verdict_name(v->verdict), "l") + cell(stage_name(*v, *plans), "l") +
                    cell(v->reason, "l w") + "</tr>";
    }
    if (!rows.empty()) {
        out +=
            "<h2>Windows that are not the same</h2><div class=panel><table><tr><th "
            "class=l>model<th>window<th>ends at s<th "
            "class=l>verdict<th class=l>stage<th class=l>reason</tr>" +
            rows + "</table>";
        if (unequal > kMaxRows) out += "<p class=dim>and " + count(unequal - kMaxRows) + " more</p>";
        out += "</div>";
    }
    out += "<h2>Clock</h2><div class=panel><table>" +
           row("offset", format("%.3f ms", summary.clock.offset_ms)) +
           row("drift", format("%.2f ppm", summary.clock.drift_ppm)) +
           row("error",
               format("%.3f ms rms over %d pings", summary.clock.error_ms, summary.clock.observations)) +
           "</table></div>";
    out += "<h2>Link</h2><div class=panel><table>" + row("damaged frames", count(summary.damaged_frames)) +
           row("link losses", count(summary.link_losses)) + "</table></div>";
    out += "<h2>Provenance</h2><div class=panel>" + provenance(*reader) + "</div>";
    return html_page(name, out, kStyle);
}

}  // namespace lockstep::app
