// lockstep session verify: what is wrong with a session.
#include <algorithm>
#include <map>
#include <tuple>

#include "acquisition/label_track.h"
#include "dsp/base/crc32c.h"
#include "storage/layout.h"
#include "storage/reader.h"
#include "storage/repair.h"

namespace lockstep::storage {
namespace {

using Problems = std::vector<std::string>;

// Recomputes the CRC-32C of every plane of a dataset that has them.
void check_sums(hid_t dataset, const std::string& name, Problems* problems) {
    if (!h5::has_attribute(dataset, "crc32c")) return;
    const auto stored = h5::read_numbers<uint32_t>(dataset, "crc32c");
    const auto size = h5::dimensions(dataset);
    const h5::Id type(H5Dget_type(dataset), "cannot read a type", name);
    const size_t planes = stored.size();
    const bool has_planes = size.size() >= 2 && size[1] == planes;
    size_t row_bytes = H5Tget_size(type.get());
    for (size_t d = has_planes ? 2 : 1; d < size.size(); ++d)
        row_bytes *= size_t(size[d]);
    if (row_bytes == 0 || planes == 0 || (planes != 1 && !has_planes)) {
        problems->push_back(name + ": its checksums do not match its shape");
        return;
    }
    hsize_t chunk[3] = {1024};
    const h5::Id create(H5Dget_create_plist(dataset), "cannot read a dataset", name);
    if (H5Pget_layout(create.get()) == H5D_CHUNKED) H5Pget_chunk(create.get(), 3, chunk);
    const uint64_t step = chunk[0];
    std::vector<uint8_t> buffer(size_t(step) * row_bytes);
    for (size_t plane = 0; plane < planes; ++plane) {
        uint32_t crc = 0;
        for (uint64_t row = 0; row < size[0]; row += step) {
            const uint64_t n = std::min<uint64_t>(step, size[0] - row);
            std::vector<hsize_t> start(size.size(), 0), count(size.begin(), size.end());
            start[0] = row;
            count[0] = n;
            if (has_planes) {
                start[1] = plane;
                count[1] = 1;
            }
            const h5::Id space(H5Dget_space(dataset), "cannot read", name);
            H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
            const h5::Id memory(H5Screate_simple(int(count.size()), count.data(), nullptr), "cannot read",
                                name);
            if (H5Dread(dataset, type.get(), memory.get(), space.get(), H5P_DEFAULT, buffer.data()) < 0) {
                problems->push_back(name + ": rows " + std::to_string(row) + "-" +
                                    std::to_string(row + n - 1) + " cannot be read");
                return;
            }
            crc = crc32c(Bytes(buffer.data(), size_t(n) * row_bytes), crc);
        }
        if (crc != stored[plane])
            problems->push_back(name + (has_planes ? ", column " + std::to_string(plane) : "") +
                                ": the checksum does not match");
    }
}

void check_group(hid_t group, const std::string& path, Problems* problems) {
    for (const std::string& name : h5::children(group)) {
        const std::string full = path + "/" + name;
        const h5::Id object(H5Oopen(group, name.c_str(), H5P_DEFAULT), "cannot open", full);
        if (H5Iget_type(object.get()) == H5I_GROUP)
            check_group(object.get(), full, problems);
        else
            check_sums(object.get(), full, problems);
    }
}

// The block table against the rows, and the counters against the gaps.
void check_stream(hid_t file, const SessionStream& stream, const std::string& group,
                  const std::vector<SegmentInfo>& segments, int index, bool accounts, Problems* problems) {
    const std::string name = "stream " + stream.info.name;
    const h5::Id g = h5::open_group(file, group);
    const h5::Id blocks = h5::open_dataset(g.get(), "blocks");
    const uint64_t count = h5::dimensions(blocks.get())[0];
    const h5::Id type = row_type<BlockRow>();

    struct Edge {
        uint64_t at;
        uint64_t count;
    };
    std::map<int, std::vector<Edge>> gaps, runs;  // per segment
    for (const Gap& gap : stream.gaps)
        gaps[gap.segment].push_back({gap.first, gap.missing});
    uint64_t row = 0, sum_count = 0;
    std::vector<BlockRow> rows;
    for (uint64_t at = 0; at < count; at += rows.size()) {
        rows.resize(size_t(std::min<uint64_t>(8192, count - at)));
        h5::read_rows(blocks.get(), type.get(), at, rows.size(), rows.data());
        for (const BlockRow& b : rows) {
            if (b.row != row) {
                problems->push_back(name + ": block " + std::to_string(sum_count) + " begins at row " +
                                    std::to_string(b.row) + ", not at " + std::to_string(row));
                return;
            }
            row += b.count;
            ++sum_count;
            auto& own = runs[b.segment];
            if (!own.empty() && own.back().at + own.back().count == b.first)
                own.back().count += b.count;
            else
                own.push_back({b.first, b.count});
        }
    }
    if (row != stream.rows)
        problems->push_back(name + ": " + std::to_string(stream.rows) + " rows, but its blocks hold " +
                            std::to_string(row));

    for (const uint32_t level : kLevels) {
        const h5::Id overview = h5::open_dataset(g.get(), "overview/" + std::to_string(level));
        if (h5::dimensions(overview.get())[0] != (stream.rows + level - 1) / level)
            problems->push_back(name + ": the overview of " + std::to_string(level) +
                                " rows a bin has another length");
    }
    if (!accounts) return;
    for (auto& [segment, own] : runs) {
        // Rows and gaps of a segment together cover every counter from 0 on, once.
        std::vector<Edge> all = own;
        all.insert(all.end(), gaps[segment].begin(), gaps[segment].end());
        std::sort(all.begin(), all.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });
        uint64_t next = all.front().at;
        for (const Edge& e : all) {
            if (e.at > next)
                problems->push_back(name + ", segment " + std::to_string(segment) + ": samples " +
                                    std::to_string(next) + "-" + std::to_string(e.at - 1) +
                                    " are neither stored nor marked as a gap");
            if (e.at < next)
                problems->push_back(name + ", segment " + std::to_string(segment) + ": samples from " +
                                    std::to_string(e.at) + " on are there twice");
            next = std::max(next, e.at + e.count);
        }
        for (const SegmentInfo& s : segments) {
            if (s.started.segment != segment || !s.ended || !s.ended->counted) continue;
            for (size_t i = 0; i < s.started.streams.size() && i < s.ended->sent.size(); ++i)
                if (s.started.streams[i] == index && uint32_t(next) != s.ended->sent[i].produced)
                    problems->push_back(name + ", segment " + std::to_string(segment) +
                                        ": the device counted " + std::to_string(s.ended->sent[i].produced) +
                                        " samples, the file accounts for " + std::to_string(next));
        }
    }
}

// Attributes have no checksum: a stream is what the device said of it when it first had it.
void check_description(const SessionStream& stream, const std::vector<SegmentInfo>& segments, int index,
                       Problems* problems) {
    for (const SegmentInfo& segment : segments)
        for (size_t i = 0; i < segment.started.streams.size(); ++i) {
            if (segment.started.streams[i] != index || i >= segment.started.info.streams.size()) continue;
            const StreamInfo& said = segment.started.info.streams[i];
            const StreamInfo& is = stream.info;
            const bool same_channels = std::equal(
                said.channels.begin(), said.channels.end(), is.channels.begin(), is.channels.end(),
                [](const ChannelInfo& a, const ChannelInfo& b) {
                    return a.name == b.name && a.unit == b.unit && a.scale == b.scale && a.offset == b.offset;
                });
            if (said.type != is.type || said.rate_num != is.rate_num || said.rate_den != is.rate_den ||
                !same_channels)
                problems->push_back("stream " + is.name +
                                    ": its rate, type or channels are not those that segment " +
                                    std::to_string(segment.started.segment) + " tells of");
            return;
        }
}

}  // namespace

Result<std::vector<std::string>> verify(const std::string& path, Depth depth) {
    auto session = open_session(path);
    if (!session) return tl::make_unexpected(session.error());
    Problems problems;
    auto checked = h5::guard(path, [&] {
        const h5::Id file = h5::open_file(path);
        h5::check_structure(file.get(), path);
        const h5::Id root = h5::open_group(file.get(), "/");
        check_group(root.get(), "", &problems);
        const h5::Id acquisition = h5::open_group(file.get(), "acquisition");
        for (const std::string& name : h5::children(acquisition.get())) {
            const h5::Id group = h5::open_group(acquisition.get(), name);
            const auto index = h5::read_number<int32_t>(group.get(), "index", 0);
            if (depth == Depth::accounts)
                check_description((*session)->streams()[size_t(index)], (*session)->segments(), index,
                                  &problems);
            check_stream(file.get(), (*session)->streams()[size_t(index)], "acquisition/" + name,
                         (*session)->segments(), index, depth == Depth::accounts, &problems);
        }
    });
    if (!checked) problems.push_back(checked.error().message());
    if (depth == Depth::storage) return problems;

    if (auto history = (*session)->label_history()) {
        LabelTrack track;
        if (auto loaded = track.load(*history); !loaded) problems.push_back(loaded.error().message());
    } else {
        problems.push_back(history.error().message());
    }
    if (auto predictions = (*session)->predictions()) {
        std::map<std::tuple<Origin, int, int>, uint32_t> last;
        for (const Prediction& p : *predictions) {
            const auto [found, first] = last.try_emplace({p.origin, p.segment, p.model}, p.window);
            if (!first && p.window <= found->second)
                problems.push_back("window " + std::to_string(p.window) + " of model " +
                                   std::to_string(p.model) +
                                   (p.origin == Origin::device ? " (device)" : " (host)") +
                                   " is there twice or out of order");
            found->second = p.window;
        }
    } else {
        problems.push_back(predictions.error().message());
    }
    return problems;
}

}  // namespace lockstep::storage
