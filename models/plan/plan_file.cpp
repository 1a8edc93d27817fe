#include "models/plan/plan_file.h"

#include <sodium.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "models/core/plan_format.h"

namespace lockstep {
namespace {

Error refused(Code code, const std::string& where) {
    switch (code) {
        case Code::unsupported:
            return {ErrorKind::usage, "the plan has a newer format than this program", where,
                    "update Lockstep or convert the model again"};
        case Code::corrupt:
            return {ErrorKind::usage, "the plan is damaged: its checksum or its length is wrong", where,
                    "copy it again or convert the model again"};
        case Code::out_of_range:
            return {ErrorKind::usage, "the plan goes past a limit of its own format", where,
                    "convert the model again"};
        default:
            return {ErrorKind::usage, "not a plan, or its tables contradict each other", where,
                    "choose a .lsplan file"};
    }
}

Error system_error(std::string what, const std::string& where, int number) {
    return {ErrorKind::system, std::move(what) + " (" + std::strerror(number) + ")", where, ""};
}

}  // namespace

std::string plan_id_of(const std::vector<uint8_t>& bytes) {
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, bytes.data(), bytes.size());
    char hex[2 * sizeof digest + 1];
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    return hex;
}

Result<PlanPtr> plan_from_bytes(std::vector<uint8_t> bytes, const std::string& path) {
    const std::string where = path.empty() ? "plan" : path;
    auto loaded = std::make_shared<LoadedPlan>();
    loaded->bytes = std::move(bytes);
    loaded->path = path;
    const Bytes blob(loaded->bytes.data(), loaded->bytes.size());
    const Code code = model::Plan::open(blob, &loaded->plan);
    if (code != Code::ok) return tl::make_unexpected(refused(code, where));
    if (loaded->plan.blob().size() != blob.size()) return tl::make_unexpected(refused(Code::corrupt, where));
    loaded->plan_id = plan_id_of(loaded->bytes);
    return PlanPtr(std::move(loaded));
}

Result<PlanPtr> load_plan(const std::string& path) {
    std::error_code problem;
    const auto size = std::filesystem::file_size(path, problem);
    if (problem) return fail(ErrorKind::usage, "cannot read the plan (" + problem.message() + ")", path);
    if (size > model::kMaxPlanBytes)
        return fail(ErrorKind::usage, "too large for a plan", path, "choose a .lsplan file");
    std::ifstream file(path, std::ios::binary);
    std::vector<uint8_t> bytes(size);
    if (!file.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(size)))
        return tl::make_unexpected(system_error("cannot read the plan", path, errno));
    return plan_from_bytes(std::move(bytes), path);
}

Status save_plan(const std::string& path, const std::vector<uint8_t>& bytes, bool overwrite) {
    std::error_code problem;
    if (!overwrite && std::filesystem::exists(path, problem))
        return fail(ErrorKind::usage, "the file exists", path, "choose another name");
    const std::string part = path + ".part";
    {
        std::ofstream file(part, std::ios::binary | std::ios::trunc);
        file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        file.close();
        if (!file) {
            const int number = errno;
            std::filesystem::remove(part, problem);
            return tl::make_unexpected(system_error("cannot write the plan", path, number));
        }
    }
    std::filesystem::rename(part, path, problem);
    if (problem) return fail(ErrorKind::system, "cannot name the plan (" + problem.message() + ")", path);
    return {};
}

}  // namespace lockstep
