#include "storage/session_tables.h"

#include <algorithm>
#include <map>

#include "storage/event_source.h"
#include "storage/label_editor.h"
#include "storage/row_cursor.h"
#include "storage/worker.h"

namespace lockstep::storage {

using h5::Id;

namespace {

Label label_of(const h5::Table& t, size_t i, const std::string& side) {
    Label label;
    label.id = t.number<uint64_t>(i, side + "id");
    label.start = t.number<double>(i, side + "start");
    label.stop = t.number<double>(i, side + "stop");
    label.stream = t.number<int32_t>(i, side + "stream");
    label.channel = t.number<int32_t>(i, side + "channel");
    label.confidence = t.number<double>(i, side + "confidence");
    label.label_class = t.text(i, side + "class");
    label.source = t.text(i, side + "source");
    label.note = t.text(i, side + "note");
    return label;
}

}  // namespace

SessionTables::SessionTables(const std::string& path_given) : path(path_given) {
    file = h5::open_file(path);
    // Before its structure: NWB and others have what a session may not have, which is no news about them.
    if (!h5::has_attribute(h5::open_group(file.get(), "/").get(), "format"))
        h5::refuse("this is an HDF5 file, but not a Lockstep session", path);
    if (!is_checked(h5::descriptor(file.get()))) h5::check_structure(file.get(), path);
    load_header();
    load_segments();
    load_streams();
    load_models();
    load_classes();
    load_clocks();
    load_provenance();
}

void SessionTables::load_header() {
    const Id root = h5::open_group(file.get(), "/");
    if (h5::read_text_attribute(root.get(), "format") != kFormat)
        h5::refuse("this is an HDF5 file, but not a Lockstep session", path);
    version = h5::read_number<uint32_t>(root.get(), "format_version", 0);
    if (version > kFormatVersion)
        throw h5::Failure(Error{ErrorKind::usage,
                                "the session has format " + std::to_string(version) +
                                    ", this program knows " + std::to_string(kFormatVersion),
                                path, "use a newer lockstep"});
    if (version == 0) h5::refuse("the session names no format version", path);
    state = h5::read_text_attribute(root.get(), "state");
    if (state == "recording")
        throw h5::Failure(Error{ErrorKind::usage, "the session is still being written or was cut short", path,
                                "finish the recording, or run: lockstep session repair " + path});
    header.identifier = h5::read_text_attribute(root.get(), "identifier");
    header.start_utc_ns = h5::read_number<int64_t>(root.get(), "start_utc_ns", 0);
    header.start_host_ns = h5::read_number<int64_t>(root.get(), "start_host_ns", 0);
    header.software = h5::read_text_attribute(root.get(), "software");
    header.git_commit = h5::read_text_attribute(root.get(), "git_commit");
    header.composite = h5::read_number<uint8_t>(root.get(), "composite", 0) != 0;
    header.mains_hz = h5::read_number<double>(root.get(), "mains_hz", 0);
    duration = h5::read_number<double>(root.get(), "duration", 0);
    const Id general = h5::open_group(file.get(), "general");
    header.task = h5::read_text_attribute(general.get(), "task");
    if (h5::has(general.get(), "subject"))
        header.subject = h5::read_text_attribute(h5::open_group(general.get(), "subject").get(), "id");
    if (h5::has(file.get(), "provenance")) {
        const h5::Table settings(h5::open_group(file.get(), "provenance").get(), "settings");
        for (size_t i = 0; i < settings.size(); ++i)
            header.settings[settings.text(i, "key")] = settings.text(i, "value");
    }
}

void SessionTables::load_segments() {
    const Id all = h5::open_group(file.get(), "segments");
    for (const std::string& name : h5::children(all.get())) {
        const Id group = h5::open_group(all.get(), name);
        const hid_t g = group.get();
        const auto segment = h5::read_number<int32_t>(g, "segment", 0);
        SegmentInfo info;
        if (h5::read_number<uint8_t>(g, "started", 0) != 0) {
            SegmentStarted& s = info.started;
            s.segment = segment;
            s.device = h5::read_number<int32_t>(g, "device", 0);
            s.epoch = h5::read_number<uint8_t>(g, "epoch", 0);
            s.host_ns = h5::read_number<int64_t>(g, "host_ns", 0);
            s.reason = h5::read_text_attribute(g, "reason");
            const auto numbers = h5::read_numbers<int32_t>(g, "streams");
            s.streams.assign(numbers.begin(), numbers.end());
            s.info = device_from_json(h5::read_text(g, "device_json"));
            starts.emplace_back(h5::read_number<uint64_t>(g, "order", 0), s);
        }
        if (h5::read_number<uint8_t>(g, "ended", 0) != 0) {
            SegmentEnded e;
            e.segment = segment;
            e.host_ns = h5::read_number<int64_t>(g, "end_host_ns", 0);
            e.reason = h5::read_text_attribute(g, "end_reason");
            e.counted = h5::read_number<uint8_t>(g, "counted", 0) != 0;
            const auto produced = h5::read_numbers<uint32_t>(g, "produced"),
                       dropped = h5::read_numbers<uint32_t>(g, "dropped");
            for (size_t i = 0; i < produced.size() && i < dropped.size(); ++i)
                e.sent.push_back({produced[i], dropped[i]});
            ends.emplace_back(h5::read_number<uint64_t>(g, "end_order", 0), e);
            info.ended = e;
        }
        if (h5::read_number<uint8_t>(g, "started", 0) != 0) segments.push_back(info);
    }
}

void SessionTables::load_streams() {
    const Id all = h5::open_group(file.get(), "acquisition");
    std::map<int, std::string> names;
    for (const std::string& name : h5::children(all.get())) {
        const Id group = h5::open_group(all.get(), name);
        names[h5::read_number<int32_t>(group.get(), "index", -1)] = name;
    }
    for (const auto& [index, name] : names) {
        if (index != int(streams.size()))
            h5::refuse("stream numbers have a hole", path + ": /acquisition/" + name);
        groups.push_back(name);
        streams.push_back(load_stream(all.get(), name, index));
    }
}

SessionStream SessionTables::load_stream(hid_t parent, const std::string& name, int index) const {
    const std::string where = path + ": /acquisition/" + name;
    const Id group = h5::open_group(parent, name);
    const hid_t g = group.get();
    SessionStream s;
    s.device = h5::read_number<int32_t>(g, "device", 0);
    s.rate_measured = h5::read_number<double>(g, "rate_measured", 0);
    s.info.name = h5::read_text_attribute(g, "name", name);
    s.info.kind = h5::read_text_attribute(g, "kind");
    const auto type = h5::read_number<uint8_t>(g, "sample_type", 0);
    if (type < 1 || type > 4) h5::refuse("the stream has a sample type that does not exist", where);
    s.info.type = SampleType(type);
    s.info.rate_num = h5::read_number<uint32_t>(g, "rate_num", 0);
    s.info.rate_den = h5::read_number<uint32_t>(g, "rate_den", 0);
    if (s.info.rate_num == 0 || s.info.rate_den == 0) h5::refuse("the stream's rate is zero", where);
    // What the device said last of the stream: batch and the like.
    for (const auto& [order, started] : starts)
        for (size_t i = 0; i < started.streams.size() && i < started.info.streams.size(); ++i)
            if (started.streams[i] == index) {
                s.info.batch = started.info.streams[i].batch;
                s.info.enabled = started.info.streams[i].enabled;
            }
    const h5::Table channels(g, "channels");
    if (channels.size() == 0 || channels.size() > 65535)
        h5::refuse("the stream has no usable number of channels", where);
    for (size_t i = 0; i < channels.size(); ++i)
        s.info.channels.push_back({channels.text(i, "name"), channels.text(i, "units"),
                                   channels.number<float>(i, "scale"), channels.number<float>(i, "offset")});
    const auto size = h5::dimensions(h5::open_dataset(g, "data").get());
    if (size.size() != 2 || size[1] != channels.size())
        h5::refuse("data do not have one column per channel", where);
    s.rows = size[0];
    uint64_t next = 0;
    for (const RunRow& r : read_table<RunRow>(g, "runs")) {
        if (r.row != next || r.count > s.rows - r.row) h5::refuse("the runs do not match the rows", where);
        next = r.row + r.count;
        s.runs.push_back({r.row, r.count, r.segment, r.first, r.device_us, r.time});
    }
    if (next != s.rows) h5::refuse("the runs do not match the rows", where);
    for (const GapRow& r : read_table<GapRow>(g, "gaps"))
        s.gaps.push_back(gap_of(r, index));
    return s;
}

void SessionTables::load_models() {
    const Id all = h5::open_group(file.get(), "models");
    const size_t count = h5::children(all.get()).size();
    for (size_t i = 0; i < count; ++i) {
        const Id group = h5::open_group(all.get(), std::to_string(i));
        SessionModel model;
        model.name = h5::read_text_attribute(group.get(), "name");
        model.plan_id = h5::read_text_attribute(group.get(), "plan_id");
        const Id plan = h5::open_dataset(group.get(), "plan");
        const auto size = h5::dimensions(plan.get());
        if (size.size() != 1 || size[0] > (64u << 20))
            h5::refuse("the plan has an absurd size", path + ": /models");
        model.plan.resize(size_t(size[0]));
        h5::read_rows(plan.get(), H5T_NATIVE_UINT8, 0, size[0], model.plan.data());
        models.push_back(std::move(model));
    }
}

void SessionTables::load_classes() {
    const Id group = h5::open_group(file.get(), "intervals");
    const h5::Table t(group.get(), "classes");
    for (size_t i = 0; i < t.size(); ++i) {
        const std::string hotkey = t.text(i, "hotkey");
        classes.push_back(
            {t.text(i, "name"), t.text(i, "color"), hotkey.empty() ? char(0) : hotkey[0], t.text(i, "HED")});
    }
    for (const LabelClass& added : pending_edits(path).classes) {
        const auto same = std::find_if(classes.begin(), classes.end(),
                                       [&](const LabelClass& c) { return c.name == added.name; });
        if (same == classes.end())
            classes.push_back(added);
        else
            *same = added;
    }
}

void SessionTables::load_clocks() {
    const Id all = h5::open_group(file.get(), "clock");
    for (const std::string& name : h5::children(all.get())) {
        if (name.rfind("fit_", 0) != 0) continue;
        const Id fit = h5::open_group(all.get(), name);
        clocks.push_back({h5::read_number<int32_t>(fit.get(), "device", 0),
                          h5::read_number<double>(fit.get(), "offset_ms", 0),
                          h5::read_number<double>(fit.get(), "drift_ppm", 0),
                          h5::read_number<double>(fit.get(), "error_ms", 0)});
    }
}

void SessionTables::load_provenance() {
    if (!h5::has(file.get(), "provenance")) return;
    const h5::Table t(h5::open_group(file.get(), "provenance").get(), "steps");
    if (version == 1) {
        std::vector<OldStep> steps;
        for (size_t i = 0; i < t.size(); ++i)
            steps.push_back({t.number<int64_t>(i, "utc_ns"), t.text(i, "program"), t.text(i, "version"),
                             t.text(i, "params_json")});
        provenance = provenance_of_format_1(steps, header, models, segments);
        return;
    }
    for (size_t i = 0; i < t.size(); ++i)
        provenance.steps.push_back({t.number<int64_t>(i, "utc_ns"), t.text(i, "program"),
                                    t.text(i, "version"), t.text(i, "git_commit"), t.text(i, "params_json"),
                                    t.text(i, "input_sha256")});
    const Id all = h5::open_group(file.get(), "segments");
    for (const std::string& name : h5::children(all.get())) {
        const Id group = h5::open_group(all.get(), name);
        const auto step = h5::read_number<int32_t>(group.get(), "step", 0);
        if (step < 0 || size_t(step) >= provenance.steps.size()) continue;
        provenance.step_of_segment[h5::read_number<int32_t>(group.get(), "segment", 0)] = step;
    }
}

std::vector<std::pair<uint64_t, LabelEdit>> SessionTables::history() const {
    std::vector<std::pair<uint64_t, LabelEdit>> edits;
    const h5::Table t(h5::open_group(file.get(), "intervals").get(), "history");
    for (size_t i = 0; i < t.size(); ++i) {
        LabelEdit e;
        e.operation = LabelOperation(std::clamp<int>(t.number<uint8_t>(i, "operation"), 1, 3));
        e.revision = t.number<uint64_t>(i, "revision");
        e.utc_ns = t.number<int64_t>(i, "utc_ns");
        e.author = t.text(i, "author");
        e.reason = t.text(i, "reason");
        e.before = label_of(t, i, "old_");
        e.after = label_of(t, i, "new_");
        edits.emplace_back(t.number<uint64_t>(i, "order"), std::move(e));
    }
    // Edits that wait beside the file; one that a cut-short merge already wrote is there twice.
    const uint64_t last = edits.empty() ? 0 : edits.back().second.revision;
    for (LabelEdit& e : pending_edits(path).edits)
        if (e.revision > last) edits.emplace_back(UINT64_MAX - 1, std::move(e));
    return edits;
}

void SessionTables::check_stream(int stream) const {
    if (stream < 0 || size_t(stream) >= streams.size())
        h5::refuse("the session has no stream " + std::to_string(stream), path);
}

hid_t SessionTables::memory_type(int stream) const {
    check_stream(stream);
    return streams[size_t(stream)].info.type == SampleType::float32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_INT32;
}

}  // namespace lockstep::storage
