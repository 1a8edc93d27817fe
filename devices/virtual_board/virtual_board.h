// The virtual board: the project's firmware in QEMU, with recorded signals on its sensors and a serial
// line to it that behaves, or misbehaves, as asked (docs/virtual_board.md).
#pragma once

#include <atomic>
#include <cstdio>
#include <memory>
#include <string>

#include "acquisition/signal_source.h"
#include "devices/virtual_board/injector.h"
#include "devices/virtual_board/line.h"
#include "devices/virtual_board/qemu_process.h"

namespace lockstep {

struct VirtualBoardOptions {
    std::string board = "mps2-an386";       // one of emulated_boards()
    std::string firmware;                   // image; "" = find_firmware()
    std::shared_ptr<SignalSource> signals;  // null: the firmware's synthetic signals
    InjectorOptions injection;
    LineOptions line;
};

// Thread: start() and the destructor from one thread, which must outlive the board (the emulator dies with
// it).
class VirtualBoard {
  public:
    // Returns when the line is usable and the board has taken the signals.
    static Result<std::unique_ptr<VirtualBoard>> start(const VirtualBoardOptions& options);
    ~VirtualBoard();
    VirtualBoard(const VirtualBoard&) = delete;
    VirtualBoard& operator=(const VirtualBoard&) = delete;

    const std::string& path() const { return line_.path(); }  // pty, its link, or "127.0.0.1:PORT"
    Line& line() { return line_; }
    const Injector& injector() const { return injector_; }
    // An error once the emulator or the injection failed.
    Status check();

  private:
    VirtualBoard() = default;

    std::unique_ptr<MappedMemory> memory_;
    QemuProcess qemu_;
    Line line_;
    Injector injector_;
};

// `lockstep firmware run`: starts the board, writes "ready PATH" to `out` once it is usable, and runs until
// `stop` is set or something fails. What happened on the line goes to `notes` at the end.
Status run_virtual_board(const VirtualBoardOptions& options, const std::atomic<bool>& stop,
                         std::FILE* out = stdout, std::FILE* notes = stderr);

}  // namespace lockstep
