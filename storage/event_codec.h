// Events and session descriptions as compact little-endian bytes: the payload of journal records
// (docs/file_format.md, "Journal"). decode() checks every bound; a block's counts take 2, 3 or 4 bytes
// each, whichever holds all of them.
#pragma once

#include <cstdint>
#include <vector>

#include "acquisition/event.h"
#include "acquisition/session_store.h"
#include "dsp/base/span.h"

namespace lockstep::storage {

// Appends to `out`.
void encode(const Event& event, std::vector<uint8_t>* out);
void encode(const WriterOptions& options, std::vector<uint8_t>* out);
void encode(const LabelClass& label_class, std::vector<uint8_t>* out);

// False when the bytes are malformed or longer than what they hold.
bool decode(Bytes bytes, Event* out);
bool decode(Bytes bytes, WriterOptions* out);
bool decode(Bytes bytes, LabelClass* out);

// Memory that an event keeps, roughly; what the recorder's queue is bounded by.
size_t event_bytes(const Event& event);

}  // namespace lockstep::storage
