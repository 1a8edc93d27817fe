// A program that runs as long as this object, and no longer than this process.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "acquisition/error.h"

namespace lockstep {

class ChildProcess {
  public:
    ChildProcess() = default;
    ~ChildProcess();  // SIGTERM, after 3 s SIGKILL
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;

    // Starts arguments[0] and waits for a line of its output that begins with `prefix`; gives the rest
    // of that line. Error with the last words of a program that ended before; a usage error when its exit
    // status was 2.
    Result<std::string> start(std::vector<std::string> arguments, const std::string& prefix, int timeout_ms);

  private:
    void keep(std::vector<std::string> arguments);
    void on_line(const std::string& line);

    std::thread keeper_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string prefix_;
    pid_t pid_ = -1;
    bool ended_ = false;
    bool ready_ = false;
    int exit_status_ = -1;
    std::string answer_;
    std::string last_words_;
};

}  // namespace lockstep
