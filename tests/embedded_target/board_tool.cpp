// The virtual board as a program, for test_virtual_board.py:
//   board_tool BOARD [--signals FILES] [--baud N] [--pty-link PATH] [--tcp PORT] [--flip R] [--drop R]
//              [--cut S] [--speed X] [--no-loop]
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "devices/virtual_board/recording_csv.h"
#include "devices/virtual_board/virtual_board.h"

namespace {
std::atomic<bool> stop{false};
}

int main(int argc, char** argv) {
    using namespace lockstep;
    std::signal(SIGTERM, [](int) { stop = true; });
    std::signal(SIGINT, [](int) { stop = true; });
    VirtualBoardOptions options;
    options.board = argc > 1 ? argv[1] : "";
    for (int i = 2; i < argc; ++i) {
        const std::string key = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : "";
        if (key == "--no-loop") {
            options.injection.loop = false;
            continue;
        }
        ++i;
        if (key == "--signals") {
            auto source = open_recordings({value});
            if (!source) {
                std::fprintf(stderr, "%s\n", source.error().message().c_str());
                return 2;
            }
            options.signals = std::move(*source);
        }
        if (key == "--baud") options.line.baud = uint32_t(std::atoi(value));
        if (key == "--pty-link") options.line.pty_link = value;
        if (key == "--tcp") options.line.tcp_port = std::atoi(value);
        if (key == "--flip") options.line.flip = std::atof(value);
        if (key == "--drop") options.line.drop = std::atof(value);
        if (key == "--cut") options.line.cut_seconds = std::atof(value);
        if (key == "--speed") options.injection.speed = std::atof(value);
    }
    const auto status = run_virtual_board(options, stop);
    if (!status) std::fprintf(stderr, "%s\n", status.error().message().c_str());
    return status ? 0 : status.error().kind == ErrorKind::usage ? 2 : 3;
}
