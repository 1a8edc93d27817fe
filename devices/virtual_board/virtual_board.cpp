#include "devices/virtual_board/virtual_board.h"

#include <chrono>
#include <cmath>
#include <thread>

namespace lockstep {
namespace {

constexpr double kUartBytesPerSecond = 12000;  // the second UART carries 14 kB/s, frames included
constexpr auto kAcceptPatience = std::chrono::seconds(20);

double injected_bytes_per_second(const VirtualBoardOptions& options) {
    double sum = 0;
    for (const StreamInfo& s : options.signals->streams())
        sum += s.rate() * double(s.channels.size() * sample_bytes(s.type));
    return sum * options.injection.speed;
}

Result<const EmulatedBoard*> find_board(const std::string& name) {
    std::string names;
    for (const EmulatedBoard& board : emulated_boards()) {
        if (name == board.name) return &board;
        names += (names.empty() ? "" : ", ") + std::string(board.name);
    }
    return fail(ErrorKind::usage, "no such virtual board", name, "choose one of " + names);
}

std::string summary(const LineCounters& c) {
    const auto n = [](uint64_t value) { return std::to_string(value); };
    return "line: " + n(c.to_host) + " bytes to the host, " + n(c.to_device) + " to the board; " +
           n(c.overflowed) + " lost to a slow host, " + n(c.unheard) + " unheard; faults: " + n(c.flipped) +
           " flipped, " + n(c.deleted) + " deleted, " + n(c.cuts) + " cuts";
}

}  // namespace

VirtualBoard::~VirtualBoard() {
    injector_.stop();
    line_.stop();
    qemu_.stop();
}

Result<std::unique_ptr<VirtualBoard>> VirtualBoard::start(const VirtualBoardOptions& options) {
    const auto info = find_board(options.board);
    if (!info) return tl::make_unexpected(info.error());
    const double speed = options.injection.speed;
    if (!std::isfinite(speed) || speed < 0.001 || speed > 1000)
        return fail(ErrorKind::usage, "the speed is not between 0.001 and 1000", options.board);
    if (!(options.line.flip >= 0 && options.line.flip <= 1 && options.line.drop >= 0 &&
          options.line.drop <= 1))
        return fail(ErrorKind::usage, "a fault rate is not between 0 and 1", options.board);
    const auto elf = find_firmware(options.board, options.firmware);
    if (!elf) return tl::make_unexpected(elf.error());

    std::unique_ptr<VirtualBoard> board(new VirtualBoard);
    if (options.signals && injected_bytes_per_second(options) > kUartBytesPerSecond) {
        if (!(*info)->mapped)
            return fail(ErrorKind::usage, "the signals are faster than this board's injection port",
                        options.board, "take mps2-an386, or fewer or slower signals");
        auto memory = MappedMemory::create();
        if (!memory) return tl::make_unexpected(memory.error());
        board->memory_ = std::move(*memory);
    }
    auto status = board->qemu_.start(options.board, *elf, board->memory_ ? board->memory_->path() : "");
    if (!status) return tl::make_unexpected(status.error());
    status = board->line_.start(board->qemu_.uart0(), options.line);
    if (!status) return tl::make_unexpected(status.error());
    if (!options.signals) return board;

    board->injector_.start(board->memory_ ? board->memory_->port() : make_socket_port(board->qemu_.uart1()),
                           options.signals, options.injection);
    const auto deadline = std::chrono::steady_clock::now() + kAcceptPatience;
    while (!board->injector_.accepted()) {
        if (auto failed = board->check(); !failed) return tl::make_unexpected(failed.error());
        if (std::chrono::steady_clock::now() > deadline)
            return fail(ErrorKind::device, "the firmware does not take the signals", options.board,
                        "is " + *elf + " this version's firmware?");
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return board;
}

Status VirtualBoard::check() {
    if (!qemu_.alive()) return fail(ErrorKind::device, "the emulator ended", line_.path());
    const std::string problem = injector_.problem();
    if (!problem.empty()) return fail(ErrorKind::device, problem, line_.path());
    return {};
}

Status run_virtual_board(const VirtualBoardOptions& options, const std::atomic<bool>& stop, std::FILE* out,
                         std::FILE* notes) {
    auto board = VirtualBoard::start(options);
    if (!board) return tl::make_unexpected(board.error());
    std::fputs(("ready " + (*board)->path() + "\n").c_str(), out);
    std::fflush(out);
    Status status;
    while (!stop && status) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        status = (*board)->check();
    }
    std::fputs((summary((*board)->line().counters()) + "\n").c_str(), notes);
    return status;
}

}  // namespace lockstep
