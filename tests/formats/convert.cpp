// What the read-back tests drive: convert import SOURCE SESSION [key=value]... and
// convert export FORMAT OUTPUT SESSION... [key=value]...
#include <cstdio>
#include <cstdlib>

#include "storage/formats/formats.h"

int main(int argc, char** argv) {
    using namespace lockstep;
    std::vector<std::string> plain;
    std::map<std::string, std::string> values;
    for (int i = 1; i < argc; ++i) {
        const std::string text = argv[i];
        const size_t equals = text.find('=');
        if (equals == std::string::npos)
            plain.push_back(text);
        else
            values[text.substr(0, equals)] = text.substr(equals + 1);
    }
    const auto take = [&](const char* key) {
        std::string value = values[key];
        values.erase(key);
        return value;
    };
    if (plain.size() < 3) return 2;
    if (plain[0] == "import") {
        ImportOptions options;
        options.subject = take("subject");
        options.task = take("task");
        options.format = take("format");
        options.mains_hz = std::atof(take("mains").c_str());
        options.values = values;
        const auto done = storage::import_session(plain[1], plain[2], options);
        if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
        return done ? 0 : 2;
    }
    ExportOptions options;
    options.format = plain[1];
    options.output = plain[2];
    options.deidentify = take("deidentify") == "1";
    options.shard = uint32_t(std::atoi(take("shard").c_str()));
    options.shards = uint32_t(std::atoi(take("shards").c_str()));
    options.values = values;
    const auto done = storage::export_session({plain.begin() + 3, plain.end()}, options);
    if (!done) {
        std::fprintf(stderr, "%s\n", done.error().message().c_str());
        return 2;
    }
    for (const auto& file : done->files)
        std::printf("%s\n", file.c_str());
    for (const auto& note : done->notes)
        std::printf("note: %s\n", note.c_str());
    for (const auto& removed : done->removed)
        std::printf("removed: %s\n", removed.c_str());
    return 0;
}
