// Text files of the OpenBCI GUI (versions 3 to 6): electrodes in uV, accelerometer in g. Lost samples
// are found by the sample index that the board counts.
#include <cmath>
#include <map>

#include "storage/formats/import_text.h"
#include "storage/formats/samples.h"
#include "storage/formats/text_file.h"

namespace lockstep::storage {
namespace {

bool matches(const std::string&, const std::string& head) {
    return head.rfind("%OpenBCI", 0) == 0;
}

double number_after(const std::string& line, char mark) {
    const size_t at = line.find(mark);
    std::string text = at == std::string::npos ? "" : trimmed(line.substr(at + 1));
    double value = 0;
    text = text.substr(0, text.find_first_of(" H"));
    return parse_number(text, &value) ? value : 0;
}

struct Columns {
    std::vector<size_t> exg;
    std::vector<size_t> accel;
    size_t timestamp = 0;  // 0: none
};

Status read(const std::string& source, const ImportOptions& options, ImportSink* sink) {
    Lines lines(source);
    std::string line, board = "OpenBCI";
    double rate = 0;
    size_t channels = 0;
    Columns columns;
    bool begun = false;
    bool counts_by_one = false;
    int last = -1;
    double first_ms = 0;
    uint64_t rows = 0;
    std::vector<int32_t> exg, accel;
    uint64_t at = 0;  // counter of the first waiting row
    uint64_t lost = 0;
    bool cut = false;
    const auto flush = [&]() -> Status {
        const uint64_t held = columns.exg.empty() ? 0 : exg.size() / columns.exg.size();
        if (held == 0) return {};
        const double time = double(at) / rate;
        if (auto status = sink->samples(0, time, exg); !status) return status;
        if (!columns.accel.empty())
            if (auto status = sink->samples(1, time, accel); !status) return status;
        at += held;
        exg.clear();
        accel.clear();
        return {};
    };
    while (lines.next(&line)) {
        if (line.rfind('%', 0) == 0) {
            if (line.find("Sample Rate") != std::string::npos) rate = number_after(line, '=');
            if (line.find("Number of channels") != std::string::npos)
                channels = size_t(std::max(0.0, std::min(64.0, number_after(line, '='))));
            if (line.find("Board") != std::string::npos) board = trimmed(line.substr(line.find('=') + 1));
            continue;
        }
        const std::vector<std::string> fields = csv_split(line);
        if (line.rfind("Sample Index", 0) == 0) {
            columns = {};
            for (size_t i = 1; i < fields.size(); ++i) {
                const std::string name = trimmed(fields[i]);
                if (name.rfind("EXG Channel", 0) == 0) columns.exg.push_back(i);
                if (name.rfind("Accel Channel", 0) == 0) columns.accel.push_back(i);
                if (name == "Timestamp") columns.timestamp = i;
            }
            continue;
        }
        if (trimmed(line).empty()) continue;
        if (!begun) {
            if (columns.exg.empty())  // versions before 5 have no column names
                for (size_t i = 1; i <= channels; ++i)
                    columns.exg.push_back(i);
            if (columns.exg.empty() || rate <= 0)
                return fail(ErrorKind::usage, "the header names no channels or no rate", lines.where());
            double ms = 0;
            if (columns.timestamp > 0 && columns.timestamp < fields.size() &&
                parse_number(fields[columns.timestamp], &ms) && ms < 1e11)
                ms *= 1000;  // newer versions write seconds
            first_ms = ms > 0 && ms < 4e12 ? ms : 0;
            std::vector<StreamInfo> streams{make_stream("eeg", "eeg", SampleType::float32, rate)};
            for (size_t i = 0; i < columns.exg.size(); ++i)
                add_channel(&streams[0], "EXG" + std::to_string(i), "uV");
            if (!columns.accel.empty()) {
                streams.push_back(make_stream("acc", "imu", SampleType::float32, rate));
                for (size_t i = 0; i < columns.accel.size(); ++i)
                    add_channel(&streams[1], std::string("acc_") + char('x' + i % 3), "g");
            }
            counts_by_one =
                board.find("Cyton") != std::string::npos && board.find("Daisy") == std::string::npos;
            if (auto status =
                    sink->begin(board, int64_t(std::llround(first_ms * 1e3)) * 1000, std::move(streams));
                !status)
                return status;
            begun = true;
        }
        double index = 0;
        if (!parse_number(fields[0], &index)) {
            cut = !lines.whole();  // the writer was stopped in the middle of a line
            if (cut) break;
            return fail(ErrorKind::usage, "the sample index is no number", lines.where());
        }
        std::vector<int32_t> row;
        bool complete = true;
        for (const auto* group : {&columns.exg, &columns.accel})
            for (const size_t i : *group) {
                double value = 0;
                complete = complete && i < fields.size() && parse_number(fields[i], &value);
                row.push_back(float_bits(float(value)));
            }
        if (!complete) {
            cut = !lines.whole();
            if (cut) break;
            return fail(ErrorKind::usage, "a value is missing or no number", lines.where());
        }
        const int counter = int(std::clamp(index, 0.0, 255.0));
        if (counts_by_one && last >= 0) {
            const int missing = (counter - last - 1) & 255;
            if (missing > 0) {
                if (auto status = flush(); !status) return status;
                for (int s = 0; s < (columns.accel.empty() ? 1 : 2); ++s)
                    if (auto status = sink->gap(s, uint64_t(missing)); !status) return status;
                at += uint64_t(missing);
                lost += uint64_t(missing);
            }
        }
        last = counter;
        exg.insert(exg.end(), row.begin(), row.begin() + std::ptrdiff_t(columns.exg.size()));
        accel.insert(accel.end(), row.begin() + std::ptrdiff_t(columns.exg.size()), row.end());
        ++rows;
        if (exg.size() / columns.exg.size() >= 256)
            if (auto status = flush(); !status) return status;
        if (rows % 4096 == 0 && options.progress && !options.progress(lines.done()))
            return fail(ErrorKind::usage, "stopped");
    }
    if (lines.failed()) return fail(ErrorKind::usage, "a line longer than 1 MiB", lines.where());
    if (!begun) return fail(ErrorKind::usage, "holds no samples", source);
    if (cut) sink->note("the last line is cut off and was left out");
    if (lost > 0)
        sink->note(std::to_string(lost) + " samples are missing by the board's counter: stored as gaps");
    if (!counts_by_one) sink->note("this board's counter does not tell lost samples");
    return flush();
}

}  // namespace

ImportFormat openbci_import() {
    return {"openbci", "OpenBCI GUI text file", {label_file_option()}, matches, read};
}

}  // namespace lockstep::storage
