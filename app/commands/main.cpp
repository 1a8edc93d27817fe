// `lockstep`, the command line (docs/cli.md). No GUI library.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "app/base/report_data.h"
#include "app/commands/commands.h"

namespace lockstep::app {
namespace {

// In words of this program what CLI11 found wrong.
std::string words_of(const CLI::ParseError& e) {
    std::string what = e.what();
    const std::string conversion = "Could not convert: ";
    const size_t equals = what.find(" = ");
    if (what.compare(0, conversion.size(), conversion) == 0 && equals != std::string::npos)
        what = what.substr(conversion.size(), equals - conversion.size()) + ": \"" + what.substr(equals + 3) +
               "\" is no number that fits";
    return what;
}

int refuse(const CLI::App& root, const CLI::ParseError& e, int argc, char** argv) {
    std::string name = "lockstep", what = words_of(e);
    for (const CLI::App* where = &root;;) {
        // `lockstep sessoin info` is a slip in its first word, whatever `info` alone would mean.
        const auto unknown = where->remaining();
        if (where->get_require_subcommand_min() > 0 && !unknown.empty() && unknown.front()[0] != '-') {
            what = "there is no command \"" + unknown.front() + "\"";
            break;
        }
        if (where->get_subcommands().empty()) break;
        where = where->get_subcommands().front();
        name += " " + where->get_name();
    }
    std::string remedy = "see '" + name + " --help'";
    for (int i = 1; i < argc; ++i)
        if (argv[i][0] == '-' && ::access(argv[i], F_OK) == 0)
            remedy =
                "a file whose name begins with '-' is given as ./" + std::string(argv[i]) + "; " + remedy;
    return complain({ErrorKind::usage, what, "", remedy});
}

// Also behind the command, where people put it.
void take_verbosity(CLI::App& app, int* verbosity) {
    for (CLI::App* command : app.get_subcommands({})) {
        if (command->get_subcommands({}).empty()) command->add_flag("-v,--verbose", *verbosity)->group("");
        take_verbosity(*command, verbosity);
    }
}

// Commands that compute and write at their end: nothing is to be finished, so Ctrl-C ends them at once.
bool ends_at_once(const CLI::App& root) {
    std::string name;
    for (const CLI::App* app = &root; !app->get_subcommands().empty();) {
        app = app->get_subcommands().front();
        name += (name.empty() ? "" : " ") + app->get_name();
    }
    for (const char* one : {"compare", "session verify", "session report", "model convert", "model evaluate",
                            "model report", "model run", "model parity", "model source"})
        if (name == one) return true;
    return false;
}

int run(CLI::App& root, int argc, char** argv, const int& verbosity, const Chosen& chosen) {
    try {
        root.parse(argc, argv);
    } catch (const CLI::Success& e) {
        return root.exit(e);
    } catch (const CLI::ParseError& e) {
        return refuse(root, e, argc, argv);
    }
    set_log_level(verbosity);
    catch_interrupts();
    if (ends_at_once(root))
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
            struct sigaction now = {};
            ::sigaction(signal, nullptr, &now);
            if (now.sa_handler != SIG_IGN) ::signal(signal, SIG_DFL);
        }
    try {
        return chosen();
    } catch (const std::exception& e) {
        return complain(
            {ErrorKind::system, std::string("out of what the system gives: ") + e.what(), "", ""});
    }
}

}  // namespace
}  // namespace lockstep::app

int main(int argc, char** argv) {
    using namespace lockstep::app;
    keep_standard_streams();
    CLI::App root("Lockstep: record wearable biosignals and prove that device and host computed the same.");
    root.set_version_flag("--version", std::string("lockstep ") + LOCKSTEP_VERSION);
    root.require_subcommand(1);
    root.fallthrough(false);
    int verbosity = 0;
    root.add_flag("-v,--verbose", verbosity, "Log to standard error; twice for more");
    Chosen chosen;
    add_devices(root, &chosen);
    add_info(root, &chosen);
    add_monitor(root, &chosen);
    add_record(root, &chosen);
    add_replay(root, &chosen);
    add_compare(root, &chosen);
    add_label(root, &chosen);
    add_session(root, &chosen);
    add_firmware(root, &chosen);
    add_model(root, &chosen);
    add_export(root, &chosen);
    take_verbosity(root, &verbosity);
    int status = run(root, argc, argv, verbosity, chosen);
    // Who asked for JSON gets some in any case.
    const bool asked =
        std::any_of(argv, argv + argc, [](const char* word) { return std::string(word) == "--json"; });
    if (asked && status >= kUsage && !json_printed() && last_complaint())
        print_json(to_json(*last_complaint(), status));
    return finish_output(status);
}
