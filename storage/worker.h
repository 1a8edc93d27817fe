// Work on files that may harm their reader, in a child process: `lockstep-worker`, a program of its own,
// which lies beside the running one (or in ../bin, ../libexec). A child that only forked would share this
// process's locks and threads, and could wait for them for ever. Internal to storage/.
#pragma once

#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep::storage {

// Runs the worker with `words`; it ends within `seconds` or is killed. Its answer, or the error that it
// found; a crash is an error that blames `path`. Blocks; any thread.
Result<std::string> run_worker(const std::vector<std::string>& words, const std::string& path, int seconds);

// Can the session be opened without harm? A file is checked once by a process as long as it does not
// change; what this process wrote itself counts as checked.
Status check_in_worker(const std::string& path);
void remember_own(const std::string& path);
bool is_checked(int descriptor);  // the open file itself, whatever has its name now

// The worker's side: an answer or an error as one line of JSON.
std::string worker_answer(const Result<std::string>& result);

}  // namespace lockstep::storage
