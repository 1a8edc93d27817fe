// One CSV per stream: a header row with names, a row with units, then one row per sample; gaps are
// missing rows, told by the counter column. Labels in a file of their own.
#include "storage/formats/exports.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {
namespace {

Status write_stream(SessionReader& session, int index, const std::string& path) {
    const SessionStream& stream = session.streams()[size_t(index)];
    TextFile file(path);
    std::string head = "time,segment,sample";
    std::string units = "s,,";
    for (const ChannelInfo& channel : stream.info.channels) {
        head += "," + csv_field(channel.name);
        units += "," + csv_field(channel.unit);
    }
    file.write(head + "\n" + units + "\n");
    size_t run = 0;
    const size_t channels = stream.info.channels.size();
    auto status =
        for_rows(session, index, 4096, [&](uint64_t row, uint64_t count, const int32_t* counts) -> Status {
            std::string text;
            for (uint64_t i = 0; i < count; ++i) {
                while (run + 1 < stream.runs.size() && stream.runs[run + 1].row <= row + i)
                    ++run;
                const RowRun* in = run < stream.runs.size() ? &stream.runs[run] : nullptr;
                text += number_text(row_time(stream, row + i));
                text += "," + std::to_string(in != nullptr ? in->segment : 0) + ",";
                text += std::to_string(in != nullptr ? in->first + (row + i - in->row) : row + i);
                for (size_t c = 0; c < channels; ++c)
                    text += "," + number_text(physical(stream.info, c, counts[i * channels + c]));
                text += "\n";
            }
            file.write(text);
            return {};
        });
    if (!status) return status;
    return file.close();
}

}  // namespace

Status write_labels_csv(SessionReader& session, const std::string& path) {
    const auto current = current_labels(session);
    if (!current) return tl::make_unexpected(current.error());
    TextFile file(path);
    file.write("start_s,stop_s,class,stream,channel,source,confidence,note\n");
    for (const Label& label : current->labels) {
        const auto& streams = session.streams();
        const bool known = label.stream >= 0 && size_t(label.stream) < streams.size();
        const StreamInfo* info = known ? &streams[size_t(label.stream)].info : nullptr;
        const bool one =
            info != nullptr && label.channel >= 0 && size_t(label.channel) < info->channels.size();
        file.write(number_text(label.start) + "," +
                   (label.stop > label.start ? number_text(label.stop) : "") + "," +
                   csv_field(label.label_class) + "," + (info != nullptr ? csv_field(info->name) : "") + "," +
                   (one ? csv_field(info->channels[size_t(label.channel)].name) : "") + "," +
                   csv_field(label.source) + "," + number_text(label.confidence) + "," +
                   csv_field(label.note) + "\n");
    }
    return file.close();
}

namespace {
Status write_csv(SessionSource& sessions, const ExportOptions& options, const std::string& path,
                 ExportReport* report) {
    auto session = sessions.open(0);
    if (!session) return tl::make_unexpected(session.error());
    const std::vector<int> streams = stored_streams(**session);
    for (size_t i = 0; i < streams.size(); ++i) {
        const std::string name = (*session)->streams()[size_t(streams[i])].info.name;
        const std::string file = stem_of(path) + "_" + file_safe(name) + ".csv";
        if (auto status = write_stream(**session, streams[i], file); !status) return status;
        report->files.push_back(file);
        if (options.progress && !options.progress(double(i + 1) / double(streams.size())))
            return fail(ErrorKind::usage, "stopped", path);
    }
    const std::string labels = stem_of(path) + "_labels.csv";
    if (auto status = write_labels_csv(**session, labels); !status) return status;
    report->files.push_back(labels);
    return {};
}

}  // namespace

ExportFormat csv_format() {
    return {"csv", "CSV, one file per stream with a units row, and the labels", ".csv", false, {}, write_csv};
}

}  // namespace lockstep::storage
