#include "devices/virtual_board/qemu_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace lockstep {
namespace {

namespace fs = std::filesystem;
constexpr const char* kQemu = "qemu-system-arm";
constexpr auto kConnectPatience = std::chrono::seconds(10);

}  // namespace

const std::vector<EmulatedBoard>& emulated_boards() {
    static const std::vector<EmulatedBoard> boards = {
        {"mps2-an386", "Cortex-M4F", true},  {"mps2-an385", "Cortex-M3", true},
        {"mps2-an500", "Cortex-M7", true},   {"mps2-an505", "Cortex-M33", true},
        {"mps3-an547", "Cortex-M55", false},
    };
    return boards;
}

Result<std::string> find_firmware(const std::string& board, const std::string& given) {
    std::error_code error;
    if (!given.empty()) {
        const std::string remedy =
            "'lockstep firmware build " + board + " --plan PLAN -o IMAGE.elf' makes one";
        if (!fs::is_regular_file(given, error))
            return fail(ErrorKind::usage, "there is no such firmware image", given, remedy);
        char head[4] = {};
        std::ifstream(given, std::ios::binary).read(head, sizeof head);
        if (std::memcmp(head,
                        "\x7f"
                        "ELF",
                        sizeof head) != 0)
            return fail(ErrorKind::usage, "is no firmware image (ELF)", given, remedy);
        return given;
    }
    const std::string file = board + ".elf";
    std::vector<fs::path> folders;
    if (const char* folder = std::getenv("LOCKSTEP_FIRMWARE_DIR")) folders.emplace_back(folder);
    const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
    folders.push_back(program / "../firmware");
    folders.push_back(program / "../share/lockstep/firmware");
    for (const fs::path& folder : folders)
        if (fs::is_regular_file(folder / file, error)) return (folder / file).lexically_normal().string();
    return fail(ErrorKind::system, "no firmware image for this board", file,
                "build it with './dev firmware', or set LOCKSTEP_FIRMWARE_DIR");
}

QemuProcess::~QemuProcess() {
    stop();
}

Status QemuProcess::start(const std::string& board, const std::string& elf, const std::string& memory_file) {
    char folder[] = "/tmp/lockstep-qemu-XXXXXX";
    if (::mkdtemp(folder) == nullptr)
        return fail(ErrorKind::system, std::string("cannot make a folder in /tmp: ") + std::strerror(errno));
    folder_ = folder;
    const std::string u0 = folder_ + "/u0";
    const std::string u1 = folder_ + "/u1";
    std::vector<std::string> arguments = {kQemu,
                                          "-M",
                                          board + (memory_file.empty() ? "" : ",memory-backend=nv"),
                                          "-nodefaults",
                                          "-display",
                                          "none",
                                          "-monitor",
                                          "none",
                                          "-chardev",
                                          "socket,id=u0,path=" + u0 + ",server=on,wait=off",
                                          "-serial",
                                          "chardev:u0",
                                          "-chardev",
                                          "socket,id=u1,path=" + u1 + ",server=on,wait=off",
                                          "-serial",
                                          "chardev:u1",
                                          "-kernel",
                                          elf};
    if (!memory_file.empty())
        arguments.insert(arguments.end(),
                         {"-object", "memory-backend-file,id=nv,size=16M,share=on,mem-path=" + memory_file});
    if (auto status = spawn(arguments); !status) return status;
    auto first = connect_to(u0);
    if (!first) return tl::make_unexpected(first.error());
    uart0_ = *first;
    auto second = connect_to(u1);
    if (!second) return tl::make_unexpected(second.error());
    uart1_ = *second;
    return {};
}

Status QemuProcess::spawn(const std::vector<std::string>& arguments) {
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& a : arguments)
        argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    const std::string log = folder_ + "/log";
    int report[2];  // carries errno when exec fails, closes when it does not
    if (::pipe2(report, O_CLOEXEC) != 0) return fail(ErrorKind::system, std::strerror(errno), "pipe");
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {  // only async-signal-safe calls from here on
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        ::setpgid(0,
                  0);  // a Ctrl-C in the terminal is for the program, which ends this process in its own time
        const int null = ::open("/dev/null", O_RDONLY);
        const int out = ::open(log.c_str(), O_WRONLY | O_CREAT, 0600);
        ::dup2(null, 0);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::execvp(argv[0], argv.data());
        const int code = errno;
        (void)!::write(report[1], &code, sizeof code);
        ::_exit(127);
    }
    const int fork_error = errno;
    ::close(report[1]);
    int code = 0;
    const bool failed = pid_ > 0 && ::read(report[0], &code, sizeof code) == ssize_t(sizeof code);
    ::close(report[0]);
    if (pid_ < 0)
        return fail(ErrorKind::system, std::string("cannot start: ") + std::strerror(fork_error), kQemu);
    if (!failed) return {};
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
    if (code == ENOENT)
        return fail(ErrorKind::system, "the emulator is not installed", kQemu,
                    "install it with 'sudo apt install qemu-system-arm'");
    return fail(ErrorKind::system, std::string("cannot start: ") + std::strerror(code), kQemu);
}

Result<int> QemuProcess::connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const auto deadline = std::chrono::steady_clock::now() + kConnectPatience;
    while (std::chrono::steady_clock::now() < deadline) {
        if (!alive()) return fail(ErrorKind::system, "the emulator ended: " + last_words(), kQemu);
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) return fail(ErrorKind::system, std::strerror(errno), "socket");
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
            ::fcntl(fd, F_SETFL, O_NONBLOCK);
            return fd;
        }
        ::close(fd);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return fail(ErrorKind::system, "the emulator does not answer", kQemu, "is the machine overloaded?");
}

std::string QemuProcess::last_words() const {
    std::ifstream file(folder_ + "/log");
    std::string line;
    std::string last = "it said nothing";
    while (std::getline(file, line))
        if (!line.empty()) last = line;
    return last;
}

bool QemuProcess::alive() {
    if (pid_ <= 0) return false;
    if (::waitpid(pid_, nullptr, WNOHANG) == 0) return true;
    pid_ = -1;
    return false;
}

void QemuProcess::stop() {
    if (uart0_ >= 0) ::close(uart0_);
    if (uart1_ >= 0) ::close(uart1_);
    uart0_ = uart1_ = -1;
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);  // it holds nothing that would want saving
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
    folder_.clear();
}

}  // namespace lockstep
