// Sessions without what names a person: for every export format alike.
#pragma once

#include <string>

#include "acquisition/export.h"

namespace lockstep::storage {

// "session-001" of the session at `index`, in place of its identifier and its file's name.
std::string hidden_session_name(size_t index);

// Pseudonyms P001, P002 ... by first appearance; no free text, serials, addresses or settings; dates
// shifted so that the earliest session starts on 2000-01-01 (the time between sessions stays).
// What was removed is added to the report.
Result<std::unique_ptr<SessionSource>> deidentified(std::unique_ptr<SessionSource> sessions,
                                                    ExportReport* report);

}  // namespace lockstep::storage
