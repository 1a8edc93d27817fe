// lockstep session report: report.html and report.json of a session.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "app/base/report_page.h"
#include "app/commands/commands.h"
#include "storage/reader.h"

namespace lockstep::app {
namespace {

Status write_file(const std::filesystem::path& path, const std::string& text) {
    const std::string part = path.string() + ".part";
    std::ofstream file(part, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    std::error_code error;
    if (file) std::filesystem::rename(part, path, error);
    if (!file || error) {
        const std::string why = error ? error.message() : std::strerror(errno);
        std::filesystem::remove(part, error);
        return fail(ErrorKind::system, "cannot write the report: " + why, path.string(),
                    "check the folder and the free space");
    }
    return {};
}

int report(const std::string& path, const std::string& folder, bool force, bool json) {
    auto opened = storage::open_session(path);
    if (!opened) return complain(opened.error());
    const std::shared_ptr<SessionReader> reader = std::move(*opened);
    const auto accounts = account_for(*reader);
    if (!accounts) return complain(accounts.error());

    const std::filesystem::path to(folder);
    std::error_code error;
    std::filesystem::create_directories(to, error);
    if (error)
        return complain({ErrorKind::system, "cannot make the folder: " + error.message(), folder,
                         "choose another place"});
    for (const char* name : {"report.html", "report.json"})
        if (!force && std::filesystem::exists(to / name, error))
            return complain({ErrorKind::usage, "the file exists already", (to / name).string(),
                             "choose another folder, or --force to replace it"});

    const Json data = report_json(accounts->summary, std::filesystem::path(path).filename().string(),
                                  accounts->whole, reader->header().composite);
    const auto page = report_page(reader, *accounts);
    if (!page) return complain(page.error());
    if (const Status written = write_file(to / "report.html", *page); !written)
        return complain(written.error());
    if (const Status written = write_file(to / "report.json", dump(data) + "\n"); !written)
        return complain(written.error());
    if (json) print_json(data);
    for (const std::string& fault : accounts->faults)
        say(path + ": " + fault);
    say(report_text(accounts->summary));
    say(path + (accounts->whole ? ": whole" : ": not whole: " + accounts->why_not));
    return accounts->whole ? kYes : kNo;
}

}  // namespace

void add_report(CLI::App& session, Chosen* chosen) {
    CLI::App* command = session.add_subcommand(
        "report", "Write report.html and report.json; exit status 0 when the session is whole");
    auto path = std::make_shared<std::string>();
    auto folder = std::make_shared<std::string>();
    auto force = std::make_shared<bool>(false);
    auto json = std::make_shared<bool>(false);
    command->add_option("session", *path, "NAME.h5")->required();
    command->add_option("-o,--output", *folder, "Folder")->required();
    command->add_flag("--force", *force, "Replace an earlier report");
    command->add_flag("--json", *json, "report.json on standard output too");
    command->callback([=] { *chosen = [=] { return report(*path, *folder, *force, *json); }; });
}

}  // namespace lockstep::app
