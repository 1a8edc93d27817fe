// lockstep model source: a plan as C++ that links only the operators it names
#include <cctype>

#include "app/commands/model.h"
#include "models/plan/plan_file.h"
#include "models/plan/source_plan.h"

namespace lockstep::app {
namespace {

bool is_name(const std::string& text) {
    if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) != 0) return false;
    for (const char c : text)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') return false;
    return true;
}

int run(const std::string& path, const std::string& folder, const std::string& name, bool force) {
    const auto plan = load_plan(path);
    if (!plan) return complain(plan.error());
    const std::string chosen = name.empty() ? (*plan)->plan.name() : name;
    if (!is_name(chosen))
        return complain(
            {ErrorKind::usage, "not a C++ name", chosen, "give --name with letters, digits and _"});
    const auto source = plan_source(*plan, chosen);
    if (!source) return complain(source.error());
    const std::string stem = folder + "/" + chosen;
    if (const Status s = write_new(stem + ".h", source->header.data(), source->header.size(), force); !s)
        return complain(s.error());
    if (const Status s = write_new(stem + ".cpp", source->source.data(), source->source.size(), force); !s)
        return complain(s.error());
    say(stem + ".h and .cpp: arena " + std::to_string(source->arena_bytes) + " bytes");
    return kYes;
}

}  // namespace

void add_model_source(CLI::App& model, Chosen* chosen) {
    const auto path = std::make_shared<std::string>(), folder = std::make_shared<std::string>("."),
               name = std::make_shared<std::string>();
    const auto force = std::make_shared<bool>(false);
    CLI::App* c = model.add_subcommand("source", "A plan as C++ that links only the operators it names");
    c->add_option("plan", *path, "NAME.lsplan")->required();
    c->add_option("-o,--output", *folder, "An existing folder; the current one otherwise");
    c->add_option("--name", *name, "Namespace and file name; the plan's name otherwise");
    c->add_flag("--force", *force, "Replace existing files");
    c->callback([=] { *chosen = [=] { return run(*path, *folder, *name, *force); }; });
}

}  // namespace lockstep::app
