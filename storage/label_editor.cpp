#include "storage/label_editor.h"

#include <hdf5.h>

#include <mutex>

#include "storage/event_codec.h"
#include "storage/file.h"
#include "storage/h5.h"
#include "storage/journal.h"
#include "storage/layout.h"
#include "storage/reader.h"
#include "storage/session_file.h"
#include "storage/worker.h"

namespace lockstep::storage {
namespace {

class Editor : public LabelEditor {
  public:
    Editor(std::string path, std::unique_ptr<JournalWriter> journal, std::unique_ptr<FileLock> lock)
        : path_(std::move(path)), journal_(std::move(journal)), lock_(std::move(lock)) {}

    ~Editor() override {
        journal_.reset();
        lock_.reset();
        // What cannot be merged now is merged by the next editor; readers see it either way.
        if (auto merged = merge_label_edits(path_); !merged) return;
    }

    Status append(const LabelEdit& edit) override {
        const std::lock_guard<std::mutex> held(mutex_);
        journal_->add(Event(edit));
        return make_durable();
    }
    Status append_class(const LabelClass& label_class) override {
        const std::lock_guard<std::mutex> held(mutex_);
        std::vector<uint8_t> bytes;
        encode(label_class, &bytes);
        journal_->add(RecordKind::label_class, bytes);
        return make_durable();
    }

  private:
    Status make_durable() {
        if (auto ok = journal_->flush(); !ok) return ok;
        return journal_->sync();
    }
    std::string path_;
    std::mutex mutex_;
    std::unique_ptr<JournalWriter> journal_;
    std::unique_ptr<FileLock> lock_;
};

// The copy's labels become the session's and the edits'.
void rewrite(const std::string& copy, SessionReader& session, std::vector<StoredEdit> history) {
    const h5::Id file(H5Fopen(copy.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), "cannot open the copy", copy);
    const h5::Id root = h5::open_group(file.get(), "/");
    const auto events = h5::read_number<uint64_t>(root.get(), "events", 0);
    uint64_t order = events;
    for (StoredEdit& stored : history)
        if (stored.order == UINT64_MAX) stored.order = order++;
    write_intervals(file.get(), history, session.classes());
    h5::write_number(root.get(), "events", order);
    h5::check(H5Fflush(file.get(), H5F_SCOPE_GLOBAL), "cannot write", copy);
}

}  // namespace

PendingEdits pending_edits(const std::string& path) {
    PendingEdits pending;
    if (!exists(edits_path(path))) return pending;
    auto report = read_journal(edits_path(path), [&](RecordKind kind, Bytes payload) {
        Event event;
        LabelClass label_class;
        if (kind == RecordKind::event && decode(payload, &event)) {
            if (const auto* edit = std::get_if<LabelEdit>(&event)) pending.edits.push_back(*edit);
        } else if (kind == RecordKind::label_class && decode(payload, &label_class)) {
            pending.classes.push_back(label_class);
        }
        return true;
    });
    if (!report) return {};
    return pending;
}

Status merge_label_edits(const std::string& path) {
    const std::string edits = edits_path(path), copy = path + ".edit";
    if (!exists(edits)) return {};
    auto lock = FileLock::take(edits);
    if (!lock) return tl::make_unexpected(lock.error());
    const PendingEdits pending = pending_edits(path);
    if (pending.edits.empty() && pending.classes.empty()) {
        remove_file(edits);
        return {};
    }
    auto session = open_session(path);
    if (!session) return tl::make_unexpected(session.error());
    // Orders of the stored edits, then the waiting ones at the end; edits that an earlier, interrupted
    // merge already wrote have a revision that is there.
    std::vector<StoredEdit> history;
    uint64_t revision = 0;
    std::vector<StoredEdit> stored;
    auto read = h5::guard(path, [&] {
        const h5::Id file = h5::open_file(path);
        const h5::Table t(h5::open_group(file.get(), "intervals").get(), "history");
        for (size_t i = 0; i < t.size(); ++i)
            stored.push_back({t.number<uint64_t>(i, "order"), {}});
    });
    if (!read) return read;
    auto all = (*session)->label_history();
    if (!all) return tl::make_unexpected(all.error());
    for (size_t i = 0; i < all->size(); ++i) {
        if ((*all)[i].revision <= revision) continue;
        revision = (*all)[i].revision;
        history.push_back({i < stored.size() ? stored[i].order : UINT64_MAX, (*all)[i]});
    }

    remove_file(copy);  // of a merge that was cut short
    if (auto ok = copy_file(path, copy); !ok) return ok;
    auto written = h5::guard(copy, [&] { rewrite(copy, **session, std::move(history)); });
    if (written) written = sync_file(copy);
    if (written) written = rename_over(copy, path);
    if (!written) {
        remove_file(copy);
        return written;
    }
    remember_own(path);
    if (auto ok = sync_folder(path); !ok) return ok;
    remove_file(edits);
    return {};
}

Result<std::unique_ptr<LabelEditor>> open_label_editor(const std::string& path) {
    auto session = open_session(path);
    if (!session) return tl::make_unexpected(session.error());
    session->reset();
    if (auto merged = merge_label_edits(path); !merged) return tl::make_unexpected(merged.error());
    auto journal = JournalWriter::create(edits_path(path));
    if (!journal) {
        Error error = journal.error();
        if (exists(edits_path(path)))
            error.remedy = "another program edits the labels of this session; close it first";
        return tl::make_unexpected(error);
    }
    auto lock = FileLock::take(edits_path(path));
    if (!lock) return tl::make_unexpected(lock.error());
    if (auto ok = sync_folder(path); !ok) return tl::make_unexpected(ok.error());
    return std::make_unique<Editor>(path, std::move(*journal), std::move(*lock));
}

}  // namespace lockstep::storage
