// lockstep model: the subcommands are in model_*.cpp
#include "app/commands/model.h"

#include <filesystem>
#include <fstream>

namespace lockstep::app {

Status write_new(const std::string& path, const void* data, size_t bytes, bool replace) {
    std::error_code error;
    if (!replace && std::filesystem::exists(path, error))
        return fail(ErrorKind::usage, "the file exists already", path,
                    "nothing is overwritten: choose another name");
    const std::string part = path + ".part";
    std::ofstream file(part, std::ios::binary | std::ios::trunc);
    file.write(static_cast<const char*>(data), std::streamsize(bytes));
    file.close();
    if (file) std::filesystem::rename(part, path, error);
    if (!file || error) {
        std::filesystem::remove(part, error);
        return fail(ErrorKind::system, "cannot write the file", path, "check the folder and the free space");
    }
    return {};
}

void add_model(CLI::App& root, Chosen* chosen) {
    CLI::App* model = root.add_subcommand("model", "Plans: models for the engine that device and host share");
    model->require_subcommand(1);
    add_model_convert(*model, chosen);
    add_model_info(*model, chosen);
    add_model_run(*model, chosen);
    add_model_evaluate(*model, chosen);
    add_model_report(*model, chosen);
    add_model_parity(*model, chosen);
    add_model_sign(*model, chosen);
    add_model_source(*model, chosen);
    add_model_device(*model, chosen);
}

}  // namespace lockstep::app
