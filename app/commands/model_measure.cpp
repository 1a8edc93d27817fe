#include "app/commands/model_measure.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "app/base/paths.h"
#include "devices/child_process.h"
#include "devices/virtual_board/qemu_process.h"

namespace fs = std::filesystem;

namespace lockstep::app {
namespace {

constexpr int kTimeoutMs = 120000;
constexpr uint64_t kKnownLoop = 2002;  // of measure.cpp: two instructions, then 1000 times two

class Folder {
  public:
    Folder() {
        char name[] = "/tmp/lockstep-measure-XXXXXX";
        if (::mkdtemp(name) != nullptr) path_ = name;
    }
    ~Folder() {
        std::error_code error;
        if (!path_.empty()) fs::remove_all(path_, error);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

void measure(const std::string& images, const std::string& folder, BoardMeasure* out) {
    const std::string image = images + "/" + out->board + ".elf", counts = folder + "/" + out->board;
    std::error_code error;
    if (images.empty() || !fs::exists(image, error) || !fs::exists(images + "/libmarks.so", error)) {
        out->why_not = "its image for measuring is not built: './dev firmware' builds it";
        return;
    }
    ChildProcess qemu;
    const auto said =
        qemu.start({"/usr/bin/env", "qemu-system-arm", "-M", out->board, "-display", "none", "-nodefaults",
                    "-monitor", "none", "-serial", "none", "-chardev", "stdio,id=said", "-semihosting-config",
                    "enable=on,target=native,chardev=said,arg=measure,arg=" + folder + "/plan", "-kernel",
                    image, "-plugin", images + "/libmarks.so,out=" + counts},
                   "measure: ", kTimeoutMs);
    if (!said) {
        out->why_not = "the emulator did not run: " + said.error().what;
        return;
    }
    unsigned long stack = 0;
    size_t operators = 0;
    unsigned code = 0;
    if (std::sscanf(said->c_str(), "refused %u", &code) == 1) {
        out->why_not = std::string("it cannot run the plan: ") +
                       (code == 3 ? "not enough memory" : code_name(Code(code)));
        return;
    }
    if (std::sscanf(said->c_str(), "stack %lu operators %zu", &stack, &operators) != 2) {
        out->why_not = "the emulator said: " + *said;
        return;
    }
    std::ifstream file(counts);
    std::vector<uint64_t> marks;
    for (uint64_t n = 0; file >> n;)
        marks.push_back(n);
    // Before the loop, the loop, before the inference, every operator.
    if (marks.size() != operators + 3 || marks[1] != kKnownLoop) {
        out->why_not = "the counter is not exact on this computer";
        return;
    }
    out->layers.assign(marks.begin() + 3, marks.end());
    out->instructions = std::accumulate(out->layers.begin(), out->layers.end(), uint64_t(0));
    out->stack_bytes = stack;
}

}  // namespace

std::vector<BoardMeasure> measure_on_boards(const LoadedPlan& plan) {
    std::vector<BoardMeasure> out;
    const Folder folder;
    const std::string images = firmware_folder().empty() ? "" : firmware_folder() + "/measure";
    std::ofstream file(folder.path() + "/plan", std::ios::binary);
    file.write(reinterpret_cast<const char*>(plan.bytes.data()), std::streamsize(plan.bytes.size()));
    file.close();
    for (const EmulatedBoard& board : emulated_boards()) {
        BoardMeasure row;
        row.board = board.name;
        row.processor = board.processor;
        if (folder.path().empty() || !file)
            row.why_not = "cannot write in /tmp";
        else
            measure(images, folder.path(), &row);
        out.push_back(std::move(row));
    }
    return out;
}

}  // namespace lockstep::app
