// The events of a session file, table by table, merged into the order in which they were received.
// Internal to storage/; throws h5::Failure; under h5::lock().
#pragma once

#include <memory>
#include <vector>

#include "acquisition/event.h"
#include "storage/layout.h"
#include "storage/session_tables.h"

namespace lockstep::storage {

// One kind of event in the order it was received.
class Source {
  public:
    virtual ~Source() = default;
    static constexpr uint64_t kEnd = UINT64_MAX;
    virtual uint64_t order() = 0;  // of the next event, kEnd when there is none
    virtual Event take() = 0;      // the next event; REQUIRES: order() != kEnd
};
using Sources = std::vector<std::unique_ptr<Source>>;

// Each adds one kind of event. `tables` must outlive the sources.
void add_segments(const SessionTables& tables, Sources* out);
void add_stream(const SessionTables& tables, int index, Sources* out);
void add_predictions(const SessionTables& tables, Sources* out);
void add_verdicts(const SessionTables& tables, Sources* out);
void add_link(const SessionTables& tables, Sources* out);
void add_markers(const SessionTables& tables, Sources* out);
void add_clock(const SessionTables& tables, Sources* out);
void add_health(const SessionTables& tables, Sources* out);
void add_labels(const SessionTables& tables, Sources* out);
void add_everything(const SessionTables& tables, Sources* out);

// The next event of all; false at the end.
bool next_event(const Sources& sources, Event* event);

Gap gap_of(const GapRow& row, int stream);

}  // namespace lockstep::storage
