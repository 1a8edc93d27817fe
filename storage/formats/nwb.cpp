// HDF5 in two dialects. NWB 2: every stream a TimeSeries with a time stamp per sample, labels as a table
// of intervals. MAT 7.3: per stream NAME_data (channels x samples), NAME_time, NAME_rate, and the labels.
#include <QString>
#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>

#include "storage/formats/exports.h"
#include "storage/formats/h5_out.h"
#include "storage/formats/samples.h"
#include "storage/layout.h"

namespace lockstep::storage {
namespace {

// [rows][channels] physical values and a time per row, a piece at a time. Throws h5::Failure.
void copy_rows(SessionReader& session, int index, H5Out& out, hid_t data, hid_t time,
               const ExportOptions& options, double from, double share) {
    const SessionStream& stream = session.streams()[size_t(index)];
    const size_t width = stream.info.channels.size();
    std::vector<float> values;
    std::vector<double> times;
    auto status =
        for_rows(session, index, 65536, [&](uint64_t row, uint64_t count, const int32_t* counts) -> Status {
            values.resize(count * width);
            times.resize(count);
            for (uint64_t i = 0; i < count; ++i) {
                times[i] = row_time(stream, row + i);
                for (size_t c = 0; c < width; ++c)
                    values[i * width + c] = physical(stream.info, c, counts[i * width + c]);
            }
            out.write_rows(data, H5T_IEEE_F32LE, row, count, values.data());
            out.write_rows(time, H5T_IEEE_F64LE, row, count, times.data());
            if (options.progress &&
                !options.progress(from + share * double(row + count) / double(stream.rows)))
                return fail(ErrorKind::usage, "stopped");
            return {};
        });
    if (!status) throw h5::Failure(status.error());
}

void neurodata(const h5::Id& object, const char* type, const std::string& space, const std::string& id) {
    H5Out::string_attribute(object.get(), "neurodata_type", type);
    H5Out::string_attribute(object.get(), "namespace", space);
    // An identifier from the content, so that the same session gives the same file.
    std::string hash = hex_sha256(id);
    H5Out::string_attribute(object.get(), "object_id",
                            hash.substr(0, 8) + "-" + hash.substr(8, 4) + "-4" + hash.substr(13, 3) + "-8" +
                                hash.substr(17, 3) + "-" + hash.substr(20, 12));
}

void write_nwb_series(SessionReader& session, int index, H5Out& out, hid_t acquisition,
                      const ExportOptions& options, double from, double share) {
    const SessionStream& stream = session.streams()[size_t(index)];
    const h5::Id series = out.group(acquisition, path_name(stream.info.name));
    neurodata(series, "TimeSeries", "core", session.header().identifier + "/" + stream.info.name);
    std::string names;
    bool one_unit = true;
    for (const ChannelInfo& channel : stream.info.channels) {
        names += (names.empty() ? "" : ", ") + channel.name + " [" + channel.unit + "]";
        one_unit = one_unit && channel.unit == stream.info.channels.front().unit;
    }
    out.string_attribute(
        series.get(), "description",
        stream.info.kind + ", nominally " + number_text(stream.info.rate()) + " Hz; channels: " + names);
    out.string_attribute(series.get(), "comments", "gaps: samples that never came have no row");
    const h5::Id data =
        out.dataset(series.get(), "data", H5T_IEEE_F32LE, {stream.rows, stream.info.channels.size()});
    const std::string& unit = stream.info.channels.front().unit;
    out.string_attribute(data.get(), "unit", !one_unit ? "see description" : unit.empty() ? "n/a" : unit);
    h5::write_number(data.get(), "conversion", 1.0f);
    h5::write_number(data.get(), "offset", 0.0f);
    h5::write_number(data.get(), "resolution", -1.0f);
    const h5::Id time = out.dataset(series.get(), "timestamps", H5T_IEEE_F64LE, {stream.rows});
    out.string_attribute(time.get(), "unit", "seconds");
    h5::write_number(time.get(), "interval", int32_t(1));
    copy_rows(session, index, out, data.get(), time.get(), options, from, share);
}

void write_nwb_labels(const SessionReader& session, const std::vector<Label>& labels, H5Out& out,
                      hid_t file) {
    const std::string id = session.header().identifier + "/labels";
    std::vector<int64_t> ids;
    std::vector<double> start, stop, confidence;
    std::vector<std::string> names, streams, channels, sources, notes;
    for (const Label& label : labels) {
        ids.push_back(int64_t(ids.size()));
        start.push_back(label.start);
        stop.push_back(label.stop);
        confidence.push_back(label.confidence);
        names.push_back(label.label_class);
        streams.push_back(stream_name(session, label));
        channels.push_back(channel_name(session, label));
        sources.push_back(label.source);
        notes.push_back(label.note);
    }
    const h5::Id intervals = out.group(file, "intervals");
    const h5::Id table = out.group(intervals.get(), "labels");
    neurodata(table, "TimeIntervals", "core", id);
    out.string_attribute(table.get(), "description", "labels of the session; a point stops where it starts");
    neurodata(out.numbers(table.get(), "id", ids), "ElementIdentifiers", "hdmf-common", id + "/id");
    std::vector<std::string> columns;
    const auto add = [&](const h5::Id& column, const char* name, const char* text) {
        neurodata(column, "VectorData", "hdmf-common", id + "/" + name);
        out.string_attribute(column.get(), "description", text);
        columns.emplace_back(name);
    };
    const hid_t to = table.get();
    add(out.numbers(to, "start_time", start), "start_time", "Start, in seconds");
    add(out.numbers(to, "stop_time", stop), "stop_time", "End, in seconds");
    add(out.strings(to, "label", names), "label", "Class");
    add(out.strings(to, "stream", streams), "stream", "Stream that the label is about; empty: all");
    add(out.strings(to, "channel", channels), "channel", "Channel that the label is about; empty: all");
    add(out.strings(to, "source", sources), "source", "Who made it: person, script, model, import");
    add(out.numbers(to, "confidence", confidence), "confidence", "0 to 1");
    add(out.strings(to, "note", notes), "note", "Free text");
    out.string_attribute(table.get(), "colnames", columns);
}

void write_nwb_file(SessionReader& session, const std::vector<Label>& labels, const ExportOptions& options,
                    const std::string& path) {
    const SessionHeader& header = session.header();
    const std::string id = header.identifier;
    H5Out out(path);
    const hid_t file = out.file();
    {
        const h5::Id root(H5Gopen2(file, "/", H5P_DEFAULT), "the root");
        neurodata(root, "NWBFile", "core", id);
    }
    out.string_attribute(file, "nwb_version", "2.6.0");
    const std::string start = utc_text(header.start_utc_ns);
    out.string(file, "identifier", id);
    out.string(file, "session_description", header.task.empty() ? "Lockstep session" : header.task);
    out.string(file, "session_start_time", start);
    out.string(file, "timestamps_reference_time", start);
    out.strings(file, "file_create_date", {start});
    const h5::Id acquisition = out.group(file, "acquisition");
    for (const char* name : {"analysis", "processing"})
        const h5::Id made = out.group(file, name);
    const h5::Id stimulus = out.group(file, "stimulus");
    for (const char* name : {"presentation", "templates"})
        const h5::Id made = out.group(stimulus.get(), name);
    const h5::Id general = out.group(file, "general");
    if (!header.subject.empty()) {
        const h5::Id subject = out.group(general.get(), "subject");
        neurodata(subject, "Subject", "core", id + "/subject");
        out.string(subject.get(), "subject_id", header.subject);
    }
    const std::vector<int> streams = stored_streams(session);
    const double share = 1.0 / double(std::max<size_t>(1, streams.size()));
    for (size_t s = 0; s < streams.size(); ++s)
        write_nwb_series(session, streams[s], out, acquisition.get(), options, double(s) * share, share);
    write_nwb_labels(session, labels, out, file);
    out.close();
}

// A name that MATLAB takes as a variable: at most 63 letters, digits and '_' with what is added to it.
std::string variable(const std::string& text, std::set<std::string>* used) {
    std::string name;
    for (const char c : file_safe(text))
        name += c == '-' ? '_' : c;
    if (name.front() >= '0' && name.front() <= '9') name.insert(0, "s");
    name.resize(std::min<size_t>(name.size(), 48));
    const std::string stem = name;
    for (int n = 2; !used->insert(name).second; ++n)
        name = stem + "_" + std::to_string(n);
    return name;
}

void matlab(const h5::Id& dataset, const char* type) {
    h5::write_attribute(dataset.get(), "MATLAB_class", type);
}

// MATLAB keeps the size of an empty array as its content.
void write_nothing(H5Out& out, hid_t file, const std::string& name, const char* type) {
    const h5::Id made = out.numbers(file, name, std::vector<uint64_t>{0, 0});
    matlab(made, type);
    h5::write_number(made.get(), "MATLAB_empty", uint8_t(1));
}

void write_row(H5Out& out, hid_t file, const std::string& name, const std::vector<double>& values) {
    if (values.empty()) return write_nothing(out, file, name, "double");
    const h5::Id made = out.dataset(file, name, H5T_IEEE_F64LE, {values.size(), 1});
    out.write(made.get(), H5T_IEEE_F64LE, values.data());
    matlab(made, "double");
}

// Texts as a character matrix, one a row; MATLAB's dimensions are the reverse of HDF5's.
void write_chars(H5Out& out, hid_t file, const std::string& name, const std::vector<std::string>& texts) {
    std::vector<QString> rows;
    size_t width = 1;
    for (const std::string& text : texts) {
        rows.push_back(QString::fromStdString(text));
        width = std::max(width, size_t(rows.back().size()));
    }
    if (rows.empty()) return write_nothing(out, file, name, "char");
    std::vector<uint16_t> chars(width * rows.size(), uint16_t(' '));
    for (size_t i = 0; i < rows.size(); ++i)
        for (int c = 0; c < rows[i].size(); ++c)
            chars[size_t(c) * rows.size() + i] = rows[i][c].unicode();
    const h5::Id made = out.dataset(file, name, H5T_STD_U16LE, {width, rows.size()});
    out.write(made.get(), H5T_STD_U16LE, chars.data());
    matlab(made, "char");
    h5::write_number(made.get(), "MATLAB_int_decode", int32_t(2));
}

void write_mat_file(SessionReader& session, const std::vector<Label>& labels, const ExportOptions& options,
                    const std::string& path) {
    H5Out out(path, 512);
    const hid_t file = out.file();
    std::set<std::string> used;
    const std::vector<int> streams = stored_streams(session);
    const double share = 1.0 / double(std::max<size_t>(1, streams.size()));
    for (size_t s = 0; s < streams.size(); ++s) {
        const SessionStream& stream = session.streams()[size_t(streams[s])];
        const std::string name = variable(stream.info.name, &used);
        const h5::Id data =
            out.dataset(file, name + "_data", H5T_IEEE_F32LE, {stream.rows, stream.info.channels.size()});
        matlab(data, "single");
        const h5::Id time = out.dataset(file, name + "_time", H5T_IEEE_F64LE, {stream.rows, 1});
        matlab(time, "double");
        copy_rows(session, streams[s], out, data.get(), time.get(), options, double(s) * share, share);
        write_row(out, file, name + "_rate", {stream.info.rate()});
        std::vector<std::string> channels, units;
        for (const ChannelInfo& channel : stream.info.channels) {
            channels.push_back(channel.name);
            units.push_back(channel.unit);
        }
        write_chars(out, file, name + "_channels", channels);
        write_chars(out, file, name + "_units", units);
    }
    std::vector<double> start, stop;
    std::vector<std::string> names, of_stream, of_channel;
    for (const Label& label : labels) {
        start.push_back(label.start);
        stop.push_back(label.stop);
        names.push_back(label.label_class);
        of_stream.push_back(stream_name(session, label));
        of_channel.push_back(channel_name(session, label));
    }
    write_row(out, file, "label_start", start);
    write_row(out, file, "label_stop", stop);
    write_chars(out, file, "label_class", names);
    write_chars(out, file, "label_stream", of_stream);
    write_chars(out, file, "label_channel", of_channel);
    write_chars(out, file, "session_start", {utc_text(session.header().start_utc_ns)});
    write_chars(out, file, "session_subject", {session.header().subject});
    write_chars(out, file, "session_task", {session.header().task});
    out.close();
}

Status finish_mat(const std::string& path) {
    // MATLAB looks for this text, then the version and byte order, in the block before HDF5's own.
    std::string head = "MATLAB 7.3 MAT-file, written by Lockstep";
    head.resize(124, ' ');
    head += std::string("\x00\x02IM", 4);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.write(head.data(), std::streamsize(head.size()));
    file.close();
    return file ? Status{} : fail(ErrorKind::system, "cannot be written; is the disk full?", path);
}

Status write_h5(SessionSource& sessions, const ExportOptions& options, const std::string& path,
                ExportReport* report) {
    auto session = sessions.open(0);
    if (!session) return tl::make_unexpected(session.error());
    auto labels = current_labels(**session);
    if (!labels) return tl::make_unexpected(labels.error());
    const bool mat = options.format == "mat";
    auto status = h5::guard(path, [&] {
        if (mat)
            write_mat_file(**session, labels->labels, options, path);
        else
            write_nwb_file(**session, labels->labels, options, path);
    });
    if (status && mat) status = finish_mat(path);
    if (!status) return status;
    report->files.push_back(path);
    return {};
}

}  // namespace

ExportFormat nwb_format() {
    return {"nwb", "NWB 2 (HDF5)", ".nwb", false, {}, write_h5};
}
ExportFormat mat_format() {
    return {"mat", "MATLAB 7.3 (HDF5)", ".mat", false, {}, write_h5};
}

}  // namespace lockstep::storage
