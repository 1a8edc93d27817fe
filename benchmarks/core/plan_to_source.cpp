// plan_to_source MODEL NAME DIRECTORY [TARGET [CALIBRATION.npy WINDOWS.f32]]: the model as DIRECTORY/NAME.h,
// NAME.cpp and NAME.lsplan. Prints the bytes of the arena. A float model is quantised by CALIBRATION; WINDOWS
// are inputs in the order of the network, and DIRECTORY/NAME.input.i8 and .output.i8 what the plan makes of
// them.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "models/convert.h"
#include "models/plan/plan_file.h"
#include "models/plan/run.h"
#include "models/plan/source_plan.h"

namespace {

using namespace lockstep;

// The bytes behind the quantiser and before the scores.
Status write_golden(const PlanPtr& plan, const char* windows, const std::string& stem) {
    const auto runner = StageRunner::make(plan);
    if (!runner) return tl::make_unexpected(runner.error());
    std::ifstream file(windows, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    std::ofstream input(stem + ".input.i8", std::ios::binary), output(stem + ".output.i8", std::ios::binary);
    const model::InputSpec spec = plan->plan.input(0);
    std::vector<float> window(size_t(spec.window) * spec.channels);
    const size_t step = window.size() * sizeof(float);
    for (size_t at = 0; step != 0 && at + step <= bytes.size(); at += step) {
        memcpy(window.data(), bytes.data() + at, step);
        const auto stages = (*runner)->run(window);
        if (!stages) return tl::make_unexpected(stages.error());
        const StageTensor* last = nullptr;
        for (const StageTensor& s : *stages) {
            if (s.kind == model::StageKind::quantised_input)
                input.write(reinterpret_cast<const char*>(s.bytes.data()), long(s.bytes.size()));
            if (s.type == model::ElementType::int8) last = &s;
        }
        if (last != nullptr)
            output.write(reinterpret_cast<const char*>(last->bytes.data()), long(last->bytes.size()));
    }
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    ConvertRequest request;
    request.source = argv[1];
    if (argc > 4) request.target = argv[4];
    if (argc > 6) request.calibration = argv[5];
    const auto complain = [](const Error& e) {
        fprintf(stderr, "%s\n", e.message().c_str());
        return 2;
    };
    const std::string stem = std::string(argv[3]) + "/" + argv[2];
    const auto blob = convert(request);
    if (!blob) return complain(blob.error());
    const auto plan = plan_from_bytes(*blob);
    if (!plan) return complain(plan.error());
    const auto source = plan_source(*plan, argv[2], true);
    if (!source) return complain(source.error());
    if (argc > 6)
        if (const Status s = write_golden(*plan, argv[6], stem); !s) return complain(s.error());
    std::ofstream(stem + ".h") << source->header;
    std::ofstream(stem + ".cpp") << source->source;
    std::ofstream(stem + ".lsplan", std::ios::binary)
        .write(reinterpret_cast<const char*>(blob->data()), long(blob->size()));
    printf("%zu\n", source->arena_bytes);
    return 0;
}
