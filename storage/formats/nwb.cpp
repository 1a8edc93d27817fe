// HDF5 in two dialects. NWB 2: every stream a TimeSeries with a time stamp per sample, labels as a table
// of intervals. MAT 7.3: per stream NAME_data (channels x samples), NAME_time, NAME_rate, and the labels.
#include <cstring>
#include <fstream>

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

void neurodata(hid_t object, const char* type, const std::string& space, const std::string& id) {
    h5::write_attribute(object, "neurodata_type", type);
    h5::write_attribute(object, "namespace", space);
    // An identifier from the content, so that the same session gives the same file.
    std::string hash = hex_sha256(id);
    h5::write_attribute(object, "object_id",
                        hash.substr(0, 8) + "-" + hash.substr(8, 4) + "-4" + hash.substr(13, 3) + "-8" +
                            hash.substr(17, 3) + "-" + hash.substr(20, 12));
}

void write_nwb_file(SessionReader& session, const std::vector<Label>& labels, const ExportOptions& options,
                    const std::string& path) {
    const SessionHeader& header = session.header();
    const std::string id = header.identifier;
    H5Out out(path);
    const hid_t file = out.file();
    neurodata(file, "NWBFile", "core", id);
    h5::write_attribute(file, "nwb_version", "2.5.0");
    out.text(file, "identifier", id);
    out.text(file, "session_description", header.task.empty() ? "Lockstep session" : header.task);
    out.text(file, "session_start_time", utc_text(header.start_utc_ns));
    out.text(file, "timestamps_reference_time", utc_text(header.start_utc_ns));
    out.texts(file, "file_create_date", {utc_text(header.start_utc_ns)});
    const h5::Id acquisition = out.group(file, "acquisition");
    for (const char* name : {"analysis", "processing", "stimulus"}) {
        const h5::Id group = out.group(file, name);
        if (std::strcmp(name, "stimulus") == 0)
            for (const char* part : {"presentation", "templates"})
                const h5::Id made = out.group(group.get(), part);
    }
    const h5::Id general = out.group(file, "general");
    if (!header.subject.empty()) {
        const h5::Id subject = out.group(general.get(), "subject");
        neurodata(subject.get(), "Subject", "core", id + "/subject");
        out.text(subject.get(), "subject_id", header.subject);
    }
    const std::vector<int> streams = stored_streams(session);
    for (size_t s = 0; s < streams.size(); ++s) {
        const SessionStream& stream = session.streams()[size_t(streams[s])];
        const h5::Id series = out.group(acquisition.get(), path_name(stream.info.name));
        neurodata(series.get(), "TimeSeries", "core", id + "/" + stream.info.name);
        std::string names;
        bool one_unit = true;
        for (const ChannelInfo& channel : stream.info.channels) {
            names += (names.empty() ? "" : ", ") + channel.name + " [" + channel.unit + "]";
            one_unit = one_unit && channel.unit == stream.info.channels.front().unit;
        }
        h5::write_attribute(series.get(), "description", stream.info.kind + "; channels: " + names);
        h5::write_attribute(series.get(), "comments", "gaps: samples that never came have no row");
        const h5::Id data =
            out.dataset(series.get(), "data", H5T_IEEE_F32LE, {stream.rows, stream.info.channels.size()});
        h5::write_attribute(data.get(), "unit",
                            one_unit ? stream.info.channels.front().unit : "see description");
        h5::write_number(data.get(), "conversion", 1.0f);
        h5::write_number(data.get(), "offset", 0.0f);
        h5::write_number(data.get(), "resolution", -1.0f);
        const h5::Id time = out.dataset(series.get(), "timestamps", H5T_IEEE_F64LE, {stream.rows});
        h5::write_attribute(time.get(), "unit", "seconds");
        h5::write_number(time.get(), "interval", int32_t(1));
        copy_rows(session, streams[s], out, data.get(), time.get(), options,
                  double(s) / double(streams.size()), 1.0 / double(streams.size()));
    }
    std::vector<double> start, stop;
    std::vector<std::string> names;
    std::vector<int64_t> ids;
    for (const Label& label : labels) {
        ids.push_back(int64_t(ids.size()));
        start.push_back(label.start);
        stop.push_back(label.stop);
        names.push_back(label.label_class);
    }
    const h5::Id intervals = out.group(file, "intervals");
    const h5::Id table = out.group(intervals.get(), "labels");
    neurodata(table.get(), "TimeIntervals", "core", id + "/labels");
    h5::write_attribute(table.get(), "description", "labels of the session");
    h5::write_attribute(table.get(), "colnames", "start_time,stop_time,label");
    const h5::Id id_column = out.numbers(table.get(), "id", ids);
    neurodata(id_column.get(), "ElementIdentifiers", "hdmf-common", id + "/labels/id");
    const auto describe = [&](const h5::Id& column, const char* name) {
        neurodata(column.get(), "VectorData", "hdmf-common", id + "/labels/" + name);
        h5::write_attribute(column.get(), "description", name);
    };
    describe(out.numbers(table.get(), "start_time", start), "start_time");
    describe(out.numbers(table.get(), "stop_time", stop), "stop_time");
    describe(out.texts(table.get(), "label", names), "label");
    out.close();
}

// A name that MATLAB takes as a variable.
std::string variable(const std::string& text) {
    std::string name;
    for (const char c : file_safe(text))
        name += c == '-' ? '_' : c;
    return name.front() >= '0' && name.front() <= '9' ? "s" + name : name;
}

void matlab(const h5::Id& dataset, const char* type) {
    h5::write_attribute(dataset.get(), "MATLAB_class", type);
}

// Texts as a character matrix, one a row; MATLAB's dimensions are the reverse of HDF5's.
void write_chars(H5Out& out, hid_t file, const char* name, const std::vector<std::string>& texts) {
    size_t width = 1;
    for (const std::string& text : texts)
        width = std::max(width, text.size());
    std::vector<uint16_t> chars(width * texts.size(), uint16_t(' '));
    for (size_t i = 0; i < texts.size(); ++i)
        for (size_t c = 0; c < texts[i].size(); ++c)
            chars[c * texts.size() + i] = static_cast<unsigned char>(texts[i][c]);
    const h5::Id made = out.dataset(file, name, H5T_STD_U16LE, {width, texts.size()});
    if (!chars.empty()) out.write(made.get(), H5T_STD_U16LE, chars.data());
    matlab(made, "char");
    h5::write_number(made.get(), "MATLAB_int_decode", int32_t(2));
}

void write_mat_file(SessionReader& session, const std::vector<Label>& labels, const ExportOptions& options,
                    const std::string& path) {
    H5Out out(path, 512);
    const hid_t file = out.file();
    const auto row = [&](const std::string& name, const std::vector<double>& values) {
        const h5::Id made = out.dataset(file, name, H5T_IEEE_F64LE, {values.size(), 1});
        if (!values.empty()) out.write(made.get(), H5T_IEEE_F64LE, values.data());
        matlab(made, "double");
    };
    const std::vector<int> streams = stored_streams(session);
    for (size_t s = 0; s < streams.size(); ++s) {
        const SessionStream& stream = session.streams()[size_t(streams[s])];
        const std::string name = variable(stream.info.name);
        const h5::Id data =
            out.dataset(file, name + "_data", H5T_IEEE_F32LE, {stream.rows, stream.info.channels.size()});
        matlab(data, "single");
        const h5::Id time = out.dataset(file, name + "_time", H5T_IEEE_F64LE, {stream.rows, 1});
        matlab(time, "double");
        copy_rows(session, streams[s], out, data.get(), time.get(), options,
                  double(s) / double(streams.size()), 1.0 / double(streams.size()));
        row(name + "_rate", {stream.info.rate()});
        std::vector<std::string> channels, units;
        for (const ChannelInfo& channel : stream.info.channels) {
            channels.push_back(channel.name);
            units.push_back(channel.unit);
        }
        write_chars(out, file, (name + "_channels").c_str(), channels);
        write_chars(out, file, (name + "_units").c_str(), units);
    }
    std::vector<double> start, stop;
    std::vector<std::string> names;
    for (const Label& label : labels) {
        start.push_back(label.start);
        stop.push_back(label.stop);
        names.push_back(label.label_class);
    }
    row("label_start", start);
    row("label_stop", stop);
    write_chars(out, file, "label_class", names);
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
