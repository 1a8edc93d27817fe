#include "app/base/paths.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "models/plan/plan_file.h"

namespace fs = std::filesystem;

namespace lockstep::app {
namespace {

std::string first_folder(const std::vector<std::string>& candidates) {
    std::error_code error;
    for (const std::string& folder : candidates)
        if (!folder.empty() && fs::is_directory(folder, error))
            return fs::path(folder).lexically_normal().string();
    return {};
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

}  // namespace

std::string program_folder() {
    std::error_code error;
    return fs::read_symlink("/proc/self/exe", error).parent_path().string();
}

std::string resources_folder() {
    const std::string here = program_folder();
    return first_folder({environment("LOCKSTEP_RESOURCES"), here + "/../share/lockstep/resources",
                         here + "/../../resources"});
}

std::string firmware_folder() {
    const std::string here = program_folder();
    return first_folder(
        {environment("LOCKSTEP_FIRMWARE_DIR"), here + "/../share/lockstep/firmware", here + "/../firmware"});
}

std::string source_folder() {
    const std::string folder = first_folder({program_folder() + "/../..", LOCKSTEP_SOURCE_DIR});
    std::error_code error;
    return fs::exists(folder + "/embedded_target/CMakeLists.txt", error) ? folder : std::string();
}

std::vector<PlanPtr> shipped_plans(std::vector<std::string>* warnings) {
    std::vector<std::string> paths;
    for (const std::string& root : {resources_folder() + "/models", program_folder() + "/../plans"}) {
        std::error_code error;
        for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error))
            if (it->path().extension() == ".lsplan") paths.push_back(it->path().string());
    }
    std::sort(paths.begin(), paths.end());
    std::vector<PlanPtr> plans;
    for (const std::string& path : paths) {
        const auto plan = load_plan(path);
        if (!plan) {
            warnings->push_back(plan.error().message());
            continue;
        }
        const bool known = std::any_of(plans.begin(), plans.end(),
                                       [&](const PlanPtr& p) { return p->plan_id == (*plan)->plan_id; });
        if (!known) plans.push_back(*plan);
    }
    return plans;
}

std::vector<PlanPtr> plans_of_device(const DeviceInfo& info, std::vector<std::string>* warnings) {
    std::vector<PlanPtr> out;
    if (info.models.empty()) return out;
    const std::vector<PlanPtr> shipped = shipped_plans(warnings);
    for (const DeviceModel& model : info.models) {
        const auto found = std::find_if(shipped.begin(), shipped.end(),
                                        [&](const PlanPtr& p) { return p->plan_id == model.plan_id; });
        if (found != shipped.end())
            out.push_back(*found);
        else
            warnings->push_back(
                "the device's model '" + model.name + "' (" + model.plan_id.substr(0, 16) +
                ") is not among this program's plans, so the host cannot check it; give it with --model");
    }
    return out;
}

}  // namespace lockstep::app
