#include "app/commands/model_data.h"

#include "app/base/session_windows.h"

namespace lockstep::app {

Result<WindowSet> windows_for(const DataRequest& request, const PlanPtr& plan) {
    auto session = session_windows_for(request.path, plan);
    if (!session) return tl::make_unexpected(session.error());
    if (*session) {
        if (!request.part.empty() && request.part != "all")
            return fail(ErrorKind::usage, "only a training dataset has parts", request.path,
                        "leave out --part");
        return std::move(**session);
    }
    if (request.part.empty()) {
        auto test = read_windows(request.path, "test");
        if (test) return test;
    }
    return read_windows(request.path, request.part);
}

void add_data_options(CLI::App& command, DataRequest* request, bool required) {
    CLI::Option* data = command.add_option(
        "--data", request->path, "A session, a training dataset (.h5), or NumPy windows (.npy, .npz)");
    if (required) data->required();
    command.add_option("--part", request->part,
                       "Of a dataset: train, val, test or all; test when it has one, else all");
}

}  // namespace lockstep::app
