// report.html: one self-contained page on a session, for reading and printing.
#pragma once

#include <memory>
#include <string>

#include "app/base/report_data.h"

namespace lockstep::app {

Result<std::string> report_page(const std::shared_ptr<SessionReader>& reader,
                                const SessionAccounts& accounts);

}  // namespace lockstep::app
