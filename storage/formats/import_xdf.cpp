// XDF (Lab Streaming Layer): numeric streams with a nominal rate become streams, string streams and
// irregular ones become labels, with the ends that this program's own export gives them. Clock offsets are
// applied per stretch between clock resets.
#include <QDateTime>
#include <QXmlStreamReader>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <optional>

#include "storage/formats/import_text.h"
#include "storage/formats/samples.h"

namespace lockstep::storage {
namespace {

bool matches(const std::string&, const std::string& head) {
    return head.rfind("XDF:", 0) == 0;
}

enum class Format { float32, double64, int8, int16, int32, int64, text };

struct Offset {
    double time = 0;  // the sender's clock
    double value = 0;
};

struct Source {
    std::string name, type;
    size_t channels = 0;
    double rate = 0;  // 0: irregular
    Format format = Format::float32;
    std::vector<std::pair<std::string, std::string>> labels;  // name, unit
    std::vector<std::vector<Offset>> stretches;               // between clock resets
    bool numeric() const { return format != Format::text && rate > 0; }
    int stream = -1;
    // while reading the samples
    double stamp = 0;
    bool stamped = false;
    size_t stretch = 0;
};

// What this program writes beside its labels (xdf.cpp).
bool is_durations(const Source& s) {
    return s.name == "label_durations" && s.type == "Durations" && s.format == Format::double64 &&
           s.channels == 1 && s.rate == 0;
}

size_t value_bytes(Format format) {
    switch (format) {
        case Format::int8:
            return 1;
        case Format::int16:
            return 2;
        case Format::float32:
        case Format::int32:
            return 4;
        default:
            return 8;
    }
}

// Reads chunks; every length is checked against what is left of the file.
class Reader {
  public:
    explicit Reader(const std::string& path) : file_(path, std::ios::binary) {
        file_.seekg(0, std::ios::end);
        left_ = file_ ? uint64_t(file_.tellg()) : 0;
        size_ = left_;
        file_.seekg(0);
    }
    bool bytes(void* out, uint64_t n) {
        if (n > left_) return false;
        file_.read(static_cast<char*>(out), std::streamsize(n));
        left_ -= n;
        return bool(file_);
    }
    // A length: 1 byte (1, 4 or 8), then so many bytes.
    bool length(uint64_t* out) {
        uint8_t width = 0;
        *out = 0;
        if (!bytes(&width, 1) || (width != 1 && width != 4 && width != 8)) return false;
        return bytes(out, width);
    }
    bool text(uint64_t n, std::string* out) {
        if (n > left_ || n > (16u << 20)) return false;
        out->resize(n);
        return bytes(out->data(), n);
    }
    bool skip(uint64_t n) {
        if (n > left_) return false;
        file_.seekg(std::streamoff(n), std::ios::cur);
        left_ -= n;
        return bool(file_);
    }
    uint64_t left() const { return left_; }
    double done() const { return size_ == 0 ? 1 : 1 - double(left_) / double(size_); }

  private:
    std::ifstream file_;
    uint64_t left_ = 0;
    uint64_t size_ = 0;
};

Status damaged(const std::string& source, const char* what) {
    return fail(ErrorKind::usage, std::string("not all of the file is there, or it is damaged: ") + what,
                source);
}

bool parse_header(const std::string& xml, Source* out) {
    QXmlStreamReader reader(QByteArray::fromRawData(xml.data(), int(xml.size())));
    std::string format;
    double channels = 0;
    std::vector<QString> path;
    bool good = true;
    while (!reader.atEnd()) {
        const auto token = reader.readNext();
        if (token == QXmlStreamReader::StartElement) {
            path.push_back(reader.name().toString());
            if (path.size() > 64) return false;
            if (path.back() == "channel" && path.size() > 2) out->labels.emplace_back();
        } else if (token == QXmlStreamReader::EndElement) {
            if (!path.empty()) path.pop_back();
        } else if (token == QXmlStreamReader::Characters && !path.empty()) {
            const std::string text = trimmed(reader.text().toString().toStdString());
            if (text.empty()) continue;
            if (path.size() == 2) {
                if (path[1] == "name") out->name += text;
                if (path[1] == "type") out->type += text;
                if (path[1] == "channel_format") format += text;
                if (path[1] == "channel_count") good = good && parse_number(text, &channels);
                if (path[1] == "nominal_srate") good = good && parse_number(text, &out->rate);
            } else if (path.size() > 3 && path[path.size() - 2] == "channel" && !out->labels.empty()) {
                if (path.back() == "label") out->labels.back().first = text;
                if (path.back() == "unit") out->labels.back().second = text;
            }
        }
    }
    static const std::map<std::string, Format> formats = {
        {"float32", Format::float32}, {"double64", Format::double64}, {"int8", Format::int8},
        {"int16", Format::int16},     {"int32", Format::int32},       {"int64", Format::int64},
        {"string", Format::text}};
    const auto found = formats.find(format);
    if (reader.hasError() || !good || found == formats.end() || !(channels >= 1 && channels <= 4096) ||
        !(out->rate >= 0 && out->rate <= 1e6))
        return false;
    out->format = found->second;
    out->channels = size_t(channels);
    return true;
}

// The sender's clock at `stamp` -> the recorder's clock.
double corrected(Source* s, double stamp) {
    if (s->stretches.empty()) return stamp;
    // Samples come in order: a stretch is left when the next one lies nearer.
    const auto distance = [&](const std::vector<Offset>& stretch) {
        return stamp < stretch.front().time ? stretch.front().time - stamp
                                            : std::max(0.0, stamp - stretch.back().time);
    };
    while (s->stretch + 1 < s->stretches.size() &&
           distance(s->stretches[s->stretch + 1]) < distance(s->stretches[s->stretch]))
        ++s->stretch;
    const auto& stretch = s->stretches[s->stretch];
    // Between two measurements a straight line, outside them the nearest one.
    const auto after = std::upper_bound(stretch.begin(), stretch.end(), stamp,
                                        [](double t, const Offset& o) { return t < o.time; });
    if (after == stretch.begin()) return stamp + stretch.front().value;
    if (after == stretch.end()) return stamp + stretch.back().value;
    const Offset& a = *(after - 1);
    const double share = after->time > a.time ? (stamp - a.time) / (after->time - a.time) : 0;
    return stamp + a.value + share * (after->value - a.value);
}

template <typename T>
T take(const uint8_t* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

int32_t as_count(Format format, const uint8_t* from) {
    switch (format) {
        case Format::int8:
            return take<int8_t>(from);
        case Format::int16:
            return take<int16_t>(from);
        case Format::int32:
        case Format::float32:
            return take<int32_t>(from);
        case Format::double64:
            return float_bits(float(take<double>(from)));
        case Format::int64:
            return float_bits(float(take<int64_t>(from)));
        case Format::text:
            break;
    }
    return 0;
}

using Sources = std::map<uint32_t, Source>;

// Visits every sample: time on the recorder's clock, values (numbers) or text.
using Visit =
    std::function<Status(Source& source, double time, const uint8_t* values, const std::string& text)>;

Status read_samples(Reader& in, uint64_t length, Source& s, const std::string& path, const Visit& visit) {
    const uint64_t end = in.left() - length;
    uint64_t count = 0;
    if (!in.length(&count)) return damaged(path, "samples");
    std::vector<uint8_t> values(s.channels * value_bytes(s.format));
    std::string text;
    for (uint64_t i = 0; i < count; ++i) {
        uint8_t stamp_bytes = 0;
        if (in.left() <= end || !in.bytes(&stamp_bytes, 1) || (stamp_bytes != 0 && stamp_bytes != 8))
            return damaged(path, "samples");
        if (stamp_bytes == 8) {
            if (!in.bytes(&s.stamp, 8) || !std::isfinite(s.stamp)) return damaged(path, "a time stamp");
            s.stamped = true;
        } else if (s.rate > 0) {
            s.stamp += 1 / s.rate;
        }
        if (s.format == Format::text) {
            text.clear();
            for (size_t c = 0; c < s.channels; ++c) {
                uint64_t n = 0;
                std::string part;
                if (!in.length(&n) || !in.text(n, &part)) return damaged(path, "a text");
                text += (c > 0 ? " | " : "") + part;
            }
        } else if (!in.bytes(values.data(), values.size())) {
            return damaged(path, "samples");
        }
        if (auto status = visit(s, corrected(&s, s.stamp), values.data(), text); !status) return status;
    }
    return {};
}

// "2024-05-01T10:00:00.25Z", "2018-09-21T11:22:33+0200"; 0 for anything else.
int64_t parse_datetime(const std::string& xml) {
    QXmlStreamReader reader(QByteArray::fromRawData(xml.data(), int(xml.size())));
    while (!reader.atEnd())
        if (reader.readNext() == QXmlStreamReader::StartElement &&
            reader.name() == QLatin1String("datetime")) {
            QString text = reader.readElementText(QXmlStreamReader::SkipChildElements).trimmed();
            if (text.size() > 5 && (text[text.size() - 5] == '+' || text[text.size() - 5] == '-'))
                text.insert(text.size() - 2, ':');
            const QDateTime time = QDateTime::fromString(text, Qt::ISODateWithMs);
            // A time without its zone could be hours off.
            if (!time.isValid() || time.timeSpec() == Qt::LocalTime || time.date().year() < 1985) return 0;
            return int64_t(time.toMSecsSinceEpoch()) * 1000000;
        }
    return 0;
}

// One pass over all chunks. `visit` empty: headers and clock offsets are collected instead.
Status pass(const std::string& path, Sources* sources, int64_t* start, const Visit& visit,
            const Progress& progress) {
    Reader in(path);
    char magic[4];
    if (!in.bytes(magic, 4) || std::memcmp(magic, "XDF:", 4) != 0)
        return fail(ErrorKind::usage, "is no XDF file", path);
    uint64_t chunks = 0;
    while (in.left() > 0) {
        uint64_t length = 0;
        uint16_t tag = 0;
        if (!in.length(&length) || length < 2 || length > in.left() || !in.bytes(&tag, 2))
            return damaged(path, "a chunk's length");
        length -= 2;
        const uint64_t end = in.left() - length;
        if (tag == 1 && start != nullptr) {
            std::string xml;
            if (!in.text(length, &xml)) return damaged(path, "the file's header");
            *start = parse_datetime(xml);
        } else if (tag == 2 || tag == 3 || tag == 4 || tag == 6) {
            uint32_t id = 0;
            if (length < 4 || !in.bytes(&id, 4)) return damaged(path, "a stream's number");
            const auto found = sources->find(id);
            if (tag == 2 && !visit) {
                std::string xml;
                Source source;
                if (!in.text(length - 4, &xml) || !parse_header(xml, &source))
                    return damaged(path, "a stream's header");
                if (sources->size() >= 1000) return damaged(path, "more than 1000 streams");
                sources->insert_or_assign(id, std::move(source));
            } else if (tag == 4 && !visit && found != sources->end()) {
                double collected = 0;
                Offset offset;
                if (!in.bytes(&collected, 8) || !in.bytes(&offset.value, 8) || !std::isfinite(collected) ||
                    !std::isfinite(offset.value))
                    return damaged(path, "a clock offset");
                offset.time = collected - offset.value;  // measured on the recorder's clock
                auto& stretches = found->second.stretches;
                const bool reset = stretches.empty() ||
                                   std::fabs(offset.value - stretches.back().back().value) > 1 ||
                                   offset.time < stretches.back().back().time;
                if (reset) stretches.emplace_back();
                stretches.back().push_back(offset);
            } else if (tag == 3 && visit) {
                if (found == sources->end()) return damaged(path, "samples of an unknown stream");
                if (auto status = read_samples(in, length - 4, found->second, path, visit); !status)
                    return status;
            }
        }
        if (in.left() < end || !in.skip(in.left() - end)) return damaged(path, "a chunk's length");
        if (++chunks % 256 == 0 && progress && !progress(in.done()))
            return fail(ErrorKind::usage, "stopped", path);
    }
    return {};
}

struct Out {
    double first = 0;  // time of the first waiting row
    double last = 0;
    std::vector<int32_t> rows;
    size_t held = 0;
    std::optional<Timeline> timeline;
};

Status read(const std::string& path, const ImportOptions& options, ImportSink* sink) {
    Sources sources;
    int64_t start = 0;
    if (auto status = pass(path, &sources, &start, {}, {}); !status) return status;
    if (sources.empty()) return fail(ErrorKind::usage, "holds no streams", path);
    // Session time 0: the earliest sample.
    double origin = std::numeric_limits<double>::max();
    const Visit earliest = [&](Source&, double time, const uint8_t*, const std::string&) -> Status {
        origin = std::min(origin, time);
        return {};
    };
    Sources scan = sources;
    if (auto status = pass(path, &scan, nullptr, earliest, {}); !status) return status;
    if (origin == std::numeric_limits<double>::max()) return fail(ErrorKind::usage, "holds no samples", path);

    std::vector<StreamInfo> streams;
    std::map<std::string, int> used;
    std::vector<Out> outs;
    for (auto& [id, s] : sources) {
        if (!s.numeric()) {
            if (s.format != Format::text && !is_durations(s))
                sink->note("stream " + s.name + " has no rate: its values became labels");
            continue;
        }
        std::string name = s.name.empty() ? "stream" + std::to_string(id) : s.name;
        if (const int n = ++used[name]; n > 1) name += " " + std::to_string(n);
        SampleType type = SampleType::float32;
        if (s.format == Format::int8 || s.format == Format::int16) type = SampleType::int16;
        if (s.format == Format::int32) type = SampleType::int32;
        if (s.format == Format::double64 || s.format == Format::int64)
            sink->note("stream " + name + " is kept in 32-bit floating point");
        std::string kind = guess_kind(s.type, "");
        if (kind == "other" && !s.type.empty()) kind = lower(s.type);
        s.stream = int(streams.size());
        streams.push_back(make_stream(name, kind, type, s.rate));
        for (size_t c = 0; c < s.channels; ++c) {
            const bool named = c < s.labels.size() && !s.labels[c].first.empty();
            std::string unit = c < s.labels.size() ? s.labels[c].second : "";
            if (unit == "microvolts") unit = "uV";
            add_channel(&streams.back(), named ? s.labels[c].first : "ch" + std::to_string(c + 1), unit);
        }
        outs.emplace_back();
        outs.back().timeline.emplace(sink, s.stream, s.rate, s.channels, std::max(0.5, 5 / s.rate));
    }
    // Labels wait for their durations, which come in the same order.
    const bool timed = std::any_of(sources.begin(), sources.end(),
                                   [](const auto& entry) { return is_durations(entry.second); });
    // This program's own time stamps count from the file's date; others' from the recorder's own zero.
    if (timed && start != 0) start += int64_t(origin * 1e9);
    if (auto status = sink->begin("XDF file", start, std::move(streams)); !status) return status;

    std::vector<std::pair<double, std::string>> waiting;
    std::vector<double> lengths;

    const auto flush = [&](Out& out) -> Status {
        if (out.held == 0) return {};
        auto status = out.timeline->add(std::max(0.0, out.first), out.rows);
        out.rows.clear();
        out.held = 0;
        return status;
    };
    const Visit keep = [&](Source& s, double time, const uint8_t* values, const std::string& text) -> Status {
        const double at = time - origin;
        if (is_durations(s)) {
            lengths.push_back(take<double>(values));
            return {};
        }
        if (s.stream < 0) {
            if (timed && s.name == "labels" && s.format == Format::text) {
                waiting.emplace_back(at, text);
                return {};
            }
            if (s.format == Format::text)
                return sink->label(at, at, text.empty() ? s.name : text.substr(0, 200), s.name);
            std::string note;
            for (size_t c = 0; c < std::min<size_t>(s.channels, 16); ++c) {
                const int32_t count = as_count(s.format, values + c * value_bytes(s.format));
                float number = float(count);
                const bool real = s.format == Format::float32 || value_bytes(s.format) == 8;
                if (real) std::memcpy(&number, &count, sizeof number);
                note += (c > 0 ? " " : "") + number_text(number);
            }
            return sink->label(at, at, s.name.empty() ? "value" : s.name, note);
        }
        Out& out = outs[size_t(s.stream)];
        const double expected = out.first + double(out.held) / s.rate;
        if (out.held >= 256 || (out.held > 0 && std::fabs(at - expected) > std::max(0.1, 4 / s.rate)))
            if (auto status = flush(out); !status) return status;
        if (out.held++ == 0) out.first = at;
        for (size_t c = 0; c < s.channels; ++c)
            out.rows.push_back(as_count(s.format, values + c * value_bytes(s.format)));
        return {};
    };
    if (auto status = pass(path, &sources, nullptr, keep, options.progress); !status) return status;
    for (Out& out : outs)
        if (auto status = flush(out); !status) return status;
    for (size_t i = 0; i < waiting.size(); ++i) {
        const auto& [at, text] = waiting[i];
        const double length = i < lengths.size() && std::isfinite(lengths[i]) ? std::max(0.0, lengths[i]) : 0;
        if (auto status = sink->label(at, at + length, text); !status) return status;
    }
    return {};
}

}  // namespace

ImportFormat xdf_import() {
    return {"xdf", "XDF (Lab Streaming Layer)", {label_file_option()}, matches, read};
}

}  // namespace lockstep::storage
