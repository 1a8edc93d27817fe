// One qemu-system-arm with a firmware image, and its two UARTs as connected sockets. The process dies
// with this object, with the thread that started it, and with this program.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep {

// What the emulator offers for a board; the firmware has an image of the same name.
struct EmulatedBoard {
    const char* name;
    const char* processor;
    bool mapped;  // its PSRAM can be a file of the host (16 MiB)
};
const std::vector<EmulatedBoard>& emulated_boards();

// The image of a board: `given` when not empty, else $LOCKSTEP_FIRMWARE_DIR, else firmware/ or
// share/lockstep/firmware/ beside the folder of the running program.
Result<std::string> find_firmware(const std::string& board, const std::string& given);

class QemuProcess {
  public:
    QemuProcess() = default;
    ~QemuProcess();
    QemuProcess(const QemuProcess&) = delete;
    QemuProcess& operator=(const QemuProcess&) = delete;

    // `memory_file`: backs the board's PSRAM, "" = none. Returns when both UARTs are connected.
    Status start(const std::string& board, const std::string& elf, const std::string& memory_file);
    void stop();
    bool alive();
    int uart0() const { return uart0_; }  // non-blocking sockets, owned here
    int uart1() const { return uart1_; }
    pid_t pid() const { return pid_; }

  private:
    Status spawn(const std::vector<std::string>& arguments);
    Result<int> connect_to(const std::string& path);
    std::string last_words() const;

    std::string folder_;
    pid_t pid_ = -1;
    int uart0_ = -1;
    int uart1_ = -1;
};

}  // namespace lockstep
