// edflib keeps a global table of open files: opening and closing are done under this lock.
#pragma once

#include <mutex>

namespace lockstep::storage {

std::mutex& edf_lock();

}  // namespace lockstep::storage
