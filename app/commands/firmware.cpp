// lockstep firmware boards | build | run | flash | size
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "app/base/paths.h"
#include "app/base/report_data.h"
#include "app/base/session_signals.h"
#include "app/commands/commands.h"
#include "devices/virtual_board/recording_csv.h"
#include "devices/virtual_board/virtual_board.h"
#include "models/plan/plan_file.h"
#include "storage/reader.h"

namespace fs = std::filesystem;

namespace lockstep::app {
namespace {

// Runs a program; its words go to standard error, or its output to `out`.
Result<int> run_program(const std::vector<std::string>& arguments, std::string* out = nullptr) {
    int ends[2] = {-1, -1};
    if (out != nullptr && ::pipe2(ends, O_CLOEXEC) != 0) return fail(ErrorKind::system, "cannot make a pipe");
    const pid_t pid = ::fork();
    if (pid < 0) return fail(ErrorKind::system, "cannot start a program", arguments.front());
    if (pid == 0) {
        ::dup2(out != nullptr ? ends[1] : STDERR_FILENO, STDOUT_FILENO);
        std::vector<char*> argv;
        argv.reserve(arguments.size() + 1);
        for (const std::string& argument : arguments)
            argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    if (out != nullptr) {
        ::close(ends[1]);
        char block[4096];
        for (ssize_t n; (n = ::read(ends[0], block, sizeof block)) > 0;)
            out->append(block, size_t(n));
        ::close(ends[0]);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

std::string image_of(const std::string& board) {
    const auto found = find_firmware(board, "");
    return found ? *found : std::string();
}

int boards(bool json) {
    Json out = {{"boards", Json::array()}};
    for (const EmulatedBoard& board : emulated_boards()) {
        const std::string image = image_of(board.name);
        out["boards"].push_back(
            {{"name", board.name}, {"processor", board.processor}, {"runs", "emulated"}, {"image", image}});
        if (!json)
            std::printf("%-14s %-12s %s\n", board.name, board.processor,
                        image.empty() ? "not built: lockstep firmware build" : image.c_str());
    }
    // Boards that are built but have no emulator here.
    const std::string source = source_folder();
    std::error_code error;
    for (fs::directory_iterator it(source + "/embedded_target/boards", error), end;
         !source.empty() && !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        const auto& known = emulated_boards();
        if (std::any_of(known.begin(), known.end(), [&](const EmulatedBoard& b) { return name == b.name; }))
            continue;
        out["boards"].push_back(
            {{"name", name}, {"processor", ""}, {"runs", "hardware"}, {"image", image_of(name)}});
        if (!json) std::printf("%-14s %-12s no emulator\n", name.c_str(), "");
    }
    if (json) print_json(out);
    return kYes;
}

struct BuildOptions {
    std::string board;
    std::vector<std::string> plans;  // in place of the shipped ones
    std::string output;              // a copy of the image
};

// The plans under names that no build tool can misread; their paths, as a CMake list.
Result<std::string> gather_plans(const std::vector<std::string>& plans, const std::string& folder) {
    std::error_code error;
    fs::create_directories(folder, error);
    std::string list;
    for (size_t i = 0; i < plans.size(); ++i) {
        if (const auto plan = load_plan(plans[i]); !plan) return tl::make_unexpected(plan.error());
        const std::string copy = folder + "/" + std::to_string(i) + ".lsplan";
        fs::copy_file(plans[i], copy, fs::copy_options::overwrite_existing, error);
        if (error) return fail(ErrorKind::system, "cannot write the file", copy, error.message());
        list += (i == 0 ? "" : ";") + copy;
    }
    return list;
}

Status keep_image(const std::string& image, const std::string& output) {
    std::error_code error;
    const std::string part = output + ".part";
    fs::copy_file(image, part, fs::copy_options::overwrite_existing, error);
    if (!error) fs::rename(part, output, error);
    if (error) return fail(ErrorKind::system, "cannot write the image", output, error.message());
    return {};
}

int build(const BuildOptions& o) {
    const std::string source = source_folder();
    if (source.empty())
        return complain({ErrorKind::usage, "this program does not stand in its source folder",
                         program_folder(), "build the firmware from a checkout"});
    std::error_code error;
    if (!o.board.empty() &&
        !fs::exists(source + "/embedded_target/boards/" + o.board + "/board.cmake", error))
        return complain(
            {ErrorKind::usage, "there is no such board", o.board, "'lockstep firmware boards' lists them"});
    if (o.plans.empty() != o.output.empty() || (!o.output.empty() && o.board.empty()))
        return complain({ErrorKind::usage, "a board, --plan and --output belong together", "",
                         "lockstep firmware build BOARD --plan NAME.lsplan -o IMAGE.elf"});
    if (!o.output.empty() && fs::exists(o.output, error))
        return complain({ErrorKind::usage, "the file exists already", o.output,
                         "nothing is overwritten: choose another name"});
    // Images with plans of the user's have a folder of their own, so that the shipped ones stay.
    const std::string folder = source + (o.plans.empty() ? "/build/firmware" : "/build/firmware-plans");
    const auto plans = gather_plans(o.plans, folder + "/chosen");
    if (!plans) return complain(plans.error());
    const auto configured =
        run_program({"cmake", "-S", source + "/embedded_target", "-B", folder, "-G", "Ninja",
                     "-DCMAKE_TOOLCHAIN_FILE=" + source + "/embedded_target/toolchains/arm-none-eabi.cmake",
                     "-DLOCKSTEP_PLANS=" + *plans});
    if (!configured) return complain(configured.error());
    if (*configured != 0)
        return complain({ErrorKind::system, "cmake failed", folder, "'./dev doctor' tells what is missing"});
    std::vector<std::string> ninja = {"ninja", "-C", folder};
    if (!o.board.empty()) ninja.push_back(o.board + ".elf");
    const auto built = run_program(ninja);
    if (!built) return complain(built.error());
    if (*built != 0)
        return complain({ErrorKind::system, "the build failed", folder, "its first error is above"});
    if (o.output.empty()) return kYes;
    if (const Status kept = keep_image(folder + "/" + o.board + ".elf", o.output); !kept)
        return complain(kept.error());
    say(o.output + ": run it with 'virtual:" + o.board + "?firmware=" + o.output + "'");
    return kYes;
}

struct RunOptions {
    VirtualBoardOptions board;
    std::string signals;
};

// The session or the files that `signals` names; without it, the demo signals.
Result<std::shared_ptr<SignalSource>> open_signals(const std::string& signals) {
    if (signals == "synthetic") return std::shared_ptr<SignalSource>();
    if (signals.size() > 3 && signals.compare(signals.size() - 3, 3, ".h5") == 0) {
        auto reader = storage::open_session(signals);
        if (!reader) return tl::make_unexpected(reader.error());
        auto source = SessionSignals::open(std::move(*reader));
        if (!source) return tl::make_unexpected(source.error());
        return std::shared_ptr<SignalSource>(std::move(*source));
    }
    std::vector<std::string> files;
    if (signals.empty()) {
        const std::string folder = resources_folder() + "/recordings/";
        for (const char* name : {"eeg", "gsr", "imu", "ppg"})
            files.push_back(folder + name + ".csv");
    } else {
        files.push_back(signals);
    }
    auto source = open_recordings(files);
    if (!source) return tl::make_unexpected(source.error());
    return std::shared_ptr<SignalSource>(std::move(*source));
}

int run(const RunOptions& options) {
    auto signals = open_signals(options.signals);
    if (!signals) return complain(signals.error());
    VirtualBoardOptions board = options.board;
    board.signals = std::move(*signals);
    // A session is played once, so that its end can be seen; the demo goes on for ever.
    board.injection.loop =
        options.signals.size() < 3 || options.signals.compare(options.signals.size() - 3, 3, ".h5") != 0;
    const Status ended = run_virtual_board(board, interrupt_flag());
    return ended ? kYes : complain(ended.error());
}

int flash(const std::string& board) {
    const auto& emulated = emulated_boards();
    if (std::any_of(emulated.begin(), emulated.end(),
                    [&](const EmulatedBoard& b) { return board == b.name; }))
        return complain({ErrorKind::usage, "an emulated board has no flash to write", board,
                         "run it with 'lockstep firmware run " + board + "'"});
    if (image_of(board).empty())
        return complain({ErrorKind::usage, "there is no image for this board", board,
                         "'lockstep firmware boards' lists them, 'lockstep firmware build' makes them"});
    return complain({ErrorKind::system, "this version has no flash tool for this board", board,
                     "write " + image_of(board) + " with the maker's own tool"});
}

int size(const std::string& only, bool json) {
    const std::string folder = firmware_folder();
    Json out = {{"boards", Json::object()}};
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !folder.empty() && !error && it != end;
         it.increment(error)) {
        const std::string name = it->path().stem().string();
        if (it->path().extension() != ".elf" || (!only.empty() && name != only)) continue;
        std::string text;
        const auto status = run_program({"arm-none-eabi-size", it->path().string()}, &text);
        if (!status) return complain(status.error());
        unsigned long code = 0, data = 0, bss = 0;
        const size_t line = text.find('\n');
        if (*status != 0 || line == std::string::npos ||
            std::sscanf(text.c_str() + line, "%lu %lu %lu", &code, &data, &bss) != 3)
            return complain({ErrorKind::system, "arm-none-eabi-size failed", it->path().string(),
                             "install binutils-arm-none-eabi"});
        out["boards"][name] = {{"text", code}, {"data", data}, {"bss", bss}};
        if (!json) std::printf("%-14s flash %8lu  ram %8lu bytes\n", name.c_str(), code + data, data + bss);
    }
    if (out["boards"].empty())
        return complain({ErrorKind::usage, "there is no image", only.empty() ? folder : only,
                         "'lockstep firmware build' makes one"});
    if (json) print_json(out);
    return kYes;
}

}  // namespace

void add_firmware(CLI::App& root, Chosen* chosen) {
    CLI::App* firmware =
        root.add_subcommand("firmware", "The boards' firmware: build, run in the emulator, size");
    firmware->require_subcommand(1);
    const auto board = std::make_shared<std::string>();
    const auto json = std::make_shared<bool>(false);
    const auto o = std::make_shared<RunOptions>();

    CLI::App* b =
        firmware->add_subcommand("boards", "Which boards there are, and which run without hardware");
    b->add_flag("--json", *json, "One JSON object on standard output");
    b->callback([=] { *chosen = [=] { return boards(*json); }; });

    CLI::App* make = firmware->add_subcommand("build", "Build the firmware of a board, or of all");
    const auto building = std::make_shared<BuildOptions>();
    make->add_option("board", building->board, "Board");
    make->add_option("--plan", building->plans, "Plan for the image to run, in place of the shipped ones")
        ->allow_extra_args(false);
    make->add_option("-o,--output", building->output, "With --plan: the image, a new file");
    make->callback([=] { *chosen = [=] { return build(*building); }; });

    CLI::App* r = firmware->add_subcommand(
        "run", "Run a board in the emulator; prints 'ready PORT' and goes on until Ctrl-C");
    r->add_option("board", o->board.board, "Board")->required();
    r->add_option("--signals", o->signals,
                  "A session, CSV files (eeg:FILE,imu:FILE), or 'synthetic'; without it the demo signals");
    r->add_option("--firmware", o->board.firmware, "Image to run in place of the board's own");
    r->add_option("--baud", o->board.line.baud,
                  "Bits a second of the serial line; 0 = as fast as it goes (115200)")
        ->check(between(0, 1e8));
    r->add_option("--speed", o->board.injection.speed, "Signal seconds per second (1)")
        ->check(between(0.001, 1000));
    r->add_option("--flip", o->board.line.flip, "Fault: chance of a wrong bit, per byte (0)")
        ->check(between(0, 1));
    r->add_option("--drop", o->board.line.drop, "Fault: chance of a lost byte, per byte (0)")
        ->check(between(0, 1));
    r->add_option("--cut-every", o->board.line.cut_seconds, "Fault: pull the cable so often; 0 = never (0)")
        ->check(between(0, 1e6, "seconds"));
    r->add_option("--cut-length", o->board.line.cut_length, "Fault: for so long (1)")
        ->check(between(0, 1e6, "seconds"));
    r->add_option("--seed", o->board.line.seed, "Of the faults (1)")->check(between(0, 4294967295.0));
    r->add_option("--pty-link", o->board.line.pty_link, "Symbolic link to the port");
    r->add_option("--tcp", o->board.line.tcp_port,
                  "A TCP port on this computer in place of the serial port; 0 = any")
        ->check(between(0, 65535));
    r->callback([=] { *chosen = [=] { return run(*o); }; });

    CLI::App* f = firmware->add_subcommand("flash", "Write the firmware to a board");
    f->add_option("board", *board, "Board")->required();
    f->callback([=] { *chosen = [=] { return flash(*board); }; });

    CLI::App* s = firmware->add_subcommand("size", "Flash and RAM of the built images");
    s->add_option("board", *board, "Board");
    s->add_flag("--json", *json, "One JSON object on standard output");
    s->callback([=] { *chosen = [=] { return size(*board, *json); }; });
}

}  // namespace lockstep::app
