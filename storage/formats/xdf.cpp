// XDF 1.0: every stream in physical units (float32) with a time stamp per sample in session seconds,
// labels as a stream of markers and one of their durations. Samples are written in the order of their times,
// a second at a time.
#include <QString>
#include <QXmlStreamWriter>
#include <algorithm>
#include <cstring>

#include "storage/formats/exports.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"
#include "storage/layout.h"

namespace lockstep::storage {
namespace {

template <typename T>
void put(std::string* out, T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out->append(bytes, sizeof value);
}

void put_length(std::string* out, uint64_t length) {
    if (length < 256) {
        out->push_back(1);
        put(out, uint8_t(length));
    } else if (length <= UINT32_MAX) {
        out->push_back(4);
        put(out, uint32_t(length));
    } else {
        out->push_back(8);
        put(out, length);
    }
}

void write_chunk(TextFile& file, uint16_t tag, const std::string& content) {
    std::string chunk;
    put_length(&chunk, content.size() + 2);
    put(&chunk, tag);
    file.write(chunk);
    file.write(content);
}

std::string numbered(uint32_t id) {
    std::string content;
    put(&content, id);
    return content;
}

std::string header_xml(const std::string& name, const std::string& type, const std::string& format,
                       double rate, const std::vector<ChannelInfo>& channels, const std::string& source) {
    QString text;
    QXmlStreamWriter xml(&text);
    const auto element = [&](const char* key, const std::string& value) {
        xml.writeTextElement(key, QString::fromStdString(value));
    };
    xml.writeStartDocument();
    xml.writeStartElement("info");
    element("name", name);
    element("type", type);
    element("channel_count", std::to_string(channels.size()));
    element("nominal_srate", number_text(rate));
    element("channel_format", format);
    element("source_id", source);
    xml.writeStartElement("desc");
    xml.writeStartElement("channels");
    for (const ChannelInfo& channel : channels) {
        xml.writeStartElement("channel");
        element("label", channel.name);
        element("unit", channel.unit);
        element("type", type);
        xml.writeEndElement();
    }
    xml.writeEndDocument();
    return text.toStdString();
}

std::string footer_xml(double first, double last, uint64_t count) {
    return "<?xml version=\"1.0\"?><info><first_timestamp>" + number_text(first) +
           "</first_timestamp><last_timestamp>" + number_text(last) + "</last_timestamp><sample_count>" +
           std::to_string(count) + "</sample_count></info>";
}

// LSL's names for kinds of signals.
std::string xdf_type(const std::string& kind) {
    if (kind == "eeg") return "EEG";
    if (kind == "gsr") return "GSR";
    if (kind == "ppg") return "PPG";
    if (kind == "imu") return "Accelerometer";
    return kind.empty() ? "Misc" : kind;
}

Status write_xdf(SessionSource& sessions, const ExportOptions& options, const std::string& path,
                 ExportReport* report) {
    auto opened = sessions.open(0);
    if (!opened) return tl::make_unexpected(opened.error());
    SessionReader& session = **opened;
    auto labels = current_labels(session);
    if (!labels) return tl::make_unexpected(labels.error());
    const std::vector<int> streams = stored_streams(session);
    TextFile file(path);
    file.write("XDF:");
    const int64_t start = session.header().start_utc_ns;
    write_chunk(file, 1,
                "<?xml version=\"1.0\"?><info><version>1.0</version>" +
                    (start == 0 ? "" : "<datetime>" + utc_text(start) + "</datetime>") + "</info>");
    for (size_t i = 0; i < streams.size(); ++i) {
        const StreamInfo& info = session.streams()[size_t(streams[i])].info;
        std::vector<ChannelInfo> channels = info.channels;
        for (ChannelInfo& channel : channels)
            if (channel.unit == "uV") channel.unit = "microvolts";
        write_chunk(
            file, 2,
            numbered(uint32_t(i + 1)) + header_xml(info.name, xdf_type(info.kind), "float32", info.rate(),
                                                   channels, session.header().identifier));
    }
    const auto markers = uint32_t(streams.size() + 1);
    write_chunk(file, 2,
                numbered(markers) + header_xml("labels", "Markers", "string", 0, std::vector<ChannelInfo>(1),
                                               session.header().identifier));

    // XDF's markers are points; how long the labels last stands in a stream beside them.
    const uint32_t durations = markers + 1;
    ChannelInfo seconds;
    seconds.name = "duration";
    seconds.unit = "seconds";
    write_chunk(file, 2,
                numbered(durations) + header_xml("label_durations", "Durations", "double64", 0, {seconds},
                                                 session.header().identifier));

    // Time stamps are on the file's own clock already; readers that synchronise look for an offset.
    for (uint32_t id = 1; id <= durations; ++id) {
        std::string content = numbered(id);
        put(&content, 0.0);
        put(&content, 0.0);
        write_chunk(file, 4, content);
    }
    std::vector<uint64_t> at(streams.size(), 0);
    std::vector<int32_t> counts;
    for (double until = 1;; until += 1) {
        bool more = false;
        for (size_t i = 0; i < streams.size(); ++i) {
            const SessionStream& stream = session.streams()[size_t(streams[i])];
            uint64_t end = at[i];
            while (end < stream.rows && end - at[i] < 65536 && row_time(stream, end) < until)
                ++end;
            more = more || end < stream.rows;
            if (end == at[i]) continue;
            const size_t width = stream.info.channels.size();
            counts.resize((end - at[i]) * width);
            if (auto status = session.read(streams[i], at[i], end - at[i], counts.data()); !status)
                return status;
            std::string content = numbered(uint32_t(i + 1));
            put_length(&content, end - at[i]);
            for (uint64_t row = at[i]; row < end; ++row) {
                content.push_back(8);
                put(&content, row_time(stream, row));
                for (size_t c = 0; c < width; ++c)
                    put(&content, physical(stream.info, c, counts[(row - at[i]) * width + c]));
            }
            write_chunk(file, 3, content);
            at[i] = end;
        }
        if (!more) break;
        if (options.progress && !options.progress(std::min(1.0, until / std::max(1.0, session.duration()))))
            return fail(ErrorKind::usage, "stopped", path);
    }
    for (const Label& label : labels->labels) {
        std::string content = numbered(markers);
        put_length(&content, 1);
        content.push_back(8);
        put(&content, label.start);
        put_length(&content, label.label_class.size());
        write_chunk(file, 3, content + label.label_class);
        content = numbered(durations);
        put_length(&content, 1);
        content.push_back(8);
        put(&content, label.start);
        put(&content, label.stop - label.start);
        write_chunk(file, 3, content);
    }
    for (size_t i = 0; i < streams.size(); ++i) {
        const SessionStream& stream = session.streams()[size_t(streams[i])];
        write_chunk(file, 6,
                    numbered(uint32_t(i + 1)) +
                        footer_xml(row_time(stream, 0), row_time(stream, stream.rows - 1), stream.rows));
    }
    const bool any = !labels->labels.empty();
    for (const uint32_t id : {markers, durations})
        write_chunk(file, 6,
                    numbered(id) + footer_xml(any ? labels->labels.front().start : 0,
                                              any ? labels->labels.back().start : 0, labels->labels.size()));
    report->files.push_back(path);
    return file.close();
}

}  // namespace

ExportFormat xdf_format() {
    return {"xdf", "XDF (Lab Streaming Layer)", ".xdf", false, {}, write_xdf};
}

}  // namespace lockstep::storage
