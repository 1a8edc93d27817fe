// lockstep model parity: one plan on every machine, tensor by tensor
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/base/paths.h"
#include "app/commands/model.h"
#include "models/data/npy.h"
#include "models/plan/plan_file.h"

namespace fs = std::filesystem;

namespace lockstep::app {
namespace {

struct Request {
    std::vector<std::string> plans, machines;
    std::string input;
    bool json = false;
};

// The inputs as float32 in a file: FILE itself, or what its NumPy array holds.
class Inputs {
  public:
    ~Inputs() {
        std::error_code error;
        if (!made_.empty()) fs::remove(made_, error);
    }
    Inputs() = default;
    Inputs(const Inputs&) = delete;
    Inputs& operator=(const Inputs&) = delete;

    Result<std::string> file(const std::string& path) {
        const std::string end = fs::path(path).extension().string();
        if (end != ".npy" && end != ".npz") return path;
        const auto array = read_npy(path);
        if (!array) return tl::make_unexpected(array.error());
        char name[] = "/tmp/lockstep-parity-XXXXXX";
        const int made = ::mkstemp(name);
        if (made < 0) return fail(ErrorKind::system, "cannot write in /tmp", path);
        ::close(made);
        made_ = name;
        std::ofstream out(made_, std::ios::binary);
        out.write(reinterpret_cast<const char*>(array->values.data()),
                  std::streamsize(array->values.size() * sizeof(float)));
        out.close();
        if (!out) return fail(ErrorKind::system, "cannot write the file", made_);
        return made_;
    }

  private:
    std::string made_;
};

// Bytes of one window; every plan takes the same inputs.
Result<size_t> window_bytes(const std::vector<std::string>& plans) {
    size_t bytes = 0;
    for (const std::string& path : plans) {
        const auto plan = load_plan(path);
        if (!plan) return tl::make_unexpected(plan.error());
        const model::Plan& p = (*plan)->plan;
        size_t all = 0;
        for (size_t i = 0; i < p.inputs(); ++i)
            all += sizeof(float) * p.input(i).window * p.input(i).channels;
        if (bytes != 0 && all != bytes)
            return fail(ErrorKind::usage, "the plans take inputs of different sizes", path,
                        "give them one by one");
        bytes = all;
    }
    return bytes;
}

int run(const Request& r) {
    const std::string source = source_folder();
    if (source.empty())
        return complain({ErrorKind::usage, "the matrix compiles the engine for every machine", "",
                         "run it from a checkout with embedded_target/"});
    Inputs inputs;
    std::vector<std::string> words = {"/usr/bin/python3", source + "/embedded_target/parity/parity.py"};
    if (r.json) words.emplace_back("--json");
    if (!r.input.empty()) {
        const auto window = window_bytes(r.plans);
        if (!window) return complain(window.error());
        const auto file = inputs.file(r.input);
        if (!file) return complain(file.error());
        std::error_code error;
        const auto size = fs::file_size(*file, error);
        if (error) return complain({ErrorKind::usage, "there is no such file", r.input, ""});
        if (size == 0 || *window == 0 || size % *window != 0)
            return complain({ErrorKind::usage,
                             "holds " + std::to_string(size) +
                                 " bytes of float32, no whole number of inputs of " + std::to_string(*window),
                             r.input, ""});
        words.insert(words.end(), {"--input", *file});
    }
    for (const std::string& path : r.plans) {
        const auto plan = load_plan(path);
        if (!plan) return complain(plan.error());
        words.insert(words.end(), {"--plan", path});
    }
    words.insert(words.end(), r.machines.begin(), r.machines.end());
    const std::string build = fs::path(program_folder()).parent_path().string();
    const pid_t pid = ::fork();
    if (pid < 0) return complain({ErrorKind::system, "cannot start a program", words.front(), ""});
    if (pid == 0) {
        ::setenv("LOCKSTEP_BUILD", build.c_str(), 0);
        std::vector<char*> argv;
        argv.reserve(words.size() + 1);
        for (const std::string& word : words)
            argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? WEXITSTATUS(status) : 2;
}

}  // namespace

void add_model_parity(CLI::App& model, Chosen* chosen) {
    const auto r = std::make_shared<Request>();
    CLI::App* c = model.add_subcommand(
        "parity",
        "Runs plans on this computer's kernels and on emulated boards; exit 1 when a tensor differs");
    c->add_option("plans", r->plans, "NAME.lsplan")->required();
    c->add_option("--input", r->input, "Inputs, one after another: .npy, or float32; random ones otherwise");
    c->add_option("--machine", r->machines, "May be given several times; all that can run here otherwise")
        ->check(CLI::IsMember({"host-reference", "avx2", "avx-vnni", "avx512-vnni", "m3", "m4f", "m7", "m33",
                               "m55", "rv32", "aarch64", "aarch64-a53"}));
    c->add_flag("--json", r->json, "One JSON object on standard output");
    c->callback([=] { *chosen = [=] { return run(*r); }; });
}

}  // namespace lockstep::app
