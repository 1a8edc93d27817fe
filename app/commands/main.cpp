// `lockstep`, the command line (docs/cli.md). No GUI library.
#include <cstdio>
#include <exception>

#include "app/commands/commands.h"

int main(int argc, char** argv) {
    using namespace lockstep::app;
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
    try {
        root.parse(argc, argv);
    } catch (const CLI::Success& e) {
        return root.exit(e);
    } catch (const CLI::ParseError& e) {
        const CLI::App* where = &root;
        while (!where->get_subcommands().empty())
            where = where->get_subcommands().front();
        std::string name = "lockstep";
        for (const CLI::App* app = &root; !app->get_subcommands().empty();
             app = app->get_subcommands().front())
            name += " " + app->get_subcommands().front()->get_name();
        std::string what = e.what();
        const auto unknown = where->remaining();
        if (where->get_require_subcommand_min() > 0 && !unknown.empty())
            what = "there is no command \"" + unknown.front() + "\"";
        say("lockstep: " + what + "; see '" + name + " --help'");
        return kUsage;
    }
    set_log_level(verbosity);
    catch_interrupts();
    try {
        return chosen();
    } catch (const std::exception& e) {
        say(std::string("lockstep: out of what the system gives: ") + e.what());
        return kFailed;
    }
}
