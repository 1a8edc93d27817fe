// What every command shares: exit statuses, one line of error, words on standard error, the interrupt.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "acquisition/error.h"

namespace lockstep::app {

// Exit statuses (docs/cli.md).
constexpr int kYes = 0;     // done, and the answer is yes
constexpr int kNo = 1;      // done, and the answer is no
constexpr int kUsage = 2;   // wrong usage or bad input
constexpr int kFailed = 3;  // the device or the system failed

int status_of(const Error& error);
// Prints the error's one line on standard error; its exit status.
int complain(const Error& error);
// What complain() said last.
const std::optional<Error>& last_complaint();
// The error of a command that Ctrl-C ended before it was done; `left` tells what is there now.
Error interruption(std::string left);
// A line, or several, on standard error; control characters are taken out.
void say(const std::string& text);

// A line that is written over again, on a terminal only.
class Progress {
  public:
    Progress();
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    void show(const std::string& text);
    void clear();

  private:
    bool terminal_ = false;
    size_t shown_ = 0;
};

// SIGINT, SIGTERM and SIGHUP ask for an end instead of ending the program; SIGPIPE is ignored.
void catch_interrupts();
bool interrupted();
const std::atomic<bool>& interrupt_flag();
// Standard input, output and error, where they are closed, become /dev/null: no file that is opened later
// may get their numbers.
void keep_standard_streams();
// Writes out what standard output still holds. A failure is told, and is kFailed in place of `status`; a
// reader that has gone (`| head`) wanted no more, and is none.
int finish_output(int status);

// Sleeps, at most until the interrupt.
void sleep_ms(int milliseconds);

// -v: 1 information, 2 all; logs go to standard error.
void set_log_level(int verbosity);

}  // namespace lockstep::app
