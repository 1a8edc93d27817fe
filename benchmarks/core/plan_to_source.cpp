// plan_to_source MODEL.tflite NAME DIRECTORY [TARGET]: the model as DIRECTORY/NAME.h, NAME.cpp and
// NAME.lsplan. Prints the bytes of the arena.
#include <cstdio>
#include <fstream>

#include "models/convert.h"
#include "models/plan_file.h"
#include "models/source_plan.h"

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    lockstep::ConvertRequest request;
    request.source = argv[1];
    if (argc > 4) request.target = argv[4];
    const auto complain = [](const lockstep::Error& e) {
        fprintf(stderr, "%s\n", e.message().c_str());
        return 2;
    };
    const auto blob = lockstep::convert(request);
    if (!blob) return complain(blob.error());
    const auto plan = lockstep::plan_from_bytes(*blob);
    if (!plan) return complain(plan.error());
    const auto source = lockstep::plan_source(*plan, argv[2]);
    if (!source) return complain(source.error());
    const std::string stem = std::string(argv[3]) + "/" + argv[2];
    std::ofstream(stem + ".h") << source->header;
    std::ofstream(stem + ".cpp") << source->source;
    std::ofstream(stem + ".lsplan", std::ios::binary)
        .write(reinterpret_cast<const char*>(blob->data()), long(blob->size()));
    printf("%zu\n", source->arena_bytes);
    return 0;
}
